//! Appends: one line ([`PartitionQueues`]) takes them, and what happens when something in it fails.
//!
//! Order is kept in this way. A line delivers each partition's records in the order that they were produced: it is
//! idempotent, so brokers refuse what comes behind a gap. Nothing in it times out by itself; librdkafka then would go on
//! with the next record. When a record is refused for good, the line takes no more records, what it still holds is thrown
//! away, and only then all its appends fail and a fresh line is opened. So of what a line was given, brokers have a prefix,
//! and whatever is produced after a failure became known goes into another line. Brokers take any first batch of a producer
//! that is new to a partition, whatever came before; but a line has one batch under way in a partition at a time. One gap
//! remains: a request that a stalled broker still has in its socket can come later; who sent it was told to retry, and the
//! retry and the original cancel each other out.
//!
//! A partition that takes nothing (it has no leader, or too few copies) must not disturb the others. What waits for it
//! cannot be thrown away by itself: librdkafka gives up all or nothing. So when an append is not acknowledged for 20 s, a
//! fresh line is opened beside the old one and takes all further records. What the old one holds of a healthy partition is
//! acknowledged within milliseconds, and until then what comes behind it is kept back. A second later the old line ends
//! with what it holds still: that is of partitions that take nothing.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{ClientConfig, error::KafkaResult};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{
    metrics::Metrics,
    partition_queue::{Outgoing, PartitionQueues, QueueState},
    pending::Outcome,
};

/// When an append has failed. Gateways refuse retries over 30 s old, and repeats are found within 60 s.
const GIVE_UP: Duration = Duration::from_secs(20);
/// How long the end of the process waits for appends that nobody waits for.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// How long a line that is left for another has to bring to an end what is under way, and how often that is looked at.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);
const LEAVE_LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
pub(super) enum Behind<'a> {
    /// It is on its own.
    Nobody,
    /// It begins a lane, whose number is kept here.
    Begins(&'a AtomicU64),
    /// It goes only where nothing before it in the lane was lost.
    Follows(&'a AtomicU64),
}

/// The only producer of a process.
pub(super) struct Producer {
    config: ClientConfig,
    metrics: Metrics,
    give_up: Duration,
    /// `None` while the last one is being ended.
    line: Mutex<Option<PartitionQueues>>,
    lines: AtomicU64,
    /// One line is ended, or left for another, at a time.
    ending: Mutex<()>,
}

impl Producer {
    pub(super) fn open(config: ClientConfig, metrics: Metrics) -> KafkaResult<Arc<Self>> {
        Self::open_with(config, metrics, GIVE_UP)
    }

    pub(super) fn open_with(config: ClientConfig, metrics: Metrics, give_up: Duration) -> KafkaResult<Arc<Self>> {
        let line = PartitionQueues::open(&config, 1, metrics.clone())?;
        Ok(Arc::new(Self {
            config,
            metrics,
            give_up,
            line: Mutex::new(Some(line)),
            lines: AtomicU64::new(1),
            ending: Mutex::default(),
        }))
    }

    /// Appends all records; their offsets, once all are acknowledged.
    pub(super) async fn append(self: &Arc<Self>, behind: Behind<'_>, records: Vec<Outgoing>) -> Outcome {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let (count, bytes) = (records.len(), records.iter().map(|record| record.payload.len()).sum());
        let outcome = match self.produce(behind, records) {
            Ok((line, outcome)) => self.finish(&line, outcome, began).await,
            Err(reason) => Err(reason),
        };
        match &outcome {
            Ok(_) => self.metrics.appended(count, bytes, began.elapsed()),
            Err(_) => self.metrics.append_failed(),
        }
        outcome
    }

    fn produce(
        self: &Arc<Self>,
        behind: Behind<'_>,
        records: Vec<Outgoing>,
    ) -> Result<(Arc<QueueState>, oneshot::Receiver<Outcome>), String> {
        let (state, produced) = {
            let slot = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(line) = slot.as_ref() else {
                return Err("an earlier append failed a moment ago".into());
            };
            // First: what the line before has lost by then is known when the records are taken.
            let number = line.number_of_lanes();
            let (lane, follows) = match behind {
                Behind::Nobody => (None, None),
                Behind::Begins(lane) => (Some(lane), None),
                Behind::Follows(lane) => (Some(lane), Some(lane.load(Ordering::Relaxed))),
            };
            let produced = line.produce(follows, records);
            if let (Some(lane), Ok(_)) = (lane, &produced) {
                lane.store(number, Ordering::Relaxed);
            }
            (Arc::clone(&line.state), produced)
        };
        if state.broken() {
            self.replace(&state);
        }
        produced.map(|outcome| (state, outcome))
    }

    async fn finish(
        self: &Arc<Self>,
        line: &Arc<QueueState>,
        outcome: oneshot::Receiver<Outcome>,
        began: Instant,
    ) -> Outcome {
        let outcome = tokio::select! {
            biased;
            outcome = outcome => outcome.unwrap_or_else(|_| Err("the producer was closed".into())),
            () = line.ended.cancelled() => Err("given up together with an earlier record".into()),
            () = sleep_until(began + self.give_up) => {
                self.leave(line);
                line.ended.cancelled().await;
                return Err(format!("no acknowledgement within {} s", self.give_up.as_secs_f32()));
            }
        };
        // What was kept back behind a line that was left has failed by itself: it was given to no broker.
        if outcome.is_err() && line.broken() {
            self.replace(line);
            // Senders hear of it when nothing more of this line can get in.
            line.ended.cancelled().await;
        }
        outcome
    }

    /// Opens another line beside one in which something stands, and ends that one a moment later, unless somebody does
    /// already.
    fn leave(self: &Arc<Self>, left: &Arc<QueueState>) {
        if left.is_left.swap(true, Ordering::AcqRel) {
            return;
        }
        self.metrics.producer_replaced();
        let (producer, left) = (Arc::clone(self), Arc::clone(left));
        tokio::task::spawn_blocking(move || producer.change_over(&left));
    }

    fn change_over(self: Arc<Self>, left: &Arc<QueueState>) {
        let turn = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let next = match PartitionQueues::open(&self.config, number, self.metrics.clone()) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "cannot open a producer beside the one that stands");
                drop(turn);
                return self.replace(left);
            }
        };
        let line = {
            let mut slot = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            // Something was refused for good meanwhile: the line ends as a whole.
            let Some(line) = slot.take_if(|line| Arc::ptr_eq(&line.state, left)) else { return };
            if !line.hand_over(&next) {
                *slot = Some(line);
                drop((slot, turn));
                return self.replace(left);
            }
            *slot = Some(next);
            line
        };
        let until = Instant::now() + LEAVE_WITHIN;
        while !line.standing().is_empty() && !left.broken() && Instant::now() < until {
            thread::sleep(LEAVE_LOOK_EVERY);
        }
        let partitions = line.standing();
        tracing::warn!(?partitions, "take nothing: what waits for them is given up, senders are told to retry");
        line.end();
    }

    /// Ends the line and opens another in its place, unless somebody does already.
    fn replace(self: &Arc<Self>, broken: &Arc<QueueState>) {
        let mut slot = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = slot.take_if(|line| Arc::ptr_eq(&line.state, broken)) {
            drop(slot);
            self.metrics.producer_replaced();
            tracing::warn!("records were refused or not acknowledged; senders are told to retry");
            let (producer, weak) = (Arc::clone(self), Arc::downgrade(self));
            tokio::task::spawn_blocking(move || {
                // A line that was left for this one ends first: what the next one is given must not overtake it.
                let turn = producer.ending.lock().unwrap_or_else(PoisonError::into_inner);
                line.end();
                drop(turn);
                drop(producer);
                reopen(&weak);
                drop(line);
            });
        }
    }
}

fn reopen(producer: &Weak<Producer>) {
    while let Some(producer) = producer.upgrade() {
        let number = producer.lines.fetch_add(1, Ordering::Relaxed) + 1;
        match PartitionQueues::open(&producer.config, number, producer.metrics.clone()) {
            Ok(line) => {
                producer.metrics.queued(0);
                *producer.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
                return;
            }
            Err(error) => tracing::error!(%error, "cannot open a producer; trying again"),
        }
        drop(producer);
        thread::sleep(REOPEN_PAUSE);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let line = mem::take(self.line.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(line) = line {
            // It blocks, and this may be a thread of the runtime.
            thread::spawn(move || line.close(CLOSE_PATIENCE));
        }
    }
}
