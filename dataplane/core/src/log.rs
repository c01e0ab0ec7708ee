//! The log: partitions of records, durable once acknowledged. The log is the truth; the store holds what follows from a
//! prefix of it.
//!
//! In a cluster it is a topic of Kafka, in dev mode one file. The stages see only what the two have in common:
//! [`LogBackend`].

use std::sync::{Arc, atomic::AtomicU64};

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::trace::TraceParent;

/// One past the highest offset that a partition can have, whoever keeps the log: 35 years of a thousand records a second.
pub const OFFSET_LIMIT: u64 = 1 << 40;

/// A record to append.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Partition, below [`LogBackend::partitions`].
    pub partition: u32,
    /// Encoded [`barrage_proto::log::Record`].
    pub payload: Bytes,
    /// The trace that it is part of, if it is traced.
    pub trace: Option<TraceParent>,
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
    /// The trace that it is part of, if it was appended with one and the log keeps it.
    pub trace: Option<TraceParent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// Offset of the oldest record kept.
    pub start: u64,
    /// Offset that the next record will get.
    pub end: u64,
    pub committed: u64,
    /// Epoch of the route table by which an owner gave the partition up when it committed; 0 when it has not.
    pub released: u64,
}

/// Where a partition's next owner starts: everything below took full effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    pub partition: u32,
    /// The first offset that may not have taken full effect.
    pub offset: u64,
    /// Epoch of the route table by which the owner gives the partition up with this; 0 when it stays.
    pub released: u64,
}

/// A record that could not be applied, set aside so that its partition goes on.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub partition: u32,
    pub offset: u64,
    pub reason: String,
    /// The record as it is.
    pub payload: Bytes,
}

/// Which of a partition's readers: each has its own place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// At the end of the log, for viewers.
    Live,
    /// Behind it: what somebody missed.
    CatchUp,
}

/// The log cannot do what was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be opened or its content is damaged.
    #[error(
        "cannot open the log {path}: {source}. If the file is damaged, move it away: danmaku in it are lost, history and ranking stay in the store"
    )]
    Open { path: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// Another number of partitions than the file was made with; it decides where every room lives.
    #[error("the log was made with {made} partitions and cannot be opened with {asked}")]
    Partitions {
        /// Partitions in the file.
        made: u32,
        /// Partitions asked for.
        asked: u32,
    },
    /// A read or write failed; nothing of it took effect, or nothing is known of it.
    #[error("the log cannot be {doing}: {reason}")]
    Storage {
        /// `"written"`, `"read"`, …
        doing: &'static str,
        reason: String,
    },
    /// What writes the log has stopped: the process is going down.
    #[error("the log is closed")]
    Closed,
}

/// Appends in a row, several of them under way: within a partition they get into the log in order, and behind one that
/// fails no later one does until its caller knows and begins anew, `alone`.
#[derive(Debug, Default)]
pub struct Lane(AtomicU64);

impl Lane {
    /// Number of the batch that the newest append of the lane stands behind; kept by the backend.
    #[must_use]
    pub const fn last(&self) -> &AtomicU64 {
        &self.0
    }
}

/// A handle; clones share one log.
pub type Log = Arc<dyn LogBackend>;

/// What keeps a log. Calls are for batches, so that the boxed future of each costs nothing that counts.
#[async_trait]
pub trait LogBackend: Send + Sync {
    /// Partitions of the log; fixed when it was made.
    fn partitions(&self) -> u32;

    /// Appends records; returns their offsets, in order, once they are durable.
    ///
    /// # Errors
    /// [`LogError::Storage`]: tell the senders to send again, marked as a retry; a record may be in the log all the
    /// same.
    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError>;

    /// Appends behind what is still under way in `lane`, or, where `alone`, as its first: see [`Lane`].
    ///
    /// # Errors
    /// As of [`Self::append`]; also when what is under way has failed, and nobody knows yet.
    async fn append_in(&self, lane: &Lane, alone: bool, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError>;

    /// Appends that may be under way in a lane at once.
    fn lane_appends_max(&self) -> usize;

    /// Why the last append failed, if it did.
    fn last_error(&self) -> Option<String>;

    /// What of the log is down while the rest serves: copies that are behind, partitions without a leader.
    fn degraded(&self) -> Option<String>;

    /// What is known of a partition.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    async fn state(&self, partition: u32) -> Result<PartitionState, LogError>;

    /// Reads a partition on from an offset, or from its oldest record if that is later. One [`Reading`] of a partition
    /// at a time; dropping the reader ends it.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    fn reader(&self, partition: u32, from: u64, reading: Reading) -> Result<Reader, LogError>;

    /// Offset of the first record below `offset` that was appended within `window_ms` before the record there.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    async fn rewind(&self, partition: u32, offset: u64, window_ms: i64) -> Result<u64, LogError>;

    /// Remembers where partitions' next owners start.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    async fn commit(&self, commits: Vec<Commit>) -> Result<(), LogError>;

    /// Sets a record aside, durably.
    ///
    /// # Errors
    /// [`LogError::Storage`].
    async fn set_aside(&self, letter: DeadLetter) -> Result<(), LogError>;
}

/// Reads one partition in order.
pub type Reader = Box<dyn LogReader>;

#[async_trait]
pub trait LogReader: Send {
    /// The next records, at most `records_max`; waits until there is one. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// [`LogError::Storage`]: try again.
    async fn next(&mut self, records_max: u32) -> Result<Vec<LogRecord>, LogError>;
}
