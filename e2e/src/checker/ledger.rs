//! The room's ledger: logged = shown + merged + sampled out + deleted + expired.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Finding;
use crate::decimal;

/// What became of a room's danmaku, cumulative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// In the log.
    #[serde(deserialize_with = "decimal::from_text")]
    pub logged: u64,
    /// Shown to viewers.
    #[serde(deserialize_with = "decimal::from_text")]
    pub shown: u64,
    /// Merged into others as repeats.
    #[serde(deserialize_with = "decimal::from_text")]
    pub merged: u64,
    /// Left out by the viewers' budget.
    #[serde(deserialize_with = "decimal::from_text")]
    pub sampled_out: u64,
    /// Deleted by moderation before they were shown.
    #[serde(deserialize_with = "decimal::from_text")]
    pub deleted: u64,
    /// Too old when they could have been shown.
    #[serde(deserialize_with = "decimal::from_text")]
    pub expired: u64,
}

impl Ledger {
    /// Whether every logged danmaku is accounted for. Only the ledger of a room that is quiet balances.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.logged == self.shown + self.merged + self.sampled_out + self.deleted + self.expired
    }

    /// What was booked since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            logged: self.logged.saturating_sub(earlier.logged),
            shown: self.shown.saturating_sub(earlier.shown),
            merged: self.merged.saturating_sub(earlier.merged),
            sampled_out: self.sampled_out.saturating_sub(earlier.sampled_out),
            deleted: self.deleted.saturating_sub(earlier.deleted),
            expired: self.expired.saturating_sub(earlier.expired),
        }
    }

    /// Nothing when they balance.
    #[must_use]
    pub fn check(&self) -> Option<Finding> {
        (!self.balance()).then_some(Finding::Ledger(*self))
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { logged, shown, merged, sampled_out, deleted, expired } = self;
        write!(
            f,
            "logged {logged}; shown {shown} + merged {merged} + sampled out {sampled_out} \
             + deleted {deleted} + expired {expired}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_counts() {
        let ledger = Ledger { logged: 15, shown: 5, merged: 4, sampled_out: 3, deleted: 2, expired: 1 };
        assert_eq!(ledger.check(), None);
        let short = Ledger { shown: 4, ..ledger };
        let finding = short.check().map(|finding| finding.to_string()).unwrap_or_default();
        assert!(finding.contains("logged 15; shown 4 + merged 4"), "{finding}");
    }

    #[test]
    fn a_run_is_booked_against_what_was_there_before() {
        let before = Ledger { logged: 10, shown: 10, ..Ledger::default() };
        let after = Ledger { logged: 14, shown: 12, merged: 2, ..Ledger::default() };
        assert_eq!(after.since(&before), Ledger { logged: 4, shown: 2, merged: 2, ..Ledger::default() });
    }
}
