//! What is wrong with a manifest, as its author reads it: one line per fault, in the order of the file.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

use super::FILE_BYTES_MAX;
use super::document::Position;
use super::schema::Finding;

/// Faults that a message lists; of more it gives the number.
const LISTED_MAX: usize = 20;

/// Characters of a value or of a name that a message repeats.
pub(super) const QUOTED_CHARS_MAX: usize = 60;

/// Why no rooms could be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}; give the path of a LiveRoom manifest", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is longer than any that is read.
    #[error("{source_name}: longer than {FILE_BYTES_MAX} bytes; split it")]
    TooLong {
        /// The file, or what the caller calls the text.
        source_name: String,
    },
    /// The text is no manifest; all that is wrong with it, or what kept it from being read further.
    #[error("{}", list(.0))]
    Invalid(Vec<Fault>),
}

/// One fault in a manifest. Displayed as `FILE:LINE:COLUMN: FIELD: WHAT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or what the caller calls the text.
    pub source_name: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault, in characters, from 1.
    pub column: usize,
    /// Path of the field, such as `spec.rateLimit.burst`; empty where no one field is at fault.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.source_name, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

fn list(faults: &[Fault]) -> String {
    let mut lines: Vec<_> = faults.iter().take(LISTED_MAX).map(Fault::to_string).collect();
    if faults.len() > LISTED_MAX {
        lines.push(format!("and {} more", faults.len() - LISTED_MAX));
    }
    lines.join("\n")
}

/// The faults of one manifest, as they are found.
pub(super) struct Faults {
    source_name: String,
    /// Nothing stands behind it: the parser takes the end of the text for one more line.
    end: Position,
    found: Vec<Fault>,
}

impl Faults {
    pub(super) fn new(source_name: &str, text: &str) -> Self {
        Self { source_name: source_name.to_owned(), end: Position::end_of(text), found: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Position, field: &str, what: String) {
        let at = at.min(self.end);
        self.found.push(Fault {
            source_name: self.source_name.clone(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            what,
        });
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for Finding { at, field, what } in findings {
            self.add(at, &field, what);
        }
    }

    /// The error for a manifest that cannot be read beyond this fault.
    pub(super) fn only(mut self, at: Position, field: &str, what: String) -> ManifestError {
        self.found.clear();
        self.add(at, field, what);
        ManifestError::Invalid(self.found)
    }

    pub(super) fn none_or_error(mut self) -> Result<(), ManifestError> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|fault| (fault.line, fault.column));
        Err(ManifestError::Invalid(self.found))
    }
}

/// Escaped, because it goes to a terminal, and cut to a length that leaves a message readable.
pub(super) fn quote_text(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
