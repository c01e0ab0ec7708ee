//! Cuts an operator off after so many writes, as if it had been killed then.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

/// Counts writes of one operator; clones share the count.
#[derive(Clone)]
pub(crate) struct Fuse {
    written: Arc<AtomicU64>,
    limit: u64,
}

impl Fuse {
    /// Lets so many writes through, and nothing after them.
    pub(crate) fn after(limit: u64) -> Self {
        Self { written: Arc::default(), limit }
    }

    /// Lets everything through.
    pub(crate) fn never() -> Self {
        Self::after(u64::MAX)
    }

    /// Whether something may be read.
    pub(crate) fn is_whole(&self) -> bool {
        self.written.load(SeqCst) < self.limit
    }

    /// Whether something may be written; counts it.
    pub(crate) fn write(&self) -> bool {
        self.is_whole() && self.written.fetch_add(1, SeqCst) < self.limit
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(SeqCst)
    }
}
