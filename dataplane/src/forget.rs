//! Takes away what the store has of rooms that are not served any more.

use std::time::Duration;

use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{
    kafka::KafkaConfig,
    log::{Log, LogError, kafka::KafkaLog},
    roles::redis_config,
    room::RoomId,
    settings::Cluster,
    store::{
        StoreError,
        redis::{Metrics, RedisStore},
    },
};

/// How long what was acknowledged may take until it is applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The data of a room is still there, or some of it.
#[derive(Debug, Error)]
pub enum ForgetError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its settings.
    #[error("{0}")]
    Settings(String),
    /// Consumers are behind: what comes later would stay.
    #[error(
        "partition {partition} is committed up to {committed}, and what was said stands up to {end}: it is forgotten once \
         the consumers have caught up"
    )]
    Behind {
        /// Where.
        partition: u32,
        /// How far consumers are.
        committed: u64,
        /// How far they have to be.
        end: u64,
    },
}

/// Waits until everything that is in the log now is applied and safe, then removes the rooms from the store. Nobody may
/// append to them any more: every gateway has to go by a table without them. Safe to repeat.
///
/// # Errors
/// [`ForgetError`]: try again.
pub async fn forget(cluster: &Cluster, partitions: u32, rooms: &[RoomId]) -> Result<(), ForgetError> {
    let log = KafkaLog::open(&KafkaConfig::new(cluster), partitions, &mut Registry::default())?;
    let log = Log::Kafka(log);
    let deadline = Instant::now() + APPLIED_WITHIN;
    for partition in 0..partitions {
        let end = log.state(partition).await?.end;
        loop {
            let committed = log.state(partition).await?.committed;
            if committed >= end {
                break;
            }
            if Instant::now() >= deadline {
                return Err(ForgetError::Behind { partition, committed, end });
            }
            sleep(LOOK_EVERY).await;
        }
    }
    let config = redis_config(cluster).map_err(|error| ForgetError::Settings(format!("{error:#}")))?;
    let store = RedisStore::connect(config, Metrics::register(&mut Registry::default())).await?;
    for room in rooms {
        store.forget(room).await?;
    }
    Ok(())
}
