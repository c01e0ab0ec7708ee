//! Takes away what the store has of rooms that are not served any more.

use std::{sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{
    log::KafkaLog,
    settings::Cluster,
    store::{Metrics, RedisStore},
};
use barrage_core::{
    certificate::CertificateError,
    log::{LogBackend, LogError},
    room::RoomId,
    store::StoreError,
};

/// How long what was acknowledged may take until it is applied.
const APPLIED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The data of a room is still there, or some of it.
#[derive(Debug, Error)]
pub enum ForgetError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Settings(#[from] CertificateError),
    /// Consumers are behind: what comes later would stay.
    #[error(
        "partition {partition} is committed up to {committed}, and what was said stands up to {end}: the consumers have to \
         catch up first. See that they run; to keep the data instead, remove the room's finalizer"
    )]
    Behind { partition: u32, committed: u64, end: u64 },
}

/// Waits until everything that is in the log now is applied and safe, then removes the rooms from the store. Nobody may
/// append to them any more: every gateway has to go by a table without them. One that is served again by then stays.
/// Safe to repeat.
///
/// # Errors
/// [`ForgetError`]: try again.
pub async fn forget(
    cluster: &Cluster,
    partitions: u32,
    rooms: &[RoomId],
    is_served: impl Fn(&RoomId) -> bool,
) -> Result<(), ForgetError> {
    let log = KafkaLog::open(&cluster.kafka, partitions, &mut Registry::default())?;
    let mut ends = Vec::new();
    for partition in 0..partitions {
        ends.push(log.state(partition).await?.end);
    }
    let deadline = Instant::now() + APPLIED_WITHIN;
    for (partition, &end) in (0..).zip(&ends) {
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
    let config = cluster.redis_config()?;
    let store = RedisStore::connect(config, Metrics::register(&mut Registry::default())).await?;
    let ends: Arc<[u64]> = ends.into();
    for room in rooms {
        // Somebody else may have the ID by now.
        if !is_served(room) {
            store.forget(room, Arc::clone(&ends)).await?;
        }
    }
    Ok(())
}
