//! Which danmaku repeat one that the log has already.
//!
//! A sender that got no acknowledgement sends again under the same (user, session, sequence number). Whichever comes
//! first in the log counts; the others within the window do not. The window is cut by the log's append times, so what
//! counts does not depend on a clock. A new owner reads the window before its start again and so decides alike about
//! every retry that a gateway lets through, since those are far younger than the window.

use std::collections::{HashSet, VecDeque};

/// How long a danmaku is remembered, in append time: gateways refuse retries over 30 s old, and a producer gives up
/// after 20 s.
pub(super) const WINDOW_MS: i64 = 60_000;

/// A danmaku across its retries.
pub(super) type Identity = (u64, u64, u64);

/// The danmaku of one partition's last [`WINDOW_MS`].
#[derive(Default)]
pub(super) struct Dedupe {
    known: HashSet<Identity>,
    by_time: VecDeque<(i64, Identity)>,
}

impl Dedupe {
    /// Whether this is the first of its identity in the window; then it is remembered.
    pub(super) fn first(&mut self, append_ms: i64, identity: Identity) -> bool {
        while let Some(&(oldest_ms, oldest)) = self.by_time.front()
            && oldest_ms < append_ms - WINDOW_MS
        {
            self.known.remove(&oldest);
            self.by_time.pop_front();
        }
        let first = self.known.insert(identity);
        if first {
            self.by_time.push_back((append_ms, identity));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_an_identity_counts_until_the_window_has_passed() {
        let mut dedupe = Dedupe::default();
        assert!(dedupe.first(0, (1, 7, 1)));
        assert!(!dedupe.first(WINDOW_MS, (1, 7, 1)));
        assert!(dedupe.first(WINDOW_MS, (1, 7, 2)));
        assert!(dedupe.first(WINDOW_MS, (2, 7, 1)));
        assert!(dedupe.first(WINDOW_MS + 1, (1, 7, 1)));
        assert_eq!(dedupe.known.len(), 3);
    }
}
