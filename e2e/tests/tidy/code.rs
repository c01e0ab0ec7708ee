//! Rust text with what is not code blanked out, character for character, so that a rule that looks for
//! words and brackets meets no comment and no string, and still counts the right lines.

/// `text` with spaces for comments and for what is inside string and character literals. Quotes and line
/// ends stay.
pub(crate) fn code_only(text: &str) -> String {
    let mut blanker = Blanker { chars: text.chars().collect(), at: 0, out: String::with_capacity(text.len()) };
    while blanker.at < blanker.chars.len() {
        blanker.step();
    }
    blanker.out
}

/// Number of the line, from 1, in which the byte `at` of `text` stands.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Places in `code` where the word `word` stands, and not as a part of a longer one.
pub(crate) fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// Where the item that starts at `from` ends: after its block, or after its semicolon if it has no block.
pub(crate) fn end_of_item(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[from..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if c == '}' && depth == 0 {
                    return from + at + 1;
                }
            }
            ';' if depth == 0 => return from + at + 1,
            _ => {}
        }
    }
    code.len()
}

struct Blanker {
    chars: Vec<char>,
    at: usize,
    out: String,
}

impl Blanker {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn keep(&mut self) {
        self.out.push(self.peek(0));
        self.at += 1;
    }

    fn blank(&mut self) {
        self.out.push(if self.peek(0) == '\n' { '\n' } else { ' ' });
        self.at += 1;
    }

    fn blank_while(&mut self, mut goes_on: impl FnMut(&Self) -> bool) {
        while self.at < self.chars.len() && goes_on(self) {
            self.blank();
        }
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.blank_while(|b| b.peek(0) != '\n'),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('r', '"' | '#') if self.starts_raw_string() => self.raw_string(),
            ('\'', '\\') => self.char_literal(),
            ('\'', c) if c != '\'' && self.peek(2) == '\'' => self.char_literal(),
            _ => self.keep(),
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ if self.at >= self.chars.len() => return,
                _ => {
                    self.blank();
                    continue;
                }
            }
            self.blank();
            self.blank();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.blank();
            }
            self.blank();
        }
        self.keep();
    }

    /// `r"`, `r#"`, `br"` and the like; not the end of a longer word, and not `r#keyword`.
    fn starts_raw_string(&self) -> bool {
        let hashes = (1..).take_while(|ahead| self.peek(*ahead) == '#').count();
        let before = |back: usize| self.at.checked_sub(back).map_or(' ', |at| self.chars[at]);
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let prefix = matches!(before(1), 'b' | 'c') && !word(before(2));
        self.peek(1 + hashes) == '"' && (prefix || !word(before(1)))
    }

    fn raw_string(&mut self) {
        self.keep();
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.keep();
        }
        self.keep();
        self.blank_while(|b| b.peek(0) != '"' || (1..=hashes).any(|ahead| b.peek(ahead) != '#'));
        self.keep();
    }

    fn char_literal(&mut self) {
        self.keep();
        if self.peek(0) == '\\' {
            self.blank();
            self.blank();
        }
        self.blank_while(|b| b.peek(0) != '\'');
        self.keep();
    }
}

#[test]
fn only_code_is_left() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("/* a /* b */ c */ d", "                  d"),
        (r#"f("a \" {", 1)"#, r#"f("      ", 1)"#),
        ("r#\"a\"b\"# c", "r#\"   \"# c"),
        ("br\"\\\" c", "br\" \" c"),
        ("for\"a\"", "for\" \""),
        ("'{' '\\'' '\\u{7d}' <'a> 'b: {", "' ' '  ' '      ' <'a> 'b: {"),
        ("r#type \"é\"", "r#type \" \""),
    ];
    for (text, code) in cases {
        assert_eq!(code_only(text), code, "{text}");
    }
}

#[test]
fn words_and_items() {
    assert_eq!(words("fn f(fnord: fn()) { afn }", "fn").collect::<Vec<_>>(), [0, 12]);
    assert_eq!(end_of_item("fn f(a: [u8; 4]) { { } } x", 0), 24);
    assert_eq!(end_of_item("use a::{b, c}; x", 0), 13);
    assert_eq!(end_of_item("mod a; x", 0), 6);
    assert_eq!(line_of("a\nb\nc", 2), 2);
}
