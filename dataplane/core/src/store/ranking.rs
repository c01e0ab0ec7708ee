//! Rankings: by score, then the lower user ID.

use barrage_proto::Cursor;

/// A user's place in a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scored {
    /// User ID.
    pub user: u64,
    /// 1 for each danmaku.
    pub score: u64,
}

/// Part of a ranking, and what it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Best first.
    pub scores: Vec<Scored>,
    /// The last record of each slice that is counted.
    pub applied: Cursor,
}
