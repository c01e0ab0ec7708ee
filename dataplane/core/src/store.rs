//! The store: what follows from a prefix of the log. Rankings, history, applied positions and ledgers.
//!
//! In a cluster it is a Redis Cluster, in dev mode one file. Nothing here has to be durable at once: what is lost is
//! found again in the log, from the commit, which trails what [`StoreBackend::confirm`] said.

pub mod block;
pub mod heat;
pub mod history;
pub mod ledger;
pub mod ranking;

use std::sync::Arc;

use async_trait::async_trait;
use barrage_proto::{Cursor, Position, log::Record};
use thiserror::Error;

use crate::{moderation::RoomRules, room::RoomId};

pub use heat::{STEP_MS, Steps};
pub use history::{Direction, HistoryItem, HistoryPage};
pub use ledger::{Counts, Ledger};
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

/// Where a partition is applied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// The first offset to apply.
    pub offset: u64,
    /// How many replacements of nodes the store had noticed then.
    pub generation: u64,
}

/// How far a partition is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub partition: u32,
    /// The offset after the last record that is applied.
    pub end: u64,
    /// That of the [`Start`] since which it was applied.
    pub generation: u64,
}

/// Whether what was written before is safe from the loss of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It is.
    Yes,
    /// A node was replaced or restarted meanwhile, what it had may be lost: apply again from [`StoreBackend::start`].
    Void,
}

/// The store cannot do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened or its content is damaged.
    #[error(
        "cannot open the store {path}: {source}. If the file is damaged, move it away: it is filled again from what the log still holds"
    )]
    Open { path: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A node is not set as it has to be for what is written to be kept.
    #[error("{node}: {setting} is {found}, it has to be {wanted}. Set it, then start again")]
    Setting {
        /// The node's address.
        node: String,
        setting: &'static str,
        found: String,
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
        reason: String,
    },
}

/// A handle; clones share one store.
pub type Store = Arc<dyn StoreBackend>;

/// What keeps rankings, history and ledgers. Calls are for batches, so that the boxed future of each costs nothing that
/// counts.
#[async_trait]
pub trait StoreBackend: Send + Sync {
    /// Applies records to their slices, each slice at once or not at all: scores, history, what was logged, the applied
    /// position. A record at or below its slice's applied position changes nothing. One outcome a batch, in order.
    ///
    /// Safe to repeat, whatever the outcome.
    async fn apply(&self, batches: Arc<[SliceBatch]>) -> Vec<Result<Applied, StoreError>>;

    /// Makes everything written so far safe from the loss of a node. `reached` says how far the caller has applied each
    /// partition, and since which [`StoreBackend::start`]: what was begun before a node was replaced is void.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: not confirmed; try again.
    async fn confirm(&self, reached: &[Reached]) -> Result<Confirmed, StoreError>;

    /// Where to read a partition from so that the store misses nothing: `committed`, or lower if the store has lost
    /// what it had confirmed; 0 if the partition has to be filled again, with [`SliceBatch::rebuilding`].
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn start(&self, partition: u32, committed: u64) -> Result<Start, StoreError>;

    /// Everything that a partition's log holds has been applied again since [`Applied::Lost`].
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn rebuilt(&self, partition: u32) -> Result<(), StoreError>;

    /// A page of a room's history, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn history(
        &self,
        room: &RoomId,
        direction: Direction,
        from: Cursor,
        limit: usize,
    ) -> Result<HistoryPage, StoreError>;

    /// A danmaku of a slice by its ID, if it is kept and moderation lets it be seen.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn find(&self, room: &RoomId, shard: u32, id: Position) -> Result<Option<HistoryItem>, StoreError>;

    /// The cursor that covers what was received before a time, Unix ms.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn cursor_at(&self, room: &RoomId, at_ms: i64) -> Result<Cursor, StoreError>;

    /// How much was said when in a room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn heat(&self, room: &RoomId) -> Result<Steps, StoreError>;

    /// What moderation came to in a room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn rules(&self, room: &RoomId) -> Result<RoomRules, StoreError>;

    /// A room's users with the highest scores, at most `limit`, and the positions that these include.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn ranking(&self, room: &RoomId, limit: u32) -> Result<Ranking, StoreError>;

    /// A room's ledger and what was logged in it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn ledger(&self, room: &RoomId) -> Result<(Ledger, u64), StoreError>;

    /// Takes a room's ledger over: raises its epoch, so that nobody who held it before can save it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    async fn take_ledger(&self, room: &RoomId) -> Result<Ledger, StoreError>;

    /// Saves the ledgers of rooms; gives back the rooms whose ledger somebody else has taken over.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: some may be saved.
    async fn save_ledgers(&self, ledgers: Vec<(RoomId, Ledger)>) -> Result<Vec<RoomId>, StoreError>;

    /// Why the last write, or read of history or ranking, failed, if it did.
    fn last_error(&self) -> Option<String>;
}
