//! The consumer: reads partitions of the log, applies what it reads to the store, and beside that hands every danmaku
//! to the room's ranker.
//!
//! Two tasks: *relay* reads, drops repeats and hands on; *apply* writes to the store behind it, several polls in one
//! transaction when it falls behind. The commit trails what the store holds durably and what the ranker accounts for.

mod apply;
mod dedupe;
mod metrics;
mod outstanding;
mod poll;

use std::{collections::HashMap, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    link::ToRanker,
    log::{Log, LogError},
    room::Rooms,
    store::{Store, StoreError},
};
use dedupe::Dedupe;
use poll::Poll;

pub use metrics::Metrics;

/// Records taken from a partition at once.
const POLL_RECORDS_MAX: u32 = 1_000;
/// Polls between relay and apply, and danmaku in them. A store that pauses for a sync holds up no viewer; one that is
/// away lets the relay wait here, so memory stays bounded.
const APPLY_QUEUE: usize = 1_024;
const APPLY_QUEUE_DANMAKU: usize = 100_000;

/// How long to wait before a read or a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// The consumer cannot begin.
#[derive(Debug, Error)]
pub enum ConsumerError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store cannot be read at the start.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a consumer works with.
pub struct Deps {
    /// Where danmaku come from.
    pub log: Log,
    /// Where history and ranking go.
    pub store: Store,
    /// Rooms that are served; records of others are kept, not shown.
    pub rooms: Rooms,
    /// The ranker of all rooms.
    pub ranker: ToRanker,
    /// What is counted.
    pub metrics: Metrics,
}

/// Runs until `shutdown`; then what was read is applied and committed.
///
/// # Errors
/// [`ConsumerError`]: the log or the store cannot be read at the start. Later failures are tried again.
pub async fn run(deps: Deps, shutdown: CancellationToken) -> Result<(), ConsumerError> {
    let Deps { log, store, rooms, ranker, metrics } = deps;
    let ToRanker { candidates, accounted } = ranker;
    let starts = starts(&log, &store).await?;
    let mut relay = Relay {
        log: log.clone(),
        rooms: rooms.clone(),
        candidates,
        metrics: metrics.clone(),
        dedupe: HashMap::new(),
        next: starts.clone(),
    };
    relay.warm().await?;
    let (polls, queue) = mpsc::channel(APPLY_QUEUE);
    let room = Arc::new(Semaphore::new(APPLY_QUEUE_DANMAKU));
    let applier = apply::Applier::new(log, store, rooms, starts, metrics);
    let applying = tokio::spawn(applier.run(queue, accounted, shutdown.clone()));
    relay.run(ToApply { polls, room }, shutdown).await;
    if let Err(error) = applying.await {
        tracing::error!(%error, "applying stopped; the log keeps what is left to apply");
    }
    Ok(())
}

/// Where to start reading each partition.
///
/// At the commit; but a store that is behind its log's commit (it was moved away or restored from a copy) is filled
/// again from the oldest record there is: the store passes over what it has.
async fn starts(log: &Log, store: &Store) -> Result<Vec<u64>, ConsumerError> {
    let applied_ends = store.applied_ends(log.partitions()).await?;
    let mut starts = Vec::with_capacity(applied_ends.len());
    for (partition, applied_end) in (0_u32..).zip(applied_ends) {
        let state = log.state(partition).await?;
        let intact = applied_end >= state.committed;
        if !intact && state.start > applied_end {
            tracing::error!(
                partition,
                lost_records = state.start - applied_end,
                "data lost: the store is older than the oldest record of the log; history and ranking miss what lies between"
            );
        }
        starts.push(if intact { state.committed.max(state.start) } else { state.start });
    }
    Ok(starts)
}

/// The relay's end toward apply.
struct ToApply {
    polls: mpsc::Sender<(Poll, OwnedSemaphorePermit)>,
    /// Danmaku that may still be put into the queue.
    room: Arc<Semaphore>,
}

impl ToApply {
    /// Waits for room. An applier that is gone has said why; the log keeps what it missed.
    async fn send(&self, poll: Poll) {
        let danmaku = u32::try_from(poll.danmaku().min(APPLY_QUEUE_DANMAKU)).unwrap_or(u32::MAX);
        if let Ok(taken) = Arc::clone(&self.room).acquire_many_owned(danmaku).await {
            let _ = self.polls.send((poll, taken)).await;
        }
    }
}

struct Relay {
    log: Log,
    rooms: Rooms,
    candidates: mpsc::Sender<crate::link::Candidates>,
    metrics: Metrics,
    dedupe: HashMap<u32, Dedupe>,
    next: Vec<u64>,
}

impl Relay {
    /// Reads the window before each start again, so that repeats of what stands there are known.
    async fn warm(&mut self) -> Result<(), ConsumerError> {
        for (partition, start) in (0_u32..).zip(self.next.clone()) {
            let mut from = self.log.rewind(partition, start, dedupe::WINDOW_MS).await?;
            while from < start {
                let records = self.log.read(partition, from, POLL_RECORDS_MAX).await?;
                let Some(last) = records.last() else { break };
                from = last.offset + 1;
                let before = records.into_iter().filter(|record| record.offset < start).collect();
                Poll::read(partition, before, self.dedupe.entry(partition).or_default(), &self.metrics);
            }
        }
        Ok(())
    }

    async fn run(mut self, apply: ToApply, shutdown: CancellationToken) {
        let relaying = async {
            let mut ends = self.log.ends();
            loop {
                match self.pass(&apply).await {
                    Ok(true) => {}
                    Ok(false) => {
                        if ends.changed().await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "reading is tried again");
                        sleep(RETRY_AFTER).await;
                    }
                }
            }
        };
        tokio::select! {
            () = relaying => {}
            // What was not handed on yet is read again at the next start.
            () = shutdown.cancelled() => {}
        }
    }

    /// One poll of each partition; false when there was nothing left to read.
    async fn pass(&mut self, apply: &ToApply) -> Result<bool, LogError> {
        let mut any = false;
        for partition in 0..self.log.partitions() {
            let index = partition as usize;
            let end = self.log.ends().borrow().get(index).copied().unwrap_or_default();
            if self.next[index] >= end {
                continue;
            }
            let records = self.log.read(partition, self.next[index], POLL_RECORDS_MAX).await?;
            // What a damaged log lost is a hole in the offsets.
            self.next[index] = records.last().map_or(end, |record| record.offset + 1);
            any = true;
            let dedupe = self.dedupe.entry(partition).or_default();
            let poll = Poll::read(partition, records, dedupe, &self.metrics);
            for candidates in poll.candidates(&self.rooms) {
                // A ranker that is gone shows in its own health; the log keeps what it missed.
                let _ = self.candidates.send(candidates).await;
            }
            apply.send(poll).await;
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests;
