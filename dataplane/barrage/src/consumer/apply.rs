//! The writing side of a partition: polls to the store, one call a slice and batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use barrage_proto::Position;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Context, RETRY_AFTER, checks,
    follow::{Followed, Follower, Source},
    ownership::Ended,
    poll::{Poll, Slice},
    progress::Progress,
    refused::Refusals,
    spans,
};
use barrage_core::{
    log::LogError,
    routes::Table,
    store::{Applied, SliceBatch, SliceRecord, StoreError},
};

/// What the history of a room keeps which nobody serves now: the default of a room's manifest.
const UNSERVED_HISTORY_LENGTH: u64 = 10_000;
/// Records in one call to the store at the most, so that no call grows with the lag.
const RECORDS_MAX: usize = 4_000;
/// Calls to the store are this far apart while it keeps up: no screen waits for them, and what comes meanwhile makes them
/// fewer and larger.
const APPLY_EVERY: Duration = Duration::from_millis(50);
/// Before batches that the store has refused are tried again.
const HELD_RETRY: Duration = Duration::from_millis(20);

pub(super) struct Applier {
    context: Arc<Context>,
    source: Arc<Source>,
    progress: Arc<Progress>,
    follower: Follower,
    /// The last record of each slice that this applied itself.
    expected: HashMap<Slice, Position>,
    /// Batches of slices that the store refuses for good, for all that is known; other slices go on.
    held: Vec<SliceBatch>,
    refusals: Refusals,
    /// Offset after the last record that was applied or is held.
    end: u64,
    /// The partition is applied from its start again, up to this offset.
    rebuilding: Option<u64>,
    stop: CancellationToken,
}

enum Step {
    Done,
    /// They come again.
    Again,
    End(Ended),
}

impl Applier {
    pub(super) fn new(
        context: Arc<Context>,
        source: Arc<Source>,
        progress: Arc<Progress>,
        stop: CancellationToken,
        rebuilding: Option<u64>,
    ) -> Self {
        let (end, _) = progress.done();
        let follower = source.follow(end, &progress);
        let (expected, held, refusals) = (HashMap::new(), Vec::new(), Refusals::default());
        Self { context, source, progress, follower, expected, held, refusals, end, rebuilding, stop }
    }

    /// Runs until the feed has ended and all it read is applied, or until it is fenced.
    ///
    /// After `stop` a write that fails is given up: the log keeps what it would have done.
    pub(super) async fn run(mut self) -> Ended {
        let mut next = Instant::now();
        loop {
            // Who has fallen behind hurries.
            if !self.follower.is_behind() {
                sleep_until(next).await;
            }
            let followed = tokio::select! {
                followed = self.follower.next() => Some(followed),
                () = sleep(HELD_RETRY), if self.looks_at_held() => None,
            };
            let step = match followed {
                Some(followed) => {
                    next = Instant::now() + APPLY_EVERY;
                    self.follow(followed).await
                }
                None => self.write(Vec::new()).await,
            };
            if let Step::End(ended) = step {
                return ended;
            }
        }
    }

    /// Whether to look at what is held though nothing comes. Who reads behind is not interrupted: it would begin anew.
    fn looks_at_held(&self) -> bool {
        !self.held.is_empty() && !self.follower.is_behind()
    }

    async fn follow(&mut self, followed: Result<Followed, LogError>) -> Step {
        match followed {
            Ok(Followed::Poll(poll)) => self.apply(poll).await,
            Ok(Followed::Rewound { to }) => {
                self.forget();
                if to < self.progress.committed() {
                    // The store has lost more than what was not confirmed.
                    self.context.metrics.rebuilds.inc();
                    self.rebuilding = Some(self.source.end());
                }
                Step::Again
            }
            Ok(Followed::Reached) => Step::Again,
            Ok(Followed::End) => Step::End(Ended::Released),
            Err(error) => {
                tracing::warn!(partition = self.progress.partition, %error, "applying waits for the log");
                self.context.health.degraded(checks::LOG, error.to_string());
                self.again(RETRY_AFTER).await
            }
        }
    }

    /// Waits before a further try, unless there is to be none.
    async fn again(&self, wait: Duration) -> Step {
        if self.stop.is_cancelled() {
            tracing::warn!(partition = self.progress.partition, "applying is given up; the next owner does it");
            return Step::End(Ended::Released);
        }
        sleep(wait).await;
        Step::Again
    }

    /// What was applied is no longer known; it comes again.
    fn forget(&mut self) {
        self.expected.clear();
        self.held.clear();
        self.refusals = Refusals::default();
    }

    /// Applies a poll and those at hand behind it.
    async fn apply(&mut self, first: Arc<Poll>) -> Step {
        let mut polls = vec![first];
        while polls.iter().map(|poll| records_of(poll)).sum::<usize>() < RECORDS_MAX
            && let Some(next) = self.follower.at_hand()
        {
            polls.push(next);
        }
        let table = Arc::clone(&self.context.routes.borrow());
        for poll in &polls {
            self.progress.expect(poll.served(&table));
        }
        if let Err(error) = self.set_aside(&polls).await {
            tracing::warn!(%error, "a record cannot be set aside; tried again");
            self.follower.go_back(polls.first().map_or(self.end, |poll| poll.start));
            return self.again(RETRY_AFTER).await;
        }
        self.end = polls.last().map_or(self.end, |poll| poll.end);
        let batches = self.batches(&polls, &table);
        let spans = spans::begin(&self.context, self.progress.partition, &polls);
        let step = self.write(batches).await;
        spans::end(spans, matches!(step, Step::Done));
        if let Step::Done = step
            && self.rebuilding.is_some_and(|until| self.end >= until)
        {
            self.end_rebuilding().await;
        }
        step
    }

    /// Writes batches, each slice's in order, until all are in the store but those of slices that have to wait.
    async fn write(&mut self, batches: Vec<SliceBatch>) -> Step {
        let rewind = self.follower.rewind;
        let mut queue = std::mem::take(&mut self.held);
        queue.extend(batches);
        let mut waiting: HashSet<Slice> = HashSet::new();
        loop {
            let (call, mut rest) = first_of_each(queue, &waiting);
            if call.is_empty() {
                let held = rest.iter().filter_map(|batch| batch.records.first()).map(|record| record.offset).min();
                self.held = rest;
                self.progress.applied(held.unwrap_or(self.end), rewind);
                return Step::Done;
            }
            let began = Instant::now();
            let outcomes = self.context.store.apply(Arc::clone(&call)).await;
            self.context.heat.processed(began.elapsed());
            let mut left = Vec::new();
            let mut failed = None;
            for (batch, outcome) in call.iter().zip(outcomes) {
                match outcome {
                    Ok(Applied::Whole) => self.written(batch),
                    Ok(Applied::Behind) => return self.fall_back(batch),
                    Ok(Applied::Lost) => return self.rebuild(batch).await,
                    Ok(Applied::Fenced(epoch)) => return self.fenced(batch, epoch),
                    Err(StoreError::Refused { reason }) => {
                        if !self.refusals.settle(&self.context, batch, &reason).await {
                            waiting.insert((batch.room.clone(), batch.shard));
                            left.push(batch.clone());
                        }
                    }
                    Err(error) => {
                        failed = Some(error);
                        left.push(batch.clone());
                    }
                }
            }
            match failed {
                None => self.context.health.ok(checks::STORE),
                Some(error) => {
                    self.failed(&error);
                    if let Step::End(ended) = self.again(RETRY_AFTER).await {
                        return Step::End(ended);
                    }
                }
            }
            left.append(&mut rest);
            queue = left;
        }
    }

    fn written(&mut self, batch: &SliceBatch) {
        self.refusals.forget(batch);
        let Some(last) = batch.records.last() else { return };
        let entries = batch.records.iter().flat_map(|record| &record.record.entries);
        let (danmaku, bytes) = entries.fold((0, 0), |(n, bytes), entry| (n + 1, bytes + entry.content.len() as u64));
        self.context.heat.room(&batch.room).messages(batch.shard, danmaku, bytes);
        let position = Position { partition: batch.partition, offset: last.offset, index: u32::MAX };
        self.expected.insert((batch.room.clone(), batch.shard), position);
    }

    fn failed(&self, error: &StoreError) {
        self.context.metrics.apply_failures.inc();
        self.context.health.degraded(checks::STORE, format!("{error}; the log keeps what is to apply"));
        tracing::warn!(partition = self.progress.partition, %error, "applying is tried again; the log keeps what waits");
    }

    fn fall_back(&mut self, batch: &SliceBatch) -> Step {
        tracing::warn!(
            partition = self.progress.partition, room = %batch.room, shard = batch.shard,
            "the store has lost writes; they are applied again from the commit"
        );
        self.context.metrics.rewinds.inc();
        self.forget();
        self.progress.rewind(u64::MAX);
        Step::Again
    }

    fn fenced(&self, batch: &SliceBatch, epoch: u64) -> Step {
        tracing::warn!(
            partition = self.progress.partition,
            own = batch.owner_epoch,
            epoch,
            "another consumer owns this partition now; nothing was written"
        );
        self.context.metrics.fenced.inc();
        Step::End(Ended::Fenced)
    }

    /// The slice is not in the store any more: the whole partition is applied from its start, what the store has is
    /// passed over.
    async fn rebuild(&mut self, batch: &SliceBatch) -> Step {
        let partition = self.progress.partition;
        let state = match self.context.log.state(partition).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(partition, %error, "filling the store again waits for the log");
                self.forget();
                self.follower.go_back(self.progress.committed());
                return self.again(RETRY_AFTER).await;
            }
        };
        tracing::error!(
            partition, room = %batch.room, shard = batch.shard, start = state.start,
            "the store has lost a slice; everything is applied again from the start of the log"
        );
        self.context.metrics.rebuilds.inc();
        if state.start > 0 {
            self.context.data_lost(partition, state.start);
        }
        self.rebuilding = Some(self.source.end());
        self.forget();
        self.follower.go_back(state.start);
        Step::Again
    }

    async fn end_rebuilding(&mut self) {
        while let Err(error) = self.context.store.rebuilt(self.progress.partition).await {
            tracing::warn!(%error, "that the store is filled again is noted later");
            if self.stop.is_cancelled() {
                return;
            }
            sleep(RETRY_AFTER).await;
        }
        tracing::info!(partition = self.progress.partition, "the store is filled again");
        self.rebuilding = None;
    }

    async fn set_aside(&self, polls: &[Arc<Poll>]) -> Result<(), LogError> {
        for letter in polls.iter().flat_map(|poll| &poll.unreadable) {
            let (partition, offset, reason) = (letter.partition, letter.offset, &letter.reason);
            tracing::warn!(partition, offset, reason, "a record is set aside");
            self.context.log.set_aside(letter.clone()).await?;
            self.context.metrics.unreadable.inc();
        }
        Ok(())
    }

    /// One batch for each slice.
    fn batches(&self, polls: &[Arc<Poll>], table: &Table) -> Vec<SliceBatch> {
        let mut slices: BTreeMap<&Slice, Vec<&SliceRecord>> = BTreeMap::new();
        for (slice, records) in polls.iter().flat_map(|poll| &poll.slices) {
            slices.entry(slice).or_default().extend(records);
        }
        slices.into_iter().map(|(slice, records)| self.batch_of(slice, &records, table)).collect()
    }

    fn batch_of(&self, slice: &Slice, records: &[&SliceRecord], table: &Table) -> SliceBatch {
        let ((room, shard), partition) = (slice, self.progress.partition);
        let served = table.rooms.find(room.as_str());
        SliceBatch {
            room: room.clone(),
            shard: *shard,
            owner_epoch: table.partitions.get(partition as usize).map_or(0, |owner| owner.epoch),
            partition,
            expected: self.expected.get(slice).copied(),
            rebuilding: self.rebuilding.is_some(),
            history_length: served.map_or(UNSERVED_HISTORY_LENGTH, |room| room.history_length),
            history_age_ms: served.map_or(i64::MAX, |room| room.history_age_ms),
            records: records.iter().copied().cloned().collect(),
        }
    }
}

/// The first batch of each slice that does not wait, and the rest in order.
fn first_of_each(queue: Vec<SliceBatch>, waiting: &HashSet<Slice>) -> (Arc<[SliceBatch]>, Vec<SliceBatch>) {
    let mut taken = waiting.clone();
    let (call, rest): (Vec<_>, Vec<_>) =
        queue.into_iter().partition(|batch| taken.insert((batch.room.clone(), batch.shard)));
    (call.into(), rest)
}

fn records_of(poll: &Poll) -> usize {
    usize::try_from(poll.records).unwrap_or(usize::MAX)
}
