//! The log, embedded: partitions of records in one SQLite file.
//!
//! One thread does all writing and commits whatever has queued up as one transaction with one `fsync` (group commit), so
//! durability costs the latency of one commit, whatever the load, and no writer ever waits for another.

mod metrics;
mod schema;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot, watch};

use barrage_core::{
    blocking::Shared,
    clock::unix_ms,
    last_error::LastError,
    log::{
        Commit, DeadLetter, Lane, LogBackend, LogError, LogReader, LogRecord, NewRecord, OFFSET_LIMIT, PartitionState,
        Reader, Reading,
    },
};
use schema::{key, offset_of};

pub use metrics::Metrics;

/// Requests waiting for the writer; each worker has at most one under way for each partition.
const REQUEST_QUEUE: usize = 256;
/// How long records that took full effect stay in the log, and how often that is looked at.
const KEPT: Duration = Duration::from_secs(60 * 60);
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// What the writer is asked; one transaction takes many.
#[derive(Default)]
struct Work {
    records: Vec<NewRecord>,
    /// (partition, offset): where the consumer would start again.
    commits: Vec<(u32, u64)>,
    /// Committed records appended before this time are deleted, some at a time.
    trim_before_ms: Option<i64>,
    set_aside: Option<DeadLetter>,
}

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
pub struct EmbeddedLog {
    partitions: u32,
    requests: mpsc::Sender<Request>,
    ends: watch::Receiver<Arc<[u64]>>,
    reader: Shared<Connection>,
    checkpointer: Shared<Connection>,
    last_error: LastError,
    trimmed: Arc<Mutex<Instant>>,
}

impl EmbeddedLog {
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
            let connection = schema::open(&path)
                .map_err(|source| LogError::Open { path: path.display().to_string(), source: source.into() });
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
        let trimmed = Arc::new(Mutex::new(Instant::now()));
        writer::spawn(writer, queue, ends_sender, Metrics::register(registry));
        Ok(Self { partitions, requests, ends, reader, checkpointer, last_error: LastError::default(), trimmed })
    }

    /// Reads on from an offset: whole records, at most `records_max`, at least one if there is one.
    async fn read(&self, partition: u32, from: u64, records_max: u32) -> Result<Vec<LogRecord>, LogError> {
        self.reader
            .run(move |connection| {
                let mut query = connection.prepare_cached(
                    "SELECT key, append_ms, payload FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
                )?;
                let end = key(partition, OFFSET_LIMIT);
                let rows = query.query_map(params![key(partition, from), end, records_max], |row| {
                    let payload: Vec<u8> = row.get(2)?;
                    let (offset, append_ms) = (offset_of(row.get(0)?), row.get(1)?);
                    Ok(LogRecord { offset, append_ms, payload: payload.into(), trace: None })
                })?;
                rows.collect::<rusqlite::Result<_>>()
            })
            .await
            .map_err(|error| storage("read", &error))
    }

    /// Deletes records that are committed and older than `before_ms`, some at a time; returns how many.
    async fn trim(&self, before_ms: i64) -> Result<usize, LogError> {
        let done = self.request(Work { trim_before_ms: Some(before_ms), ..Work::default() }).await?;
        Ok(done.trimmed)
    }

    fn trim_is_due(&self) -> bool {
        let mut trimmed = self.trimmed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = trimmed.elapsed() >= TRIM_EVERY;
        if due {
            *trimmed = Instant::now();
        }
        due
    }

    async fn request(&self, work: Work) -> Result<Done, LogError> {
        let (reply, done) = oneshot::channel();
        self.requests.send(Request { work, reply }).await.map_err(|_| LogError::Closed)?;
        done.await.map_err(|_| LogError::Closed)?
    }
}

#[async_trait]
impl LogBackend for EmbeddedLog {
    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        let done = self.request(Work { records, ..Work::default() }).await;
        self.last_error.note(done).map(|done| done.offsets)
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.current()
    }

    /// Where it reads makes no difference: a file has no places.
    fn reader(&self, partition: u32, from: u64, _: Reading) -> Result<Reader, LogError> {
        Ok(Box::new(EmbeddedReader { log: self.clone(), ends: self.ends.clone(), partition, next: from }))
    }

    async fn state(&self, partition: u32) -> Result<PartitionState, LogError> {
        self.reader
            .run(move |connection| schema::state(connection, partition))
            .await
            .map_err(|error| storage("read", &error))
    }

    async fn rewind(&self, partition: u32, offset: u64, window_ms: i64) -> Result<u64, LogError> {
        self.reader
            .run(move |connection| schema::rewind(connection, partition, offset, window_ms))
            .await
            .map_err(|error| storage("read", &error))
    }

    async fn commit(&self, commits: Vec<Commit>) -> Result<(), LogError> {
        let commits = commits.into_iter().map(|commit| (commit.partition, commit.offset)).collect();
        self.request(Work { commits, ..Work::default() }).await?;
        // Beside the writer: folding its log into the file takes longer than a danmaku should wait.
        self.checkpointer
            .run(|connection| schema::checkpoint(connection))
            .await
            .map_err(|error| storage("folded", &error))?;
        if self.trim_is_due() {
            let before_ms = unix_ms() - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
            while self.trim(before_ms).await? > 0 {}
        }
        Ok(())
    }

    async fn set_aside(&self, letter: DeadLetter) -> Result<(), LogError> {
        self.request(Work { set_aside: Some(letter), ..Work::default() }).await.map(drop)
    }

    /// Appends as any other: the next one is not refused when the one before it fails, so there is one at a time.
    async fn append_in(&self, _: &Lane, _: bool, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        self.append(records).await
    }

    fn lane_appends_max(&self) -> usize {
        1
    }

    fn degraded(&self) -> Option<String> {
        None
    }
}

/// Reads one partition.
pub struct EmbeddedReader {
    log: EmbeddedLog,
    ends: watch::Receiver<Arc<[u64]>>,
    partition: u32,
    next: u64,
}

#[async_trait]
impl LogReader for EmbeddedReader {
    async fn next(&mut self, records_max: u32) -> Result<Vec<LogRecord>, LogError> {
        loop {
            let end = self.ends.borrow_and_update().get(self.partition as usize).copied().unwrap_or_default();
            if self.next < end {
                let records = self.log.read(self.partition, self.next, records_max).await?;
                // What a damaged log lost is a hole in the offsets.
                self.next = records.last().map_or(end, |record| record.offset + 1);
                if !records.is_empty() {
                    return Ok(records);
                }
            } else {
                self.ends.changed().await.map_err(|_| LogError::Closed)?;
            }
        }
    }
}

fn storage(doing: &'static str, error: &rusqlite::Error) -> LogError {
    LogError::Storage { doing, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
