//! A line: one idempotent producer of librdkafka and what was produced through it. It delivers a prefix of that, per
//! partition; when something fails for good, the line ends as a whole.

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
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Message, OwnedHeaders},
    producer::{
        BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig,
    },
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    metrics::Metrics,
    pending::{Outcome, Pending},
};
use crate::kafka::{Context, polled};

/// Largest record.
pub(super) const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// With what is around it. Topics take 8 MiB.
const GIVEN_UP: &str = "given up together with an earlier record";
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
    places: Mutex<HashMap<Place, Queue>>,
    /// Cancelled when nothing of the line can get into the log any more.
    pub(super) ended: CancellationToken,
}

/// Topic and partition.
type Place = (Arc<str>, u32);

/// What goes to one place: a batch under way, and what makes the next one. librdkafka would let a second batch be under
/// way only behind one of few records, and its threads spin while something waits for that.
#[derive(Default)]
struct Queue {
    /// Records that are not acknowledged yet.
    under_way: usize,
    waiting: VecDeque<Parcel>,
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

    /// Takes all records in order, or none. Does not block.
    pub(super) fn produce(&self, records: Vec<Outgoing>) -> Result<oneshot::Receiver<Outcome>, String> {
        self.reserve(&records)?;
        let (pending, outcome) = Pending::new(records.len());
        let pending = Arc::new(pending);
        let (mut places, mut idle) = (self.state.places(), HashSet::new());
        for (index, Outgoing { topic, partition, payload, headers }) in records.into_iter().enumerate() {
            let place = (topic, partition);
            let (pending, bytes) = (Arc::clone(&pending), payload.len());
            let ticket = Box::new(Ticket { pending, index, bytes, place: place.clone() });
            let queue = places.entry(place.clone()).or_default();
            queue.waiting.push_back(Parcel { payload, headers, ticket });
            if queue.under_way == 0 {
                idle.insert(place);
            }
        }
        for place in &idle {
            self.state.send(&self.client, place, &mut places);
        }
        Ok(outcome)
    }

    /// Counts the records in, if there is room; the only caller holds the producer's lock.
    fn reserve(&self, records: &[Outgoing]) -> Result<(), String> {
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
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the line: what brokers do not have yet they will not get. Blocks.
    pub(super) fn end(&self) {
        // Also when librdkafka panics, or appends would wait for ever.
        let _ended = self.state.ended.clone().drop_guard();
        self.state.give_up_waiting();
        self.client.purge(PurgeConfig::default().queue().inflight());
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

    fn places(&self) -> MutexGuard<'_, HashMap<Place, Queue>> {
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
                    refused.delivery_opaque.pending.failed(|| error.to_string());
                }
            }
        }
        if queue.under_way > 0 {
            client.context().metrics.sent_batch();
        }
    }

    /// From now on nothing more is sent; what waits has failed.
    fn give_up_waiting(&self) {
        self.broken.store(true, Ordering::Release);
        let mut places = self.places();
        for Parcel { ticket, .. } in places.values_mut().flat_map(|queue| queue.waiting.drain(..)) {
            self.bytes.fetch_sub(ticket.bytes, Ordering::Relaxed);
            ticket.pending.failed(|| GIVEN_UP.into());
        }
    }

    /// A record has its answer. When all under way at its place have theirs, what waits there goes: from the thread that
    /// heard it, because every other would have to be woken first.
    fn answered(&self, place: &Place, client: Option<&Client>) {
        let mut places = self.places();
        let Some(queue) = places.get_mut(place) else { return };
        queue.under_way -= 1;
        if queue.under_way == 0
            && !queue.waiting.is_empty()
            && let Some(client) = client
        {
            self.send(client, place, &mut places);
        }
    }
}

/// A record of an append.
struct Ticket {
    pending: Arc<Pending>,
    index: usize,
    bytes: usize,
    place: Place,
}

struct LineContext {
    context: Context,
    state: Arc<QueueState>,
    metrics: Metrics,
    /// The client whose context this is.
    client: OnceLock<Weak<Client>>,
}

impl ClientContext for LineContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for LineContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let before = self.state.bytes.fetch_sub(ticket.bytes, Ordering::Relaxed);
        self.metrics.queued(before.saturating_sub(ticket.bytes));
        // Without one where a repeated request's first answer was forgotten by brokers.
        let offset = result.as_ref().ok().and_then(|message| u64::try_from(message.offset()).ok());
        if offset.is_none() {
            // Before anything that waits could go.
            self.state.broken.store(true, Ordering::Release);
        }
        let client = self.client.get().and_then(Weak::upgrade);
        self.state.answered(&ticket.place, client.as_deref());
        match (offset, result) {
            (Some(offset), _) => ticket.pending.acknowledged(ticket.index, offset),
            (None, Ok(_)) => ticket.pending.failed(|| "the broker has it but cannot say where".into()),
            (None, Err((error, _))) => ticket.pending.failed(|| reason(error)),
        }
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => GIVEN_UP.into(),
        _ => error.to_string(),
    }
}
