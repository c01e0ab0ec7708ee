//! Recorded danmaku: Bilibili's XML, or JSON lines of the same fields, as lines to be sent again.

mod json_lines;
mod xml;

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// One recorded danmaku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// When it came, ms since the start of the recording.
    pub at_ms: u64,
    /// Who sent it; never 0, which is anonymous.
    pub user: u64,
    /// The text; never empty.
    pub content: String,
}

/// A recording: what of it can be read, and what cannot.
#[derive(Debug, Default)]
pub struct Recording {
    /// By time.
    pub danmaku: Vec<Recorded>,
    /// As they stand in the file.
    pub bad: Vec<BadLine>,
}

/// Something in a recording that is no danmaku and should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

impl Recording {
    /// What is bad, for a person: how much, and the first of it; empty where nothing is.
    #[must_use]
    pub fn complaint(&self) -> String {
        let Some(BadLine { line, problem }) = self.bad.first() else { return String::new() };
        let (bad, good) = (self.bad.len(), self.danmaku.len());
        format!("{bad} of {} danmaku cannot be read and are left out; the first, line {line}: {problem}", bad + good)
    }
}

#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("reading the recording {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The file is neither of the two formats.
    #[error(
        "{path} is not a recording: {problem}; known are Bilibili's XML (<d p=\"…\">text</d>) \
         and JSON lines with t_ms, user and text"
    )]
    Format { path: PathBuf, problem: String },
}

/// Reads a recording. Which format it is, its first character says. What cannot be read of it is left out, and named.
///
/// # Errors
/// [`ReplayError`]; also when nothing of it can be read.
pub fn read(path: &Path) -> Result<Recording, ReplayError> {
    let text = fs::read_to_string(path).map_err(|source| ReplayError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|problem| ReplayError::Format { path: path.to_owned(), problem })
}

/// Later times are no offsets in a recording but Unix time: 1973, or three years of recording.
const EPOCH_MS_MIN: u64 = 100_000_000_000;

fn parse(text: &str) -> Result<Recording, String> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let head = text.len() - start.len();
    let mut recording = if start.starts_with('<') { xml::parse(start) } else { json_lines::parse(start) };
    let lines_before = text[..head].matches('\n').count();
    recording.bad.iter_mut().for_each(|bad| bad.line += lines_before);
    let recorded = &mut recording.danmaku;
    recorded.retain(|line| !line.content.is_empty());
    if recorded.is_empty() {
        let first = recording.bad.first().map(|BadLine { line, problem }| format!(", line {line}: {problem}"));
        return Err(format!("it holds no danmaku{}", first.unwrap_or_default()));
    }
    recorded.sort_by_key(|line| line.at_ms);
    // Times since 1970 are of a room's export: it begins with its first danmaku.
    let begin_ms = recorded.first().map(|line| line.at_ms).filter(|&at_ms| at_ms > EPOCH_MS_MIN).unwrap_or_default();
    recorded.iter_mut().for_each(|line| line.at_ms -= begin_ms);
    Ok(recording)
}

/// The user ID of a name that is none: the same for the same name, in a range of its own.
fn user_of_name(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    (hasher.finish() >> 16) | (1 << 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_by_time_and_without_empty_ones() {
        let text = "{\"t_ms\": 20, \"user\": 1, \"text\": \"b\"}\n{\"t_ms\": 10, \"user\": 2, \"text\": \"a\"}\n\
                    {\"t_ms\": 15, \"user\": 2, \"text\": \"\"}\n";
        let contents: Vec<_> = parse(text).unwrap().danmaku.into_iter().map(|line| line.content).collect();
        assert_eq!(contents, ["a", "b"]);
    }

    #[test]
    fn what_is_no_recording_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hello\n").unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains(file.path().to_str().unwrap()), "{error}");
        assert!(parse("<i></i>").unwrap_err().contains("no danmaku"));
    }
}
