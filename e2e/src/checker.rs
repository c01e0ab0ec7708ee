//! Judges a run by what was promised: every acknowledged danmaku is in the history once, in its sender's order and
//! with its text; the ranking is a plain count; the ledger balances. Each breach is named.

mod kept;
mod ledger;
mod ranking;
mod slices;

pub use kept::check_history;
pub use ledger::Ledger;
pub use ranking::{Scores, check_ranking, check_ranking_order, count};
pub use slices::{check_senders, check_slices};

use std::fmt;

use barrage_proto::Position;

/// A danmaku as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub user: u64,
    /// Its number in the session.
    pub seq: u64,
    /// Unix time of sending, ms.
    pub sent_ms: i64,
    pub content: Box<str>,
}

/// One breach of a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Acknowledged, and not in the history.
    Lost {
        /// Which.
        name: Name,
        acknowledged: Position,
    },
    /// In the history more than once: under one ID, or as one danmaku under several.
    Doubled {
        user: u64,
        /// Unix time of sending, ms.
        sent_ms: i64,
        /// The IDs that it stands under.
        ids: Vec<Position>,
    },
    /// In the history behind a danmaku that its sender sent later.
    OutOfOrder {
        /// Which.
        name: Name,
        /// Time of sending of the later one, ms.
        behind_sent_ms: i64,
    },
    /// Kept under another ID or with another text than was acknowledged.
    Changed {
        /// Which.
        name: Name,
        kept: String,
    },
    /// In the history behind one of the same slice that stands behind it in the log.
    Slice {
        /// The shard of the slice.
        shard: u32,
        /// Which.
        id: Position,
        /// The one before it in the history.
        behind: Position,
    },
    /// In the history, and nobody sent it, or its sender was told that it will not be kept.
    Stranger {
        user: u64,
        /// Which.
        id: Position,
    },
    /// A score that is not the count of the user's danmaku.
    Score {
        user: u64,
        /// Danmaku in the history.
        counted: u64,
        /// Score in the ranking.
        ranked: u64,
    },
    /// Two neighbours of the ranking stand the wrong way round, or a rank is missing.
    Rank { rank: u64, problem: String },
    /// The ledger does not balance.
    Ledger(Ledger),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { name, acknowledged } => {
                write!(f, "lost: {name}, acknowledged as {acknowledged}, is not in the history")
            }
            Self::Doubled { user, sent_ms, ids } => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                write!(f, "doubled: user {user}, sent at {sent_ms}, is in the history as {}", ids.join(", "))
            }
            Self::OutOfOrder { name, behind_sent_ms } => {
                write!(f, "out of order: {name} stands behind the one that its sender sent at {behind_sent_ms}")
            }
            Self::Changed { name, kept } => write!(f, "changed: {name} is kept as {kept}"),
            Self::Slice { shard, id, behind } => {
                write!(f, "out of order: {id} of shard {shard} stands behind {behind} in the history")
            }
            Self::Stranger { user, id } => {
                write!(
                    f,
                    "not sent: {id} of user {user} is in the history, and nobody sent it or was told that it is kept"
                )
            }
            Self::Score { user, counted, ranked } => {
                write!(f, "ranking: user {user} has {counted} danmaku in the history and a score of {ranked}")
            }
            Self::Rank { rank, problem } => write!(f, "ranking: place {rank} {problem}"),
            Self::Ledger(ledger) => write!(f, "the ledger does not balance: {ledger}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, number {}, sent at {}, {:?}", self.user, self.seq, self.sent_ms, self.content)
    }
}
