//! The log, embedded: partitions of records in one SQLite file, durable once acknowledged.
//!
//! The log is the truth; the store holds what follows from a prefix of it. One thread does all writing and commits
//! whatever has queued up as one transaction with one `fsync` (group commit), so durability costs the latency of one
//! commit, whatever the load, and no writer ever waits for another.

mod metrics;
mod schema;
mod writer;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use rusqlite::{Connection, params};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{blocking::Shared, trouble::Trouble};
use schema::{key, offset_of};

pub use metrics::Metrics;
pub use schema::OFFSET_LIMIT;

/// Requests waiting for the writer; each gateway shard has at most one under way.
const REQUEST_QUEUE: usize = 256;

/// A record to append.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Partition, below [`Log::partitions`].
    pub partition: u32,
    /// Encoded [`barrage_proto::log::Record`].
    pub payload: Bytes,
}

/// A record as it stands in the log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Offset in its partition.
    pub offset: u64,
    /// Unix time of the append, ms; never falls within a partition.
    pub append_ms: i64,
    /// Encoded [`barrage_proto::log::Record`].
    pub payload: Bytes,
}

/// What is known of a partition at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// Offset of the oldest record kept.
    pub start: u64,
    /// Offset that the next record will get.
    pub end: u64,
    /// Where the consumer starts.
    pub committed: u64,
}

/// The log cannot do what was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be opened or its content is damaged.
    #[error(
        "cannot open the log {path}: {source}. If the file is damaged, move it away: danmaku in it are lost, history and ranking stay in the store"
    )]
    Open {
        /// The file.
        path: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another number of partitions than the file was made with; it decides where every room lives.
    #[error("the log was made with {made} partitions and cannot be opened with {asked}")]
    Partitions {
        /// Partitions in the file.
        made: u32,
        /// Partitions asked for.
        asked: u32,
    },
    /// A read or write failed; nothing of it took effect.
    #[error("the log cannot be {doing}: {reason}")]
    Storage {
        /// `"written"`, `"read"`, …
        doing: &'static str,
        /// What SQLite says.
        reason: String,
    },
    /// The writer has stopped: the process is going down.
    #[error("the log is closed")]
    Closed,
}

/// What the writer is asked; one transaction takes many.
#[derive(Default)]
struct Work {
    records: Vec<NewRecord>,
    /// (partition, offset): where the consumer would start again.
    commits: Vec<(u32, u64)>,
    /// Committed records appended before this time are deleted, some at a time.
    trim_before_ms: Option<i64>,
}

/// What the writer did.
struct Done {
    offsets: Vec<u64>,
    trimmed: usize,
}

struct Request {
    work: Work,
    reply: oneshot::Sender<Result<Done, LogError>>,
}

/// A handle; clones share one log.
#[derive(Clone)]
pub struct Log {
    partitions: u32,
    requests: mpsc::Sender<Request>,
    ends: watch::Receiver<Arc<[u64]>>,
    reader: Shared<Connection>,
    checkpointer: Shared<Connection>,
    trouble: Trouble,
}

impl Log {
    /// Opens or makes `log.db` in `dir`, with one partition for each of `floors`.
    ///
    /// A partition goes on at its floor if it ends below: the store has applied up to there, so the log lost its
    /// tail, and an offset must never be given twice.
    ///
    /// # Errors
    /// [`LogError::Open`], [`LogError::Partitions`].
    pub fn open(dir: &Path, floors: &[u64], registry: &mut Registry) -> Result<Self, LogError> {
        let path = dir.join("log.db");
        let partitions = u32::try_from(floors.len()).unwrap_or(u32::MAX);
        let open = || {
            let connection =
                schema::open(&path).map_err(|source| LogError::Open { path: path.display().to_string(), source });
            connection.and_then(|connection| schema::prepare(&connection, partitions).map(|()| connection))
        };
        let writer = open()?;
        let lost = schema::raise_ends(&writer, floors).map_err(|error| storage("read", &error))?;
        if lost > 0 {
            tracing::error!(
                records = lost,
                "the log lost its tail (a damaged file?); the store had these records already, nothing else is known of later ones"
            );
        }
        let ends = schema::ends(&writer).map_err(|error| storage("read", &error))?;
        let (ends_sender, ends) = watch::channel(ends.into());
        let (requests, queue) = mpsc::channel(REQUEST_QUEUE);
        let (reader, checkpointer) = (Shared::new(open()?), Shared::new(open()?));
        writer::spawn(writer, queue, ends_sender, Metrics::register(registry));
        Ok(Self { partitions, requests, ends, reader, checkpointer, trouble: Trouble::default() })
    }

    /// Partitions of the log; fixed when it was made.
    #[must_use]
    pub const fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Appends records; returns their offsets, in order, once they are durable.
    ///
    /// # Errors
    /// [`LogError::Storage`]: none of them is in the log (the disk may be full; try again).
    pub async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        let done = self.request(Work { records, ..Work::default() }).await;
        self.trouble.note(done).map(|done| done.offsets)
    }

    /// Why the last append failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.current()
    }

    /// The next offset of each partition, changing with every commit.
    #[must_use]
    pub fn ends(&self) -> watch::Receiver<Arc<[u64]>> {
        self.ends.clone()
    }

    /// Reads on from an offset: whole records, at most `records_max`, at least one if there is one.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub async fn read(&self, partition: u32, from: u64, records_max: u32) -> Result<Vec<LogRecord>, LogError> {
        self.reader
            .run(move |connection| {
                let mut query = connection.prepare_cached(
                    "SELECT key, append_ms, payload FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
                )?;
                let end = key(partition, OFFSET_LIMIT);
                let rows = query.query_map(params![key(partition, from), end, records_max], |row| {
                    let payload: Vec<u8> = row.get(2)?;
                    Ok(LogRecord { offset: offset_of(row.get(0)?), append_ms: row.get(1)?, payload: payload.into() })
                })?;
                rows.collect::<rusqlite::Result<_>>()
            })
            .await
            .map_err(|error| storage("read", &error))
    }

    /// What is known of a partition.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub async fn state(&self, partition: u32) -> Result<PartitionState, LogError> {
        self.reader
            .run(move |connection| schema::state(connection, partition))
            .await
            .map_err(|error| storage("read", &error))
    }

    /// Offset of the first record below `offset` that was appended within `window_ms` before the record there.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub async fn rewind(&self, partition: u32, offset: u64, window_ms: i64) -> Result<u64, LogError> {
        self.reader
            .run(move |connection| schema::rewind(connection, partition, offset, window_ms))
            .await
            .map_err(|error| storage("read", &error))
    }

    /// Remembers where the consumer would start again: everything below took full effect.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub async fn commit(&self, commits: Vec<(u32, u64)>) -> Result<(), LogError> {
        self.request(Work { commits, ..Work::default() }).await?;
        // Beside the writer: folding its log into the file takes longer than a danmaku should wait.
        self.checkpointer
            .run(|connection| schema::checkpoint(connection))
            .await
            .map_err(|error| storage("folded", &error))
    }

    /// Deletes records that are committed and older than `before_ms`, some at a time; returns how many.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    pub async fn trim(&self, before_ms: i64) -> Result<usize, LogError> {
        let done = self.request(Work { trim_before_ms: Some(before_ms), ..Work::default() }).await?;
        Ok(done.trimmed)
    }

    async fn request(&self, work: Work) -> Result<Done, LogError> {
        let (reply, done) = oneshot::channel();
        self.requests.send(Request { work, reply }).await.map_err(|_| LogError::Closed)?;
        done.await.map_err(|_| LogError::Closed)?
    }
}

fn storage(doing: &'static str, error: &rusqlite::Error) -> LogError {
    LogError::Storage { doing, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
