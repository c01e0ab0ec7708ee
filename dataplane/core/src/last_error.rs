//! Whether a dependency did what it was asked the last time.

use std::sync::{Arc, Mutex, PoisonError};

/// The last failure, until something succeeds again. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    /// Notes how something went; gives the outcome back.
    pub fn note<T, E: std::fmt::Display>(&self, outcome: Result<T, E>) -> Result<T, E> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    pub fn current(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
