//! A consumer client of librdkafka that partitions are given to and taken from one by one. It is in a group only for
//! its commits and never joins it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer, base_consumer::PartitionQueue},
    error::{KafkaError, KafkaResult},
};

use super::metrics::Metrics;
use crate::kafka::Context;

/// What one client holds of records that nobody has taken yet, over all partitions.
const PREFETCH_BYTES: u32 = 64 * 1024 * 1024;
/// Of a partition, however many there are: less, and each of its records is a request.
const PREFETCH_BYTES_MIN: u32 = 256 * 1024;
/// How late the thread that serves librdkafka's log and errors may notice the end.
const SERVE: Duration = Duration::from_millis(200);

/// See the module. Dropping it may block for a moment.
pub(super) struct Fetcher {
    consumer: Arc<BaseConsumer<Context>>,
    topic: String,
    assigned: Mutex<HashSet<u32>>,
    stop: Arc<AtomicBool>,
}

impl Fetcher {
    /// A client that reads `topic`, of `partitions` partitions.
    pub(super) fn open(
        config: &ClientConfig,
        group: &str,
        topic: &str,
        partitions: u32,
        metrics: &Metrics,
    ) -> KafkaResult<Self> {
        let mut config = config.clone();
        let prefetch_bytes = (PREFETCH_BYTES / partitions.max(1)).max(PREFETCH_BYTES_MIN);
        for (key, value) in [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // Readers decide what to do about an offset that is not there.
            ("auto.offset.reset", "error"),
            // Brokers answer as soon as there is a record. A partition that is added to the list waits for as long as
            // this, and an idle one costs a request in this time for each broker.
            ("fetch.min.bytes", "1"),
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            ("fetch.max.bytes", "16777216"),
            // A commit waits this long for a coordinator that moved; the default is ten minutes.
            ("coordinator.query.interval.ms", "1000"),
            // With queues of their own, this holds for each partition.
            ("queued.max.messages.kbytes", &(prefetch_bytes / 1024).to_string()),
        ] {
            config.set(key, value);
        }
        let context = Context::new(metrics.broker_errors.clone());
        let consumer = Arc::new(BaseConsumer::from_config_and_context(&config, context)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (served, stopped) = (Arc::clone(&consumer), Arc::clone(&stop));
        thread::Builder::new()
            .name("kafka-consumer".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // Records have queues of their own: what comes here is logged or counted by the context.
                    drop(served.poll(SERVE));
                }
            })
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { consumer, topic: topic.to_owned(), assigned: Mutex::default(), stop })
    }

    /// For requests. They block.
    pub(super) fn consumer(&self) -> &BaseConsumer<Context> {
        &self.consumer
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Starts fetching a partition; `ready` is called when its queue stops being empty. Waits for librdkafka's main
    /// thread, which waits for nobody.
    ///
    /// # Errors
    /// When it is being fetched already.
    pub(super) fn assign(
        &self,
        partition: u32,
        offset: u64,
        ready: impl Fn() + Send + Sync + 'static,
    ) -> Result<PartitionQueue<Context>, String> {
        let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        if assigned.contains(&partition) {
            return Err(format!("partition {partition} is being read already"));
        }
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let queue = self.consumer.split_partition_queue(&self.topic, number);
        let mut queue = queue.ok_or_else(|| format!("partition {partition} has no queue"))?;
        queue.set_nonempty_callback(ready);
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        self.consumer.incremental_assign(&self.list(partition, offset)).map_err(|error| error.to_string())?;
        assigned.insert(partition);
        Ok(queue)
    }

    /// Stops fetching a partition; its queue has to be gone.
    pub(super) fn unassign(&self, partition: u32) {
        let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        if assigned.remove(&partition)
            && let Err(error) = self.consumer.incremental_unassign(&self.list(partition, Offset::Invalid))
        {
            tracing::warn!(partition, %error, "cannot stop reading a partition");
        }
    }

    /// Oldest offset and the one behind the newest; blocks.
    pub(super) fn watermarks(&self, partition: u32, timeout: Duration) -> Result<(u64, u64), String> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let watermarks = self.consumer.fetch_watermarks(&self.topic, number, timeout);
        let (start, end) = watermarks.map_err(|error| error.to_string())?;
        Ok((u64::try_from(start).unwrap_or_default(), u64::try_from(end).unwrap_or_default()))
    }

    /// A list of one partition.
    pub(super) fn list(&self, partition: u32, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        // Fails for offsets that cannot be expressed only; ours come from numbers.
        let _ = list.add_partition_offset(&self.topic, i32::try_from(partition).unwrap_or(i32::MAX), offset);
        list
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        // The thread has the last share of the consumer, and closes it.
        self.stop.store(true, Ordering::Relaxed);
    }
}
