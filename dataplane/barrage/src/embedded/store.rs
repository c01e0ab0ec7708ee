//! The store, embedded: rankings, history, applied offsets and ledgers in one SQLite file.
//!
//! A transaction is not durable at once: a crash takes the file back to an earlier prefix of the log.

mod apply;
mod heat;
mod history;
mod ledger;
mod ranking;
mod rules;
mod schema;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use barrage_proto::{Cursor, Position};
use prometheus_client::registry::Registry;
use rusqlite::Connection;

use barrage_core::{
    blocking::Shared,
    last_error::LastError,
    moderation::RoomRules,
    room::RoomId,
    store::{
        Applied, Confirmed, Direction, HistoryItem, HistoryPage, Ledger, Ranking, Reached, SliceBatch, Start, Steps,
        StoreBackend, StoreError,
    },
};

pub use apply::Metrics;

/// Connections that answer reads at the same time.
const READERS: usize = 2;

/// A handle; clones share one store.
#[derive(Clone)]
pub struct EmbeddedStore {
    writer: Shared<Connection>,
    readers: Arc<[Shared<Connection>; READERS]>,
    next_reader: Arc<std::sync::atomic::AtomicUsize>,
    metrics: Metrics,
    last_error: LastError,
}

impl EmbeddedStore {
    /// Opens or makes `store.db` in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open(dir: &Path, registry: &mut Registry) -> Result<Self, StoreError> {
        let path = dir.join("store.db");
        let open = || {
            schema::open(&path)
                .map_err(|source| StoreError::Open { path: path.display().to_string(), source: source.into() })
        };
        let writer = Shared::new(open()?);
        let readers = Arc::new([Shared::new(open()?), Shared::new(open()?)]);
        Ok(Self {
            writer,
            readers,
            next_reader: Arc::default(),
            metrics: Metrics::register(registry),
            last_error: LastError::default(),
        })
    }

    /// For each partition, the offset after the last one that is applied or in the ledger of any room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn applied_ends(&self, partitions: u32) -> Result<Vec<u64>, StoreError> {
        self.read(move |connection| {
            let mut ends = apply::applied_ends(connection, partitions)?;
            for (_, record) in ledger::watermarks(connection)? {
                if let Some(end) = ends.get_mut(record.partition as usize) {
                    *end = (record.offset + 1).max(*end);
                }
            }
            Ok(ends)
        })
        .await
    }

    async fn write<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.last_error.note(self.writer.run(work).await.map_err(|error| storage(doing, &error)))
    }

    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let turn = self.next_reader.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let reader = &self.readers[turn % READERS];
        reader.run(|connection| work(connection)).await.map_err(|error| storage("read", &error))
    }
}

#[async_trait]
impl StoreBackend for EmbeddedStore {
    async fn apply(&self, batches: Arc<[SliceBatch]>) -> Vec<Result<Applied, StoreError>> {
        let metrics = self.metrics.clone();
        let all = Arc::clone(&batches);
        let applied = self.write("written", move |connection| apply::apply(connection, &all, &metrics)).await;
        let reason = applied.err().map(|error| error.to_string());
        let outcome = |_| reason.clone().map_or(Ok(Applied::Whole), |reason| Err(failed("written", reason)));
        batches.iter().map(outcome).collect()
    }

    /// The commit's `fsync`; what it is of needs no telling.
    async fn confirm(&self, _: &[Reached]) -> Result<Confirmed, StoreError> {
        self.write("confirmed", schema::confirm).await.map(|()| Confirmed::Yes)
    }

    /// A file that is behind its log's commit was moved away or restored from a copy: what it has is passed over.
    async fn start(&self, partition: u32, committed: u64) -> Result<Start, StoreError> {
        let applied_end = self.applied_ends(partition + 1).await?.pop().unwrap_or_default();
        Ok(Start { offset: if applied_end >= committed { committed } else { 0 }, generation: 0 })
    }

    /// Nothing is marked as lost here.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)]
    async fn rebuilt(&self, _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    async fn history(
        &self,
        room: &RoomId,
        direction: Direction,
        from: Cursor,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let room = room.clone();
        self.read(move |connection| history::page(connection, &room, direction, &from, limit)).await
    }

    async fn find(&self, room: &RoomId, shard: u32, id: Position) -> Result<Option<HistoryItem>, StoreError> {
        let room = room.clone();
        self.read(move |connection| history::find(connection, &room, shard, id)).await
    }

    async fn cursor_at(&self, room: &RoomId, at_ms: i64) -> Result<Cursor, StoreError> {
        let room = room.clone();
        self.read(move |connection| history::cursor_at(connection, &room, at_ms)).await
    }

    async fn heat(&self, room: &RoomId) -> Result<Steps, StoreError> {
        let room = room.clone();
        self.read(move |connection| heat::of_room(connection, &room)).await
    }

    async fn rules(&self, room: &RoomId) -> Result<RoomRules, StoreError> {
        let room = room.clone();
        self.read(move |connection| rules::of_room(connection, &room)).await
    }

    async fn ranking(&self, room: &RoomId, limit: u32) -> Result<Ranking, StoreError> {
        let room = room.clone();
        self.read(move |connection| ranking::best(connection, &room, limit)).await
    }

    async fn ledger(&self, room: &RoomId) -> Result<(Ledger, u64), StoreError> {
        let room = room.clone();
        self.read(move |connection| ledger::load(connection, &room)).await
    }

    async fn take_ledger(&self, room: &RoomId) -> Result<Ledger, StoreError> {
        let room = room.clone();
        self.write("written", move |connection| ledger::take(connection, &room)).await
    }

    async fn save_ledgers(&self, ledgers: Vec<(RoomId, Ledger)>) -> Result<Vec<RoomId>, StoreError> {
        self.write("written", move |connection| ledger::save(connection, &ledgers)).await
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.current()
    }
}

fn storage(doing: &'static str, error: &rusqlite::Error) -> StoreError {
    failed(doing, error.to_string())
}

const fn failed(doing: &'static str, reason: String) -> StoreError {
    StoreError::Storage { doing, reason }
}

#[cfg(test)]
mod tests;
