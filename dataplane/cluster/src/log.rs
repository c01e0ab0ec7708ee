//! The log on Kafka: a topic of the pool, kept by three brokers.
//!
//! [`producer`] appends and keeps order when brokers fail. Clients read at the end of the log and behind it, each
//! partition with a queue of its own ([`reader`]). A third one asks and commits ([`metadata`]). Append times are the
//! brokers'; their clocks have to agree within a few seconds, because windows of the log are cut by them.

mod fetcher;
mod metadata;
mod metrics;
mod partition_queue;
mod pending;
mod producer;
mod reader;
mod watch;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use prometheus_client::registry::Registry;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
};

use crate::kafka::{KafkaConfig, Topic};
use barrage_core::{
    last_error::LastError,
    log::{Commit, DeadLetter, Lane, LogBackend, LogError, NewRecord, PartitionState, Reader, Reading},
    trace::TraceParent,
};
use fetcher::Fetcher;
use metadata::Metadata;
use metrics::Metrics;
use partition_queue::Outgoing;
use producer::{Behind, Producer};
use watch::Watch;

pub use reader::KafkaReader;

/// Appends under way in a lane: those behind the first of them wait for a partition's batch, and go in one.
const LANE_APPENDS_MAX: usize = 8;
const ASK_TIMEOUT: Duration = Duration::from_secs(4);

/// A handle; clones share one log.
#[derive(Clone)]
pub struct KafkaLog(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    group: String,
    topic: Arc<str>,
    dead: Arc<str>,
    partitions: u32,
    producer: Arc<Producer>,
    /// Made by their first readers; gateways have none.
    live: Mutex<Option<Arc<Fetcher>>>,
    catch_up: Mutex<Option<Arc<Fetcher>>>,
    metadata: Metadata,
    watch: Watch,
    last_error: LastError,
    metrics: Metrics,
}

impl KafkaLog {
    /// A log of `partitions` partitions. Whether brokers are there, and the topics as they have to be, is not asked: see
    /// [`check_topics`](crate::kafka::check_topics).
    ///
    /// # Errors
    /// [`LogError::Storage`] when a setting is refused, a file of certificates for example.
    pub fn open(config: &KafkaConfig, partitions: u32, registry: &mut Registry) -> Result<Self, LogError> {
        let metrics = Metrics::register(registry);
        let (client, group, topic) = (config.client(), config.group(), config.topic(Topic::Danmaku));
        let producer = Producer::open(client.clone(), metrics.clone());
        let producer = producer.map_err(|error| storage("opened", error.to_string()))?;
        let metadata = Fetcher::open(&client, &group, &topic, partitions, &metrics);
        let metadata = Metadata::new(metadata.map_err(|error| storage("opened", error.to_string()))?);
        Ok(Self(Arc::new(Shared {
            config: client,
            group,
            topic: topic.into(),
            dead: config.topic(Topic::Dead).into(),
            partitions,
            producer,
            live: Mutex::default(),
            catch_up: Mutex::default(),
            watch: Watch::start(metadata.fetcher()),
            metadata,
            last_error: LastError::default(),
            metrics,
        })))
    }

    async fn append_by(&self, behind: Behind<'_>, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        if let Some(astray) = records.iter().find(|record| record.partition >= self.0.partitions) {
            return Err(storage("written", format!("there is no partition {}", astray.partition)));
        }
        let outgoing = records.into_iter().map(|record| Outgoing {
            topic: Arc::clone(&self.0.topic),
            partition: record.partition,
            payload: record.payload,
            headers: record.trace.as_ref().map(|trace| header(TraceParent::HEADER, trace.to_string().as_bytes())),
        });
        let appended = self.0.producer.append(behind, outgoing.collect()).await;
        self.0.last_error.note(appended.map_err(|reason| storage("written", reason)))
    }

    fn fetcher(&self, slot: &mut Option<Arc<Fetcher>>) -> Result<Arc<Fetcher>, LogError> {
        if let Some(fetcher) = slot {
            return Ok(Arc::clone(fetcher));
        }
        let Shared { config, group, topic, partitions, metrics, .. } = &*self.0;
        let fetcher = Fetcher::open(config, group, topic, *partitions, metrics);
        let fetcher = Arc::new(fetcher.map_err(|error| storage("read", error.to_string()))?);
        Ok(Arc::clone(slot.insert(fetcher)))
    }
}

#[async_trait]
impl LogBackend for KafkaLog {
    fn partitions(&self) -> u32 {
        self.0.partitions
    }

    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        self.append_by(Behind::Nobody, records).await
    }

    async fn append_in(&self, lane: &Lane, alone: bool, records: Vec<NewRecord>) -> Result<Vec<u64>, LogError> {
        let behind = if alone { Behind::Begins(lane.last()) } else { Behind::Follows(lane.last()) };
        self.append_by(behind, records).await
    }

    fn last_error(&self) -> Option<String> {
        self.0.last_error.current()
    }

    fn degraded(&self) -> Option<String> {
        self.0.watch.current()
    }

    async fn state(&self, partition: u32) -> Result<PartitionState, LogError> {
        self.0.metadata.state(partition).await.map_err(|reason| storage("asked", reason))
    }

    fn reader(&self, partition: u32, from: u64, reading: Reading) -> Result<Reader, LogError> {
        let fetcher = match reading {
            Reading::Live => &self.0.live,
            Reading::CatchUp => &self.0.catch_up,
        };
        let fetcher = self.fetcher(&mut fetcher.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(Box::new(KafkaReader::open(fetcher, partition, from, self.0.metrics.clone())?))
    }

    async fn rewind(&self, partition: u32, offset: u64, window_ms: i64) -> Result<u64, LogError> {
        self.0.metadata.rewind(partition, offset, window_ms).await.map_err(|reason| storage("asked", reason))
    }

    /// The last commit of a partition counts, whatever it says: only its owner commits.
    async fn commit(&self, commits: Vec<Commit>) -> Result<(), LogError> {
        self.0.metadata.commit(commits).await.map_err(|reason| storage("committed", reason))
    }

    async fn set_aside(&self, letter: DeadLetter) -> Result<(), LogError> {
        let headers = header("partition", letter.partition.to_string().as_bytes())
            .insert(Header { key: "offset", value: Some(letter.offset.to_string().as_bytes()) })
            .insert(Header { key: "reason", value: Some(letter.reason.as_bytes()) });
        let record =
            Outgoing { topic: Arc::clone(&self.0.dead), partition: 0, payload: letter.payload, headers: Some(headers) };
        let appended = self.0.producer.append(Behind::Nobody, vec![record]).await;
        appended.map(drop).map_err(|reason| storage("set aside", reason))
    }

    fn lane_appends_max(&self) -> usize {
        LANE_APPENDS_MAX
    }
}

fn header(key: &str, value: &[u8]) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(3).insert(Header { key, value: Some(value) })
}

const fn storage(doing: &'static str, reason: String) -> LogError {
    LogError::Storage { doing, reason }
}

#[cfg(test)]
mod tests;
