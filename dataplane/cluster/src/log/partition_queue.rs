//! A line: one idempotent producer of librdkafka and what was produced through it. It delivers a prefix of that, per
//! partition; when something fails for good, the line ends as a whole. A line can be left for another while partitions
//! still hold something of it: what comes for these is kept back in the other until the first line holds nothing of them.

mod delivery;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientConfig,
    error::KafkaResult,
    message::OwnedHeaders,
    producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    metrics::Metrics,
    pending::{Outcome, Pending},
};
use crate::kafka::{Context, polled};
use delivery::{LineContext, Ticket};

/// Largest record.
pub(super) const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
const GIVEN_UP: &str = "given up together with an earlier record";
/// With what is around it. Topics take 8 MiB.
const REQUEST_BYTES_MAX: usize = RECORD_BYTES_MAX + 1024 * 1024;
/// Of a batch; what is above makes the next one.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Records not acknowledged yet; more are refused at once.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A record on its way to a topic.
pub(super) struct Outgoing {
    pub(super) topic: Arc<str>,
    pub(super) partition: u32,
    pub(super) payload: Bytes,
    pub(super) headers: Option<OwnedHeaders>,
}

type Client = BaseProducer<LineContext>;

pub(super) struct PartitionQueues {
    client: Arc<Client>,
    pub(super) state: Arc<QueueState>,
}

#[derive(Default)]
pub(super) struct QueueState {
    /// Tells lines apart.
    pub(super) number: u64,
    bytes: AtomicUsize,
    broken: AtomicBool,
    /// Whether it was left for another, or is about to be.
    pub(super) is_left: AtomicBool,
    places: Mutex<Places>,
    /// The line that was left for this one: its number, and what tells that it has ended.
    before: OnceLock<(u64, CancellationToken)>,
    /// Cancelled when nothing of the line can get into the log any more.
    pub(super) ended: CancellationToken,
}

#[derive(Default)]
struct Places {
    queues: HashMap<Place, Queue>,
    /// The line for which this one was left.
    successor: Option<Successor>,
}

/// A line for which another was left, as that one sees it.
#[derive(Clone)]
struct Successor {
    client: Weak<Client>,
    state: Arc<QueueState>,
}

/// Topic and partition.
pub(super) type Place = (Arc<str>, u32);

/// What goes to one place: a batch under way, and what makes the next one. librdkafka would let a second batch be under
/// way only behind one of few records, and its threads spin while something waits for that.
#[derive(Default)]
struct Queue {
    /// Records that are not acknowledged yet.
    under_way: usize,
    waiting: VecDeque<Parcel>,
    /// Of both.
    bytes: usize,
    /// The line before holds something yet: nothing is sent.
    kept_back: bool,
    /// What the line before held was given up: who still stands behind that may not follow.
    lost_before: bool,
}

/// A record with whoever waits for it.
struct Parcel {
    payload: Bytes,
    headers: Option<OwnedHeaders>,
    ticket: Box<Ticket>,
}

impl PartitionQueues {
    pub(super) fn open(config: &ClientConfig, number: u64, metrics: Metrics) -> KafkaResult<Self> {
        let mut config = config.clone();
        let kibibytes_max = (2 * QUEUE_BYTES_MAX / 1024).to_string();
        let batch_bytes_max = BATCH_BYTES_MAX.to_string();
        let request_bytes_max = REQUEST_BYTES_MAX.to_string();
        for (key, value) in [
            ("enable.idempotence", "true"),
            // A request that is refused for good must not let those behind it pass.
            ("enable.gapless.guarantee", "true"),
            ("max.in.flight.requests.per.connection", "5"),
            ("acks", "all"),
            // For ever: librdkafka would let what is behind a record that timed out pass. `Producer` gives up instead.
            ("message.timeout.ms", "0"),
            // What brokers may take to hear from the other replicas before they are asked again.
            ("request.timeout.ms", "4000"),
            ("compression.type", "zstd"),
            // Gateways pack what comes within some milliseconds into records already, but an append's records come one by
            // one: without a moment the first goes alone, and the others wait behind it for a request of their own.
            ("linger.ms", "0.5"),
            ("batch.size", &batch_bytes_max),
            ("message.max.bytes", &request_bytes_max),
            // Bytes are counted here, before; the messages' count bounds nothing.
            ("queue.buffering.max.messages", "0"),
            ("queue.buffering.max.kbytes", &kibibytes_max),
        ] {
            config.set(key, value);
        }
        let state = Arc::new(QueueState { number, ..QueueState::default() });
        let context = Context::new(metrics.broker_errors.clone());
        let context = LineContext { context, state: Arc::clone(&state), metrics, client: OnceLock::new() };
        let client = polled(&config, context)?;
        // It is set once, here.
        let _set = client.context().client.set(Arc::downgrade(&client));
        Ok(Self { client, state })
    }

    /// Takes all records in order, or none. Does not block. With `follows`, the number that the lane was given with its
    /// last records: only where nothing before them was lost.
    pub(super) fn produce(
        &self,
        follows: Option<u64>,
        records: Vec<Outgoing>,
    ) -> Result<oneshot::Receiver<Outcome>, String> {
        let mut places = self.state.places();
        let places = &mut places.queues;
        if follows.is_some_and(|number| !self.may_follow(number, &records, places)) {
            return Err("what stands before it has failed".into());
        }
        self.reserve(&records, places)?;
        let (pending, outcome) = Pending::new(records.len());
        let pending = Arc::new(pending);
        let mut idle = HashSet::new();
        for (index, Outgoing { topic, partition, payload, headers }) in records.into_iter().enumerate() {
            let place = (topic, partition);
            let (pending, bytes) = (Arc::clone(&pending), payload.len());
            let ticket = Box::new(Ticket { pending, index, bytes, place: place.clone() });
            let queue = places.entry(place.clone()).or_default();
            queue.waiting.push_back(Parcel { payload, headers, ticket });
            queue.bytes += bytes;
            if queue.under_way == 0 && !queue.kept_back {
                idle.insert(place);
            }
        }
        for place in &idle {
            self.state.send(&self.client, place, places);
        }
        Ok(outcome)
    }

    fn may_follow(&self, number: u64, records: &[Outgoing], places: &HashMap<Place, Queue>) -> bool {
        if number == self.state.number {
            return true;
        }
        let lost = |record: &Outgoing| {
            let place = (Arc::clone(&record.topic), record.partition);
            places.get(&place).is_some_and(|queue| queue.lost_before)
        };
        self.state.before.get().is_some_and(|(before, _)| *before == number) && !records.iter().any(lost)
    }

    /// The number for lanes that are given something now: that of the line before while that one has not ended, because
    /// what it loses can be before theirs.
    pub(super) fn number_of_lanes(&self) -> u64 {
        match self.state.before.get() {
            Some((before, ended)) if !ended.is_cancelled() => *before,
            _ => self.state.number,
        }
    }

    /// Leaves this line for another: what it still holds of a partition goes first. False where it ends as a whole,
    /// because something was refused.
    pub(super) fn hand_over(&self, next: &Self) -> bool {
        let mut places = self.state.places();
        if self.state.broken() {
            return false;
        }
        let mut of_next = next.state.places();
        for (place, _) in places.queues.iter().filter(|(_, queue)| !queue.is_empty()) {
            of_next.queues.entry(place.clone()).or_default().kept_back = true;
        }
        // Each line is handed over to once.
        let _set = next.state.before.set((self.state.number, self.state.ended.clone()));
        places.successor = Some(Successor { client: Arc::downgrade(&next.client), state: Arc::clone(&next.state) });
        true
    }

    /// Topics and partitions of which a line that was left still holds something.
    pub(super) fn standing(&self) -> Vec<Place> {
        let places = self.state.places();
        let standing = places.queues.iter().filter(|(_, queue)| !queue.is_empty());
        standing.map(|(place, _)| place.clone()).collect()
    }

    /// Counts the records in, if there is room. A partition may have half as much as all leave free: those that take
    /// nothing must not use up what the others need.
    fn reserve(&self, records: &[Outgoing], places: &HashMap<Place, Queue>) -> Result<(), String> {
        if self.state.broken() {
            return Err("an earlier record was refused".into());
        }
        if let Some(large) = records.iter().find(|record| record.payload.len() > RECORD_BYTES_MAX) {
            return Err(format!("a record of {} bytes is over {RECORD_BYTES_MAX}", large.payload.len()));
        }
        let bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        let queued = self.state.bytes.load(Ordering::Relaxed);
        if queued + bytes > QUEUE_BYTES_MAX {
            return Err(format!("{queued} bytes wait for brokers already; the limit is {QUEUE_BYTES_MAX}"));
        }
        let most = (QUEUE_BYTES_MAX - queued) / 2;
        for Outgoing { topic, partition, .. } in records {
            let waiting = places.get(&(Arc::clone(topic), *partition)).map_or(0, |queue| queue.bytes);
            if waiting >= most {
                return Err(format!("{waiting} bytes wait for partition {partition} already; its share is {most}"));
            }
        }
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the line: what brokers do not have yet they will not get. What was kept back behind that fails with it, and
    /// what comes later goes. Blocks.
    pub(super) fn end(&self) {
        // Also when librdkafka panics, or appends would wait for ever.
        let _ended = self.state.ended.clone().drop_guard();
        let successor = self.state.give_up_waiting();
        let kept_back = successor.as_ref().map(|next| next.state.give_up_kept_back()).unwrap_or_default();
        self.client.purge(PurgeConfig::default().queue().inflight());
        for place in &kept_back {
            successor.iter().for_each(|next| next.let_go(place));
        }
    }

    /// Waits, blocking, until all is acknowledged, for a moment at most.
    pub(super) fn close(self, patience: Duration) {
        if let Err(error) = self.client.flush(patience) {
            tracing::warn!(%error, "records were not acknowledged before the end");
        }
    }
}

impl Drop for PartitionQueues {
    fn drop(&mut self) {
        // Also of one that was to be ended and whose thread was not started any more: appends wait for it.
        self.state.ended.cancel();
    }
}

impl QueueState {
    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a batch of what waits at a place that has none under way.
    fn send(&self, client: &Client, place: &Place, places: &mut HashMap<Place, Queue>) {
        let Some(queue) = places.get_mut(place) else { return };
        let mut bytes = 0;
        // Behind one that was refused nothing may get in: it is given up with the line.
        while !self.broken()
            && let Some(Parcel { payload, headers, ticket }) =
                queue.waiting.pop_front_if(|next| bytes == 0 || bytes + next.payload.len() <= BATCH_BYTES_MAX)
        {
            bytes += payload.len();
            let mut new: BaseRecord<'_, (), [u8], _> = BaseRecord::with_opaque_to(&place.0, ticket);
            new.partition = Some(i32::try_from(place.1).unwrap_or(i32::MAX));
            new.payload = Some(&payload);
            new.headers = headers;
            match client.send(new) {
                Ok(()) => queue.under_way += 1,
                Err((error, refused)) => {
                    self.broken.store(true, Ordering::Release);
                    self.bytes.fetch_sub(refused.delivery_opaque.bytes, Ordering::Relaxed);
                    queue.bytes -= refused.delivery_opaque.bytes;
                    refused.delivery_opaque.pending.failed(|| error.to_string());
                }
            }
        }
        if queue.under_way > 0 {
            client.context().metrics.sent_batch();
        }
    }

    /// From now on nothing more is sent, and nobody is told that a place is free; what waits has failed.
    fn give_up_waiting(&self) -> Option<Successor> {
        self.broken.store(true, Ordering::Release);
        let mut places = self.places();
        places.queues.values_mut().for_each(|queue| self.give_up(queue));
        places.successor.take()
    }

    /// What is kept back has failed, because what stands before it has; where that was.
    fn give_up_kept_back(&self) -> Vec<Place> {
        let mut places = self.places();
        let kept_back = places.queues.iter_mut().filter(|(_, queue)| queue.kept_back);
        let give_up = |(place, queue): (&Place, &mut Queue)| {
            self.give_up(queue);
            queue.lost_before = true;
            place.clone()
        };
        kept_back.map(give_up).collect()
    }

    fn give_up(&self, queue: &mut Queue) {
        for Parcel { ticket, .. } in queue.waiting.drain(..) {
            queue.bytes -= ticket.bytes;
            self.bytes.fetch_sub(ticket.bytes, Ordering::Relaxed);
            ticket.pending.failed(|| GIVEN_UP.into());
        }
    }

    /// A record has its answer. When all under way at its place have theirs, what waits there goes, here or in the line
    /// for which this one was left: from the thread that heard it, because every other would have to be woken first.
    fn answered(&self, ticket: &Ticket, client: Option<&Client>) {
        let mut places = self.places();
        let Places { queues, successor } = &mut *places;
        let Some(queue) = queues.get_mut(&ticket.place) else { return };
        queue.under_way -= 1;
        queue.bytes -= ticket.bytes;
        if queue.under_way > 0 {
            return;
        }
        match (client, successor) {
            (Some(client), _) if !queue.waiting.is_empty() => self.send(client, &ticket.place, queues),
            // Behind one that was refused nothing may get in: it is given up with the line.
            (_, Some(next)) if queue.is_empty() && !self.broken() => next.let_go(&ticket.place),
            _ => {}
        }
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.under_way == 0 && self.waiting.is_empty()
    }
}

impl Successor {
    /// The line before holds nothing of a place any more: what was kept back goes.
    fn let_go(&self, place: &Place) {
        let mut places = self.state.places();
        let Some(queue) = places.queues.get_mut(place) else { return };
        queue.kept_back = false;
        if let Some(client) = self.client.upgrade() {
            self.state.send(&client, place, &mut places.queues);
        }
    }
}
