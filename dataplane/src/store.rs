//! The store, embedded: rankings, history, applied offsets and books in one SQLite file.
//!
//! Everything here follows from a prefix of the log, so a transaction need not be durable at once: a crash takes the
//! store back to an earlier prefix, and the consumer reads on from there. [`Store::confirm`] says up to when it is.

mod apply;
mod books;
mod history;
mod ranking;
mod schema;

use std::{path::Path, sync::Arc};

use barrage_proto::Cursor;
use prometheus_client::registry::Registry;
use rusqlite::Connection;
use thiserror::Error;

use crate::{blocking::Shared, room::RoomId, trouble::Trouble};

pub use apply::{Metrics, SliceBatch, SliceRecord};
pub use books::{Books, Counts};
pub use history::{Direction, HistoryItem, HistoryPage};
pub use ranking::{Ranking, Scored};

/// Connections that answer reads at the same time.
const READERS: usize = 2;

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
    /// A read or write failed; nothing of it took effect.
    #[error("the store cannot be {doing}: {reason}")]
    Storage {
        /// `"written"`, `"read"`, …
        doing: &'static str,
        /// What SQLite says.
        reason: String,
    },
}

/// A handle; clones share one store.
#[derive(Clone)]
pub struct Store {
    writer: Shared<Connection>,
    readers: Arc<[Shared<Connection>; READERS]>,
    next_reader: Arc<std::sync::atomic::AtomicUsize>,
    metrics: Metrics,
    trouble: Trouble,
}

impl Store {
    /// Opens or makes `store.db` in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open(dir: &Path, registry: &mut Registry) -> Result<Self, StoreError> {
        let path = dir.join("store.db");
        let open =
            || schema::open(&path).map_err(|source| StoreError::Open { path: path.display().to_string(), source });
        let writer = Shared::new(open()?);
        let readers = Arc::new([Shared::new(open()?), Shared::new(open()?)]);
        Ok(Self {
            writer,
            readers,
            next_reader: Arc::default(),
            metrics: Metrics::register(registry),
            trouble: Trouble::default(),
        })
    }

    /// Applies records to their slices, all in one transaction: scores, history, what was logged, applied offsets.
    /// A record at or below its slice's applied offset changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: nothing was applied; safe to repeat.
    pub async fn apply(&self, batches: Arc<[SliceBatch]>) -> Result<(), StoreError> {
        let metrics = self.metrics.clone();
        self.write("written", move |connection| apply::apply(connection, &batches, &metrics)).await
    }

    /// Makes everything applied and saved so far durable.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn confirm(&self) -> Result<(), StoreError> {
        self.write("confirmed", schema::confirm).await
    }

    /// For each partition, the offset after the last one that is applied or in the books of any room.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn applied_ends(&self, partitions: u32) -> Result<Vec<u64>, StoreError> {
        self.read(move |connection| {
            let mut ends = apply::applied_ends(connection, partitions)?;
            for (_, record) in books::watermarks(connection)? {
                if let Some(end) = ends.get_mut(record.partition as usize) {
                    *end = (record.offset + 1).max(*end);
                }
            }
            Ok(ends)
        })
        .await
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
        let room = room.clone();
        self.read(move |connection| history::page(connection, &room, direction, &from, limit)).await
    }

    /// Part of a room's ranking, best first, with the offsets that it includes.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn ranking(&self, room: &RoomId, limit: u32, offset: u32) -> Result<Ranking, StoreError> {
        let room = room.clone();
        self.read(move |connection| ranking::page(connection, &room, limit, offset)).await
    }

    /// Users with a score in a room, counted up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn ranked_users(&self, room: &RoomId, limit: u32) -> Result<u32, StoreError> {
        let room = room.clone();
        self.read(move |connection| ranking::count(connection, &room, limit)).await
    }

    /// A room's books and what was logged in it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn books(&self, room: &RoomId) -> Result<(Books, u64), StoreError> {
        let room = room.clone();
        self.read(move |connection| books::load(connection, &room)).await
    }

    /// Saves the books of rooms.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub async fn save_books(&self, books: Vec<(RoomId, Books)>) -> Result<(), StoreError> {
        self.write("written", move |connection| books::save(connection, &books)).await
    }

    /// Why the last write failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.current()
    }

    async fn write<R: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.trouble.note(self.writer.run(work).await.map_err(|error| storage(doing, &error)))
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

fn storage(doing: &'static str, error: &rusqlite::Error) -> StoreError {
    StoreError::Storage { doing, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
