//! The word filter beside the same checks without it: what 50,000 words cost a danmaku.

use std::hint::black_box;

use barrage_core::words::{WordFilter, is_readable};

use super::{
    codec::compare,
    sample::Sample,
    table::{Row, Table, Target},
};

/// Words that a large site blocks.
const WORDS: usize = 50_000;
/// What the filter may cost a danmaku, ns.
const TARGET_NS: f64 = 1_000.0;

pub(super) fn run(sample: &Sample, table: &mut Table) {
    let words = words();
    let filter = WordFilter::new(words.iter().map(String::as_str));
    let texts: Vec<&str> = sample.danmaku.iter().map(|danmaku| danmaku.content.as_str()).collect();
    let mut folded = String::new();
    let with = || {
        for text in &texts {
            black_box(is_readable(black_box(text)) && filter.finds(text, &mut folded));
        }
    };
    let without = || {
        for text in &texts {
            black_box(is_readable(black_box(text)));
        }
    };
    let (with_ns, without_ns) = compare(texts.len(), with, without);
    let cost_ns = with_ns - without_ns;
    let row = Row::plain("word filter: 50,000 words", format!("{with_ns:.0} ns/danmaku"));
    let row = row.against(format!("{without_ns:.0} ns without it"), format!("+ {cost_ns:.0} ns"));
    table.add(row.target(Target::at_most(cost_ns, TARGET_NS, "≤ 1,000 ns more")));
}

/// Words of two to six characters, Chinese and Latin, that share beginnings as real ones do; the same each time.
fn words() -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap_or_default() % below
    };
    let mut word = |number: usize| {
        let length = 2 + draw(5);
        let letters = (0..length).filter_map(|_| match number % 2 {
            0 => char::from_u32(0x4e00 + draw(3_000)),
            _ => char::from_u32(u32::from(b'a') + draw(26)),
        });
        letters.collect::<String>()
    };
    // Short Latin ones would be in every text.
    (0..).map(&mut word).filter(|word| word.len() >= 5).take(WORDS).collect()
}
