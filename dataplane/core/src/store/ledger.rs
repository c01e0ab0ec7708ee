//! A room's ledger: what became of every danmaku that was logged, up to a watermark.

use barrage_proto::Cursor;
use serde::{Deserialize, Serialize};

/// What a room's ranker must find again after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Epoch of the ranker that saved these.
    pub epoch: u64,
    pub counts: Counts,
    /// The last record of each slice that is counted.
    pub watermark: Cursor,
}

/// Cumulative counts; at a watermark the sum of those of danmaku is what was logged up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Sent to viewers.
    pub shown: u64,
    /// Repeats that another danmaku stands for.
    pub merged: u64,
    /// Left out by the room's budget.
    pub sampled_out: u64,
    /// Kept, but withdrawn by moderation.
    pub deleted: u64,
    /// Reached the ranker more than 5 s late.
    pub expired: u64,
    /// Likes; they are no danmaku.
    #[serde(default)]
    pub likes: u64,
}
