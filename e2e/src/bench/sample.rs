//! The text that is measured with: recorded danmaku where they are present, made-up ones elsewhere.

use std::{env, path::PathBuf};

use super::error::BenchError;
use crate::{replay, text::Texts};

/// Names the folder of recorded danmaku.
const FOLDER_VARIABLE: &str = "BARRAGE_RECORDINGS";
/// The recording in that folder.
const FILE: &str = "danmaku-bilibili.jsonl";
/// Danmaku that are made up where there is no recording; also the size of the recording.
const MADE_UP: usize = 600;

/// Danmaku to measure with.
pub(super) struct Sample {
    pub(super) danmaku: Vec<Danmaku>,
    pub(super) source: String,
}

/// One of them.
pub(super) struct Danmaku {
    pub(super) user: u64,
    pub(super) sent_ms: i64,
    pub(super) content: String,
}

/// Loads the recording, or makes danmaku up.
///
/// # Errors
/// A recording that is there and cannot be read.
pub(super) fn load() -> Result<Sample, BenchError> {
    let file = folder().join(FILE);
    let (texts, source): (Vec<(u64, String)>, _) = if file.is_file() {
        let recorded = replay::read(&file).map_err(|error| BenchError::Meaningless(error.to_string()))?;
        let texts = recorded.danmaku.into_iter().map(|line| (line.user, line.content)).collect();
        (texts, "recorded danmaku".to_owned())
    } else {
        let texts = (1..).zip(Texts::new(1)).take(MADE_UP).map(|(user, text)| (user % 97, text));
        (texts.collect(), format!("made up, as there is no {FILE} in {FOLDER_VARIABLE}"))
    };
    let danmaku = (0..).zip(texts).map(|(number, (user, content))| danmaku(number, user, content)).collect();
    Ok(Sample { danmaku, source })
}

/// Recorded users are numbered from 1; here they get IDs of nine digits, as a large site has. Times are those of a
/// room with the default budget of 200 danmaku/s.
fn danmaku(number: i64, user: u64, content: String) -> Danmaku {
    let user = 100_000_000 + user.wrapping_mul(2_654_435_761) % 400_000_000;
    Danmaku { user, sent_ms: 1_696_118_400_000 + number * 5, content }
}

/// `../shared/data` beside the workspace, unless the environment says another.
fn folder() -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    env::var_os(FOLDER_VARIABLE).map_or_else(beside, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_sample() {
        let sample = load().unwrap();
        assert!(sample.danmaku.len() >= 300, "from {}", sample.source);
        assert!(sample.danmaku.iter().all(|danmaku| danmaku.user >= 100_000_000 && !danmaku.content.is_empty()));
    }
}
