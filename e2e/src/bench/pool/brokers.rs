//! What the brokers take alone from produce to consume: as many records and bytes, by the same client settings.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use barrage_cluster::kafka::{self, KafkaConfig, Topic, polled};
use hdrhistogram::Histogram;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

use crate::bench::BenchError;

/// Time of the first records, which are not counted.
const WARM_UP: Duration = Duration::from_secs(3);
/// The longest that is told apart, µs.
const LONGEST_US: u64 = 60_000_000;
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Shape {
    pub(super) partitions: u32,
    /// Appends a second, and records of each.
    pub(super) appends: f64,
    pub(super) records: usize,
    /// In turn.
    pub(super) payloads: Vec<Vec<u8>>,
}

/// Produces and consumes in a topic of its own; times from produce to consume, µs.
pub(super) fn measure(config: &KafkaConfig, shape: &Shape, time: Duration) -> Result<Histogram<u64>, BenchError> {
    let refused = BenchError::refused("producing and consuming alone");
    let topic = config.topic(Topic::Danmaku);
    let consumer = consumer(&config.client(), &topic, shape.partitions).map_err(&refused)?;
    let producer = producer(&config.client()).map_err(&refused)?;
    let (began, ended) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let consuming = {
        let ended = Arc::clone(&ended);
        thread::spawn(move || consume(&consumer, began, &ended))
    };
    let produced = produce(&producer, &topic, shape, began, WARM_UP + time);
    let flushed = produced.and_then(|()| producer.flush(PATIENCE).map_err(|error| error.to_string()));
    // Records on their way are consumed within this.
    thread::sleep(Duration::from_millis(500));
    ended.store(true, Ordering::Relaxed);
    let consumed = consuming.join().map_err(|_| BenchError::Meaningless("the consumer panicked".to_owned()))?;
    flushed.map_err(&refused)?;
    consumed.map_err(&refused)
}

/// The last records of a pool's log, to produce again.
pub(super) fn last_payloads(config: &KafkaConfig, partitions: u32, count: usize) -> Result<Vec<Vec<u8>>, BenchError> {
    let refused = BenchError::refused("reading records");
    let topic = config.topic(Topic::Danmaku);
    let share = i64::try_from(count).unwrap_or(i64::MAX) / i64::from(partitions);
    let consumer = assigned(&config.client(), &topic, partitions, Offset::OffsetTail(share)).map_err(&refused)?;
    let (mut payloads, until) = (Vec::new(), Instant::now() + PATIENCE);
    while payloads.len() < count && Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => payloads.extend(message.payload().map(<[u8]>::to_vec)),
            Some(Err(error)) => return Err(refused(error.to_string())),
            None if !payloads.is_empty() => break,
            None => {}
        }
    }
    if payloads.is_empty() {
        return Err(BenchError::Meaningless("the log has no records".to_owned()));
    }
    Ok(payloads)
}

/// Makes the topics of a pool that nobody works for.
pub(super) async fn create(config: &KafkaConfig, partitions: u32) -> Result<(), BenchError> {
    let made = kafka::create_topics(config, partitions, config.durability()).await;
    made.map_err(BenchError::refused("making a topic"))
}

fn produce(
    producer: &BaseProducer<DefaultProducerContext>,
    topic: &str,
    shape: &Shape,
    began: Instant,
    time: Duration,
) -> Result<(), String> {
    let mut payloads = shape.payloads.iter().cycle();
    let partitions = i32::try_from(shape.partitions).map_err(|error| error.to_string())?;
    for append in 0_u32.. {
        let due = Duration::from_secs_f64(f64::from(append) / shape.appends);
        if due >= time {
            break;
        }
        thread::sleep(due.saturating_sub(began.elapsed()));
        for (partition, payload) in (0..partitions).cycle().zip(payloads.by_ref()).take(shape.records) {
            let stamp = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).to_be_bytes();
            let record = BaseRecord::to(topic).partition(partition).key(&stamp).payload(payload);
            producer.send(record).map_err(|(error, _)| error.to_string())?;
        }
    }
    Ok(())
}

fn consume(consumer: &BaseConsumer, began: Instant, ended: &AtomicBool) -> Result<Histogram<u64>, String> {
    let mut times = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|error| error.to_string())?;
    while !ended.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.map_err(|error| error.to_string())?;
        let stamp = message.key().and_then(|key| key.try_into().ok()).map_or(0, u64::from_be_bytes);
        if u128::from(stamp) >= WARM_UP.as_micros() {
            let now = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            times.saturating_record(now.saturating_sub(stamp));
        }
    }
    if times.is_empty() { Err("nothing was consumed".to_owned()) } else { Ok(times) }
}

fn producer(client: &ClientConfig) -> Result<Arc<BaseProducer<DefaultProducerContext>>, String> {
    let mut config = client.clone();
    for (key, value) in [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", "zstd"),
        ("linger.ms", "0.5"),
        ("batch.size", "1048576"),
    ] {
        config.set(key, value);
    }
    polled(&config, DefaultProducerContext).map_err(|error| error.to_string())
}

fn consumer(client: &ClientConfig, topic: &str, partitions: u32) -> Result<BaseConsumer, String> {
    let consumer = assigned(client, topic, partitions, Offset::End)?;
    // Until it knows where the end is, nothing may be produced.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        if let Some(Err(error)) = consumer.poll(Duration::from_millis(100)) {
            return Err(error.to_string());
        }
    }
    Ok(consumer)
}

fn assigned(client: &ClientConfig, topic: &str, partitions: u32, from: Offset) -> Result<BaseConsumer, String> {
    let mut config = client.clone();
    for (key, value) in [
        ("group.id", "bench"),
        ("enable.auto.commit", "false"),
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
    ] {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        list.add_partition_offset(topic, partition, from).map_err(|error| error.to_string())?;
    }
    consumer.assign(&list).map_err(|error| error.to_string())?;
    Ok(consumer)
}
