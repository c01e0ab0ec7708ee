//! The word filter: whether a text has one of many words, however it is written.
//!
//! Words and texts are folded to what a reader makes of them: compatibility forms (full-width, styled letters) and case
//! are evened out (Unicode NFKC, lower case), accents of Latin letters go, and what only hides a word (spaces,
//! punctuation, marks, characters that show nothing) is left out. Then one pass of an Aho-Corasick automaton finds any
//! word. A character is folded by one look into a table, which is made at the first use.

use std::{collections::HashMap, sync::OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Characters below have a place in the table: the planes that scripts and symbols are in. CJK extensions above fold
/// to themselves.
const TABLE_END: u32 = 0x2_0000;
/// In the table: left out.
const NOTHING: u32 = 0;
/// In the table: several characters, found elsewhere.
const SEVERAL: u32 = u32::MAX;

/// Finds words in texts.
#[derive(Debug, Default)]
pub struct WordFilter {
    automaton: Option<AhoCorasick>,
}

impl WordFilter {
    /// A filter for these words. What folds to nothing is left out: it would be in every text.
    #[must_use]
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let folded = words.into_iter().map(|word| {
            let mut out = String::new();
            fold(word, &mut out);
            out
        });
        let folded: Vec<_> = folded.filter(|word| !word.is_empty()).collect();
        if folded.is_empty() {
            return Self::default();
        }
        // A DFA of 50,000 words would take hundreds of megabytes.
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&folded);
        if let Err(error) = &automaton {
            tracing::error!(%error, words = folded.len(), "the word filter cannot be made; nothing is filtered");
        }
        Self { automaton: automaton.ok() }
    }

    /// Whether a text has one of the words; `folded` is a buffer to be used again.
    #[must_use]
    pub fn finds(&self, text: &str, folded: &mut String) -> bool {
        let Some(automaton) = &self.automaton else { return false };
        folded.clear();
        fold(text, folded);
        automaton.is_match(folded.as_str())
    }
}

/// Appends what a reader makes of a text.
fn fold(text: &str, out: &mut String) {
    let table = table();
    for c in text.chars() {
        match table.one.get(c as usize) {
            Some(&NOTHING) => {}
            Some(&SEVERAL) => out.push_str(table.several.get(&c).map_or("", String::as_str)),
            Some(&folded) => out.extend(char::from_u32(folded)),
            None if is_hidden(c) => {}
            None => out.push(c),
        }
    }
}

struct Table {
    one: Box<[u32]>,
    several: HashMap<char, String>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut several = HashMap::new();
        let one = (0..TABLE_END).map(|code| {
            let Some(c) = char::from_u32(code) else { return NOTHING };
            let folded = fold_one(c);
            let mut chars = folded.chars();
            match (chars.next(), chars.next()) {
                (None, _) => NOTHING,
                (Some(one), None) => one.into(),
                (Some(_), Some(_)) => {
                    several.insert(c, folded);
                    SEVERAL
                }
            }
        });
        Table { one: one.collect(), several }
    })
}

fn fold_one(c: char) -> String {
    // Up and down again, so that ß and SS, ς and Σ, ı and I come to the same.
    let whole = c.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).filter(|&c| !hides(c));
    let whole: String = whole.collect();
    let base: String = whole.nfd().filter(|&c| !is_combining_mark(c)).collect();
    // Marks make other letters of Japanese kana; of Latin ones, variants that a reader reads over.
    if base.is_ascii() { base } else { whole }
}

/// What may stand between the letters of a word without being read.
fn hides(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_combining_mark(c) || is_hidden(c) || is_punctuation(c)
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}'..='\u{bf}' | '\u{d7}' | '\u{f7}' | '\u{2010}'..='\u{205e}' | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{3020}' | '\u{30fb}')
}

/// Whether a character shows nothing (Unicode's Default_Ignorable_Code_Point, and invisible formats).
#[must_use]
pub const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Marks on one character beyond this are no writing.
const MARKS_MAX: usize = 8;
/// Characters that show nothing, beyond as many as there are that do.
const HIDDEN_SPARE: usize = 8;

/// Whether a text can be drawn as a line among others: no control characters but tab and line break, no towers of marks,
/// and not more characters that show nothing than such that do, and eight.
#[must_use]
pub fn is_readable(text: &str) -> bool {
    let (mut marks, mut hidden, mut visible) = (0_usize, 0_usize, 0_usize);
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\t' | '\n') {
            return false;
        }
        if is_hidden(c) {
            hidden += 1;
        } else if is_combining_mark(c) {
            marks += 1;
            if marks > MARKS_MAX {
                return false;
            }
        } else {
            (marks, visible) = (0, visible + 1);
        }
    }
    hidden <= visible + HIDDEN_SPARE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(filter: &WordFilter, text: &str) -> bool {
        filter.finds(text, &mut String::new())
    }

    #[test]
    fn words_are_found_however_they_are_written() {
        let filter = WordFilter::new(["badword", "坏话", "Straße", "が"]);
        for text in [
            "badword",
            "a BadWord here",
            "ｂａｄｗｏｒｄ",
            "𝐛𝐚𝐝𝐰𝐨𝐫𝐝",
            "b a d w o r d",
            "b.a-d_w*o|r/d",
            "b\u{200b}a\u{200d}d\u{2060}w\u{feff}o\u{ad}r\u{202e}d",
            "ba\u{301}d\u{308}wórd",
            "ⓑⓐⓓⓦⓞⓡⓓ",
            "b\u{fe0f}adword",
            "这是坏话!",
            "坏 话",
            "坏\u{3000}，话",
            "STRASSE",
            "が",
        ] {
            assert!(found(&filter, text), "{text:?}");
        }
        for text in ["bad", "word", "话坏", "好话", "か", "bad wxord", ""] {
            assert!(!found(&filter, text), "{text:?}");
        }
    }

    #[test]
    fn what_folds_to_nothing_is_no_word() {
        assert!(!found(&WordFilter::new(["", " ", "\u{200b}", "..."]), "anything"));
        assert!(!found(&WordFilter::new([]), "anything"));
    }

    #[test]
    fn floods_of_marks_controls_and_invisible_characters_are_unreadable() {
        let marks = |count| format!("e{}", "\u{301}".repeat(count));
        for text in ["plain", "两行\n字", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "नमस्ते", "שלום\u{200f}", &marks(8)]
        {
            assert!(is_readable(text), "{text:?}");
        }
        for text in ["nul\0", "esc\u{1b}[2J", "c1\u{85}", &marks(9), &"\u{202e}".repeat(9), &"\u{200b}".repeat(300)] {
            assert!(!is_readable(text), "{text:?}");
        }
    }
}
