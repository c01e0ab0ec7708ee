//! The writing side of the consumer: polls to the store, then the commit.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{RETRY_AFTER, metrics::Metrics, outstanding::Outstanding, poll::Poll};
use crate::{
    link::Accounted,
    log::Log,
    room::{RoomId, Rooms},
    store::{SliceBatch, Store},
};

/// How often what was applied is made durable and committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Danmaku that the history of a room keeps which nobody serves now: the default of a room's manifest.
const UNSERVED_HISTORY_LENGTH: u64 = 10_000;
/// Records in one transaction at the most, so that no transaction grows with the lag.
const TRANSACTION_RECORDS_MAX: usize = 4_000;
/// How long records that took full effect stay in the log.
const LOG_KEPT: Duration = Duration::from_secs(60 * 60);

/// Polls, each with the room that it takes in the queue.
type Queue = mpsc::Receiver<(Poll, OwnedSemaphorePermit)>;

pub(super) struct Applier {
    log: Log,
    store: Store,
    rooms: Rooms,
    metrics: Metrics,
    /// For each partition, the offset after the last one applied, and what the ranker still owes.
    partitions: Vec<(u64, Outstanding)>,
    committed: Vec<u64>,
}

impl Applier {
    pub(super) fn new(log: Log, store: Store, rooms: Rooms, starts: Vec<u64>, metrics: Metrics) -> Self {
        let partitions = starts.iter().map(|&start| (start, Outstanding::default())).collect();
        Self { log, store, rooms, metrics, partitions, committed: starts }
    }

    /// Runs until the relay has gone and all it read is applied.
    ///
    /// After `shutdown` a write that fails is given up: the log keeps what it would have done.
    pub(super) async fn run(
        mut self,
        mut polls: Queue,
        mut accounted: mpsc::Receiver<Accounted>,
        shutdown: CancellationToken,
    ) {
        let mut commit = interval(COMMIT_EVERY);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trimmed = Instant::now();
        loop {
            tokio::select! {
                poll = polls.recv() => match poll {
                    Some(first) => {
                        if !self.apply(first, &mut polls, &shutdown).await {
                            return;
                        }
                    }
                    None => break,
                },
                Some(done) = accounted.recv() => self.account(&done),
                _ = commit.tick() => {
                    self.measure_lag();
                    self.commit().await;
                    if trimmed.elapsed() >= LOG_KEPT / 60 {
                        trimmed = Instant::now();
                        self.trim().await;
                    }
                }
            }
        }
        while let Ok(done) = accounted.try_recv() {
            self.account(&done);
        }
        self.commit().await;
    }

    /// Applies what is at hand; false when it was given up.
    async fn apply(
        &mut self,
        (first, taken): (Poll, OwnedSemaphorePermit),
        queue: &mut Queue,
        shutdown: &CancellationToken,
    ) -> bool {
        let mut polls = vec![first];
        // Given back when all is applied.
        let mut taken = vec![taken];
        let mut records = records_of(&polls[0]);
        while records < TRANSACTION_RECORDS_MAX
            && let Ok((next, also_taken)) = queue.try_recv()
        {
            taken.push(also_taken);
            records += records_of(&next);
            polls.push(next);
        }
        self.expect_accounts(&polls);
        let ends: Vec<_> = polls.iter().map(|poll| (poll.partition, poll.end)).collect();
        let batches: Arc<[SliceBatch]> = polls.into_iter().flat_map(|poll| self.batches(poll)).collect();
        while let Err(error) = self.store.apply(Arc::clone(&batches)).await {
            self.metrics.apply_failures.inc();
            if shutdown.is_cancelled() {
                tracing::error!(%error, "applying is given up; it is done at the next start");
                return false;
            }
            tracing::warn!(%error, "applying is tried again; the log keeps what waits");
            sleep(RETRY_AFTER).await;
        }
        for (partition, end) in ends {
            let applied = &mut self.partitions[partition as usize].0;
            *applied = end.max(*applied);
        }
        drop(taken);
        true
    }

    fn measure_lag(&self) {
        let ends = self.log.ends();
        let behind = |(end, (applied, _)): (&u64, &(u64, Outstanding))| end.saturating_sub(*applied);
        let lag: u64 = ends.borrow().iter().zip(&self.partitions).map(behind).sum();
        self.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    fn expect_accounts(&mut self, polls: &[Poll]) {
        for poll in polls {
            let outstanding = &mut self.partitions[poll.partition as usize].1;
            for (slice, records) in poll.served(&self.rooms) {
                for record in records {
                    outstanding.insert(slice, record.offset);
                }
            }
        }
    }

    fn batches(&self, poll: Poll) -> Vec<SliceBatch> {
        let partition = poll.partition;
        let batch = |((room, shard), records)| {
            let history_length =
                self.rooms.find(RoomId::as_str(&room)).map_or(UNSERVED_HISTORY_LENGTH, |room| room.history_length);
            SliceBatch { room, shard, partition, history_length, records }
        };
        poll.slices.into_iter().map(batch).collect()
    }

    fn account(&mut self, done: &Accounted) {
        if let Some((_, outstanding)) = self.partitions.get_mut(done.record.partition as usize) {
            outstanding.remove_to(&(done.room.clone(), done.shard), done.record.offset);
        }
    }

    /// What is taken down first is durable after the confirmation, so it may be committed.
    async fn commit(&mut self) {
        let done =
            |(applied, outstanding): &(u64, Outstanding)| outstanding.first().map_or(*applied, |o| o.min(*applied));
        let offsets: Vec<u64> = self.partitions.iter().map(done).collect();
        if offsets == self.committed {
            return;
        }
        if let Err(error) = self.store.confirm().await {
            tracing::warn!(%error, "commit left for later");
            return;
        }
        match self.log.commit((0..).zip(offsets.iter().copied()).collect()).await {
            Ok(()) => self.committed = offsets,
            Err(error) => tracing::warn!(%error, "commit left for later"),
        }
    }

    async fn trim(&self) {
        let before_ms = crate::clock::unix_ms() - i64::try_from(LOG_KEPT.as_millis()).unwrap_or(i64::MAX);
        loop {
            match self.log.trim(before_ms).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return tracing::warn!(%error, "old records stay for now"),
            }
        }
    }
}

fn records_of(poll: &Poll) -> usize {
    poll.slices.values().map(Vec::len).sum()
}
