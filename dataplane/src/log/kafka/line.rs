//! A line: one idempotent producer of librdkafka and what was produced through it. It delivers a prefix of that, per
//! partition; when something fails for good, the line ends as a whole.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Message, OwnedHeaders},
    producer::{
        BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
    },
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    metrics::Metrics,
    pending::{Outcome, Pending},
};
use crate::kafka::Context;

/// Largest record.
pub(super) const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// With what is around it. Topics take 8 MiB.
const REQUEST_BYTES_MAX: usize = RECORD_BYTES_MAX + 1024 * 1024;
/// Records not acknowledged yet; more are refused at once.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A record on its way to a topic.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: u32,
    pub(super) payload: Bytes,
    pub(super) headers: Option<OwnedHeaders>,
}

/// See the module. Dropping it blocks for up to half a second.
pub(super) struct Line {
    client: ThreadedProducer<LineContext>,
    pub(super) state: Arc<LineState>,
}

/// What outlives a line's producer.
#[derive(Default)]
pub(super) struct LineState {
    /// Tells lines apart.
    pub(super) number: u64,
    bytes: AtomicUsize,
    broken: AtomicBool,
    /// Partitions of each topic that have acknowledged a record of this line.
    known: Mutex<HashMap<String, HashSet<u32>>>,
    /// Cancelled when nothing of the line can get into the log any more.
    pub(super) ended: CancellationToken,
}

impl Line {
    pub(super) fn open(config: &ClientConfig, number: u64, metrics: Metrics) -> KafkaResult<Self> {
        let mut config = config.clone();
        let kibibytes_max = (2 * QUEUE_BYTES_MAX / 1024).to_string();
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
            ("linger.ms", "0.2"),
            ("batch.size", "1048576"),
            ("message.max.bytes", &request_bytes_max),
            // Bytes are counted here, before; the messages' count bounds nothing.
            ("queue.buffering.max.messages", "0"),
            ("queue.buffering.max.kbytes", &kibibytes_max),
        ] {
            config.set(key, value);
        }
        let state = Arc::new(LineState { number, ..LineState::default() });
        let context = Context::new(metrics.broker_errors.clone());
        let context = LineContext { context, state: Arc::clone(&state), metrics };
        Ok(Self { client: ThreadedProducer::from_config_and_context(&config, context)?, state })
    }

    /// Produces all records in order, or none. Does not block.
    pub(super) fn produce(&self, records: Vec<Outgoing<'_>>) -> Result<oneshot::Receiver<Outcome>, String> {
        let bytes = self.reserve(&records)?;
        let (pending, outcome) = Pending::new(records.len());
        let pending = Arc::new(pending);
        let mut unsent = bytes;
        for (index, record) in records.into_iter().enumerate() {
            let bytes = record.payload.len();
            let ticket = Box::new(Ticket { pending: Arc::clone(&pending), index, bytes });
            let mut new: BaseRecord<'_, (), [u8], _> = BaseRecord::with_opaque_to(record.topic, ticket);
            new.partition = Some(i32::try_from(record.partition).unwrap_or(i32::MAX));
            new.payload = Some(&record.payload);
            new.headers = record.headers;
            if let Err((error, _)) = self.client.send(new) {
                self.state.bytes.fetch_sub(unsent, Ordering::Relaxed);
                // Those behind it must not get in, by this append or another.
                self.state.broken.store(true, Ordering::Release);
                return Err(error.to_string());
            }
            unsent -= bytes;
        }
        Ok(outcome)
    }

    /// Counts the records in, if there is room; the only caller holds the producer's lock.
    fn reserve(&self, records: &[Outgoing<'_>]) -> Result<usize, String> {
        if self.state.broken() {
            return Err("an earlier record was refused".into());
        }
        if let Some(large) = records.iter().find(|record| record.payload.len() > RECORD_BYTES_MAX) {
            return Err(format!("a record of {} bytes is over {RECORD_BYTES_MAX}", large.payload.len()));
        }
        let bytes = records.iter().map(|record| record.payload.len()).sum();
        let queued = self.state.bytes.load(Ordering::Relaxed);
        if queued + bytes > QUEUE_BYTES_MAX {
            return Err(format!("{queued} bytes wait for brokers already; the limit is {QUEUE_BYTES_MAX}"));
        }
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Ends the line: what brokers do not have yet they will not get. Blocks.
    pub(super) fn end(&self) {
        // Also when librdkafka panics, or appends would wait for ever.
        let _ended = self.state.ended.clone().drop_guard();
        self.client.purge(PurgeConfig::default().queue().inflight());
    }

    /// Waits, blocking, until all is acknowledged, for a moment at most.
    pub(super) fn close(self, patience: Duration) {
        if let Err(error) = self.client.flush(patience) {
            tracing::warn!(%error, "records were not acknowledged before the end");
        }
    }
}

impl LineState {
    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Whether all these partitions have acknowledged something.
    pub(super) fn knows<'a>(&self, mut places: impl Iterator<Item = (&'a str, u32)>) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        places.all(|(topic, partition)| known.get(topic).is_some_and(|of_topic| of_topic.contains(&partition)))
    }

    /// These have now.
    pub(super) fn learn<'a>(&self, places: impl Iterator<Item = (&'a str, u32)>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, partition) in places {
            known.entry(topic.to_owned()).or_default().insert(partition);
        }
    }
}

/// A record of an append.
struct Ticket {
    pending: Arc<Pending>,
    index: usize,
    bytes: usize,
}

struct LineContext {
    context: Context,
    state: Arc<LineState>,
    metrics: Metrics,
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
        match result {
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => ticket.pending.acknowledged(ticket.index, offset),
                // A repeated request whose first answer brokers have forgotten: it is in the log, nobody knows where.
                Err(_) => ticket.pending.failed(|| "the broker has it but cannot say where".into()),
            },
            Err((error, _)) => {
                self.state.broken.store(true, Ordering::Release);
                ticket.pending.failed(|| reason(error));
            }
        }
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {
            "given up together with an earlier record".into()
        }
        _ => error.to_string(),
    }
}
