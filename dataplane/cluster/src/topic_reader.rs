//! What stands in a topic of one partition, read once from some place to its end. Blocking: for a thread of its own.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult},
    producer::ProducerContext,
};
use thiserror::Error;

/// The topics of routes and heat have one partition.
pub(crate) const PARTITION: i32 = 0;
/// Until a broker answers, or the next record comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Before a broker is asked again that does not lead yet, or not any more.
const ELECTION_PAUSE: Duration = Duration::from_millis(100);
/// How often a client says where the end is, when nothing comes: how long [`read`] waits there.
const FETCH_WAIT_MS: &str = "100";
/// A topic that is made while a client runs is found in this time.
const METADATA_MS: &str = "5000";

/// A topic cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Nobody has made it.
    #[error("there is no topic {0}: make the pool's topics first, or look at the setting `pool`")]
    NoTopic(String),
    /// Kafka does not answer, or refuses.
    #[error("cannot read topic {topic}: {reason}. Are the brokers of `kafka.brokers` up and reachable?")]
    Kafka { topic: String, reason: String },
}

impl ReadError {
    pub(crate) fn new(topic: &str, error: &KafkaError) -> Self {
        let topic = topic.to_owned();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition) => {
                Self::NoTopic(topic)
            }
            _ => Self::Kafka { topic, reason: error.to_string() },
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    /// The oldest record.
    Start,
    /// What is at most so much older than the newest record, by the topic's own time: no clock of this machine counts.
    /// Older records may come, too.
    Newest(Duration),
}

/// Says nothing of what whoever reads or writes reports itself; the end of a topic is no error at all.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a client of Kafka");
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    /// A transaction says at its end whether all was delivered.
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// A consumer for one topic without a group's membership, that tells where the end is. `base` has brokers and security.
pub(crate) fn consumer<C: FromClientConfigAndContext<Quiet>>(base: &ClientConfig, pool: &str) -> Result<C, KafkaError> {
    let mut config = base.clone();
    // librdkafka wants a group for everything but looking; nothing is ever committed to this one.
    config.set("group.id", format!("{pool}.followers"));
    for (name, value) in [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("fetch.wait.max.ms", FETCH_WAIT_MS),
        ("topic.metadata.refresh.interval.ms", METADATA_MS),
        ("reconnect.backoff.max.ms", "1000"),
    ] {
        config.set(name, value);
    }
    config.create_with_context(Quiet)
}

/// The one partition, from `offset` on.
pub(crate) fn assignment(topic: &str, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, PARTITION, offset)?;
    Ok(list)
}

/// Gives `take` every record from `from` to what is the end when this is called, and perhaps some more. Blocks.
pub(crate) fn read(
    base: &ClientConfig,
    pool: &str,
    topic: &str,
    from: From,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), ReadError> {
    let failed = |error: KafkaError| ReadError::new(topic, &error);
    let start = match from {
        From::Start => Offset::Beginning,
        From::Newest(age) => match newest_since(base, pool, topic, age)? {
            None => return Ok(()),
            Some((start, _)) => start,
        },
    };
    to_the_end(&consumer(base, pool).map_err(failed)?, topic, start, &mut take).map_err(failed)
}

/// Where what is at most so much older than the newest record begins, and the newest one's time, ms. Blocks.
pub(crate) fn newest_since(
    base: &ClientConfig,
    pool: &str,
    topic: &str,
    age: Duration,
) -> Result<Option<(Offset, i64)>, ReadError> {
    let failed = |error: KafkaError| ReadError::new(topic, &error);
    // A consumer is asked for one end only: what it says of an earlier one cannot be told from the next.
    let open = || consumer::<BaseConsumer<Quiet>>(base, pool).map_err(failed);
    let Some(newest_ms) = newest(&open()?, topic).map_err(failed)? else { return Ok(None) };
    Ok(Some((since(&open()?, topic, newest_ms, age).map_err(failed)?, newest_ms)))
}

fn to_the_end(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    start: Offset,
    take: &mut dyn FnMut(&BorrowedMessage<'_>),
) -> Result<(), KafkaError> {
    // Fails at once where there is no such topic; an assignment would wait for it.
    bounds(consumer, topic)?;
    consumer.assign(&assignment(topic, start)?)?;
    let mut silent_since = Instant::now();
    while silent_since.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                silent_since = Instant::now();
                take(&message);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) if lasting(&error) => return Err(error),
            Some(Err(error)) => tracing::debug!(topic, %error, "reading goes on"),
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

/// Whether a reader has to start over: librdkafka heals the rest by itself.
pub(crate) fn lasting(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || matches!(code, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange))
}

/// Oldest offset and the one behind the newest. While a leader is being elected, as for a topic that was made a moment
/// ago, a broker refuses what the next one it is asked of grants.
fn bounds(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<(i64, i64), KafkaError> {
    let asked = Instant::now();
    loop {
        match consumer.fetch_watermarks(topic, PARTITION, PATIENCE) {
            Err(error) if electing(&error) && asked.elapsed() < PATIENCE => sleep(ELECTION_PAUSE),
            answer => return answer,
        }
    }
}

fn electing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(RDKafkaErrorCode::NotLeaderForPartition | RDKafkaErrorCode::LeaderNotAvailable))
}

/// Time of the newest record, ms.
fn newest(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Option<i64>, KafkaError> {
    let mut newest = None;
    let (low, high) = bounds(consumer, topic)?;
    if low < high {
        to_the_end(consumer, topic, Offset::OffsetTail(1), &mut |message| newest = message.timestamp().to_millis())?;
    }
    Ok(newest)
}

fn since(consumer: &BaseConsumer<Quiet>, topic: &str, newest_ms: i64, age: Duration) -> Result<Offset, KafkaError> {
    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let at = Offset::Offset(newest_ms.saturating_sub(age_ms).max(0));
    let found = consumer.offsets_for_times(assignment(topic, at)?, PATIENCE)?;
    let offset = found.find_partition(topic, PARTITION).map(|partition| partition.offset());
    // No such record, though the newest is one: better too much than too little.
    Ok(offset.filter(|offset| matches!(offset, Offset::Offset(_))).unwrap_or(Offset::Beginning))
}
