//! The store: what follows from a prefix of the log. Rankings, history, applied positions and books.
//!
//! In a cluster it is a Redis Cluster, in dev mode one file. Nothing here has to be durable at once: what is lost is
//! found again in the log, from the commit, which trails what [`Store::confirm`] said.

pub mod block;
mod books;
pub mod embedded;
mod heat;
mod history;
mod ranking;
pub mod redis;

use std::sync::Arc;

use barrage_proto::{Cursor, Position, log::Record};
use thiserror::Error;

use self::redis::RedisStore;
use crate::{moderation::RoomRules, room::RoomId};
use embedded::EmbeddedStore;

pub use books::{Books, Counts};
pub use heat::{STEP_MS, Steps};
pub use history::{Direction, HistoryItem, HistoryPage};
pub use ranking::{Ranking, Scored};

/// Records of one slice, in log order.
#[derive(Debug, Clone)]
pub struct SliceBatch {
    /// The slice's room.
    pub room: RoomId,
    /// The slice's shard.
    pub shard: u32,
    /// Epoch under which the caller owns the slice; a store that has seen a higher one refuses.
    pub owner_epoch: u64,
    /// The partition that the records stand in.
    pub partition: u32,
    /// The last record of the slice that the caller applied itself; `None` when it has not applied any yet.
    pub expected: Option<Position>,
    /// The slice is being filled again from the log's start: a missing slice is no loss.
    pub rebuilding: bool,
    /// Danmaku that the slice's history keeps, at least.
    pub history_length: u64,
    /// How long the history keeps a danmaku, ms.
    pub history_age_ms: i64,
    /// The records, by offset.
    pub records: Vec<SliceRecord>,
}

/// A record after repeated danmaku were blanked.
#[derive(Debug, Clone)]
pub struct SliceRecord {
    /// Where it stands.
    pub offset: u64,
    /// The record; an entry of user 0 is one that does not count (its original stands before).
    pub record: Arc<Record>,
}

/// What became of a [`SliceBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The slice includes it, now or since before.
    Whole,
    /// The store is behind what the caller had applied (a failover took writes back): apply again from the commit.
    Behind,
    /// Another owner has written under this higher epoch: nothing was written.
    Fenced(u64),
    /// The slice, or the marker of its hash slot, is gone: it has to be filled again from the log's start.
    Lost,
}

/// Whether what was written before is safe from the loss of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It is.
    Yes,
    /// A node was replaced or restarted meanwhile, what it had may be lost: apply again from [`Store::start`].
    Void,
}

/// The store cannot do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened or its content is damaged.
    #[error(
        "cannot open the store {path}: {source}. If the file is damaged, move it away: it is filled again from what the log still holds"
    )]
    Open {
        /// The file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A node is not set as it has to be for what is written to be kept.
    #[error("{node}: {setting} is {found}, it has to be {wanted}. Set it, then start again")]
    Setting {
        /// The node's address.
        node: String,
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// It refuses these records and would refuse them again: something is in their way that it did not write itself.
    #[error("the store refuses records for good: {reason}")]
    Refused {
        /// Which, and why.
        reason: String,
    },
    /// A read or write failed; nothing of it took effect, or nothing is known of it.
    #[error("the store cannot be {doing}: {reason}")]
    Storage {
        /// `"written"`, `"read"`, …
        doing: &'static str,
        /// Why.
        reason: String,
    },
}

/// A handle; clones share one store.
#[derive(Clone)]
pub enum Store {
    /// One file, in dev mode.
    Embedded(EmbeddedStore),
    /// A Redis Cluster.
    Redis(RedisStore),
}

impl Store {
    /// Applies records to their slices, each slice at once or not at all: scores, history, what was logged, the applied
    /// position. A record at or below its slice's applied position changes nothing. One outcome a batch, in order.
    ///
    /// Safe to repeat, whatever the outcome.
    pub async fn apply(&self, batches: Arc<[SliceBatch]>) -> Vec<Result<Applied, StoreError>> {
        match self {
            Self::Embedded(store) => store.apply(batches).await,
            Self::Redis(store) => store.apply(batches).await,
        }
    }

    /// Makes everything written so far safe from the loss of a node. `applied` are the partitions and the offsets up to
    /// which the caller has applied them.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: not confirmed; try again.
    pub async fn confirm(&self, applied: &[(u32, u64)]) -> Result<Confirmed, StoreError> {
        match self {
            Self::Embedded(store) => store.confirm(applied).await,
            Self::Redis(store) => store.confirm(applied).await,
        }
    }

    /// Where to read a partition from so that the store misses nothing: `committed`, or lower if the store has lost
    /// what it had confirmed; 0 if the partition has to be filled again, with [`SliceBatch::rebuilding`].
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn start(&self, partition: u32, committed: u64) -> Result<u64, StoreError> {
        match self {
            Self::Embedded(store) => store.start(partition, committed).await,
            Self::Redis(store) => store.start(partition, committed).await,
        }
    }

    /// Everything that a partition's log holds has been applied again since [`Applied::Lost`].
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn rebuilt(&self, partition: u32) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.rebuilt(partition),
            Self::Redis(store) => store.rebuilt(partition).await,
        }
    }

    /// A page of a room's history, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn history(
        &self,
        room: &RoomId,
        direction: Direction,
        from: Cursor,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        match self {
            Self::Embedded(store) => store.history(room, direction, from, limit).await,
            Self::Redis(store) => store.history(room, direction, from, limit).await,
        }
    }

    /// A danmaku of a slice by its ID, if it is kept and moderation lets it be seen.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn find(&self, room: &RoomId, shard: u32, id: Position) -> Result<Option<HistoryItem>, StoreError> {
        match self {
            Self::Embedded(store) => store.find(room, shard, id).await,
            Self::Redis(store) => store.find(room, shard, id).await,
        }
    }

    /// The cursor that covers what was received before a time, Unix ms.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn cursor_at(&self, room: &RoomId, at_ms: i64) -> Result<Cursor, StoreError> {
        match self {
            Self::Embedded(store) => store.cursor_at(room, at_ms).await,
            Self::Redis(store) => store.cursor_at(room, at_ms).await,
        }
    }

    /// How much was said when in a room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn heat(&self, room: &RoomId) -> Result<Steps, StoreError> {
        match self {
            Self::Embedded(store) => store.heat(room).await,
            Self::Redis(store) => store.heat(room).await,
        }
    }

    /// What moderation came to in a room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn rules(&self, room: &RoomId) -> Result<RoomRules, StoreError> {
        match self {
            Self::Embedded(store) => store.rules(room).await,
            Self::Redis(store) => store.rules(room).await,
        }
    }

    /// Part of a room's ranking, best first, with the positions that it includes.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn ranking(&self, room: &RoomId, limit: u32, offset: u32) -> Result<Ranking, StoreError> {
        match self {
            Self::Embedded(store) => store.ranking(room, limit, offset).await,
            Self::Redis(store) => store.ranking(room, limit, offset).await,
        }
    }

    /// Users with a score in a room, counted up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn ranked_users(&self, room: &RoomId, limit: u32) -> Result<u32, StoreError> {
        match self {
            Self::Embedded(store) => store.ranked_users(room, limit).await,
            Self::Redis(store) => store.ranked_users(room, limit).await,
        }
    }

    /// A room's books and what was logged in it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn books(&self, room: &RoomId) -> Result<(Books, u64), StoreError> {
        match self {
            Self::Embedded(store) => store.books(room).await,
            Self::Redis(store) => store.books(room).await,
        }
    }

    /// Takes a room's books over: raises their epoch, so that nobody who held them before can save them.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn take_books(&self, room: &RoomId) -> Result<Books, StoreError> {
        match self {
            Self::Embedded(store) => store.take_books(room).await,
            Self::Redis(store) => store.take_books(room).await,
        }
    }

    /// Saves the books of rooms; gives back the rooms whose books somebody else has taken over.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: some may be saved.
    pub async fn save_books(&self, books: Vec<(RoomId, Books)>) -> Result<Vec<RoomId>, StoreError> {
        match self {
            Self::Embedded(store) => store.save_books(books).await,
            Self::Redis(store) => store.save_books(books).await,
        }
    }

    /// Why the last write, or read of history or ranking, failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Embedded(store) => store.trouble(),
            Self::Redis(store) => store.trouble(),
        }
    }
}
