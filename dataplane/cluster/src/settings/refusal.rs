//! Why settings are refused.

use std::fmt;

use thiserror::Error;

use super::Role;

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The setting, the variable or the file.
    pub name: String,
    /// What is wrong, with the value unless that may be a secret.
    pub problem: String,
    pub allowed: String,
}

impl Refusal {
    pub(super) fn new(name: &str, problem: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { name: name.to_owned(), problem: problem.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; allowed: {}", self.name, self.problem, self.allowed)
    }
}

/// A role cannot run with these settings. Says everything that is wrong, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refused {
    pub role: Role,
    pub refusals: Vec<Refusal>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} cannot run with these settings:", self.role)?;
        for refusal in &self.refusals {
            write!(f, "\n  {refusal}")?;
        }
        f.write_str("\n`barrage config` prints all settings with their defaults")
    }
}
