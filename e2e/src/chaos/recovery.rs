//! Whether all is well again: every server by its own word, and danmaku acknowledged and shown everywhere.

use std::{
    fmt::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use tokio::{task::spawn_blocking, time::sleep};

use super::{ChaosError, Crowd, WELL_WITHIN};
use crate::{
    cluster::{Cluster, RoleProcess},
    http::Api,
};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const METADATA_WITHIN: Duration = Duration::from_secs(2);

/// Waits until gateways, consumers and rankers say that they are, brokers and Redis nodes are in step, and every group
/// of the crowd gets answers and danmaku. `after` names what was done before.
///
/// # Errors
/// [`ChaosError::NotWell`] with what is wrong after a minute.
pub async fn until_well(cluster: &mut Cluster, crowd: &Crowd, after: &str) -> Result<(), ChaosError> {
    let deadline = Instant::now() + WELL_WITHIN;
    cluster.redis.until_settled().await?;
    until(deadline, after, async || ailing(cluster).await).await?;
    // Counted from here: what was shown before says nothing about now.
    let before: Vec<_> = crowd.corners().iter().map(|corner| flow(&corner.control.progress)).collect();
    let still = async || {
        let mut ails = String::new();
        for (corner, before) in crowd.corners().iter().zip(&before) {
            let now = flow(&corner.control.progress);
            let lacks = if now.0 == before.0 {
                "nothing is acknowledged"
            } else if now.1 == before.1 {
                "nothing is shown"
            } else {
                continue;
            };
            let gave_up = if corner.has_given_up() { ", the crowd gave up" } else { "" };
            // Writing to a String does not fail.
            let _ = write!(ails, "at gateway {} in room {} {lacks}{gave_up}; ", corner.gateway, corner.room);
        }
        ails
    };
    until(deadline.max(Instant::now() + WELL_WITHIN / 2), after, still).await
}

/// Danmaku acknowledged, and shown.
fn flow(progress: &crate::swarm::Progress) -> (u64, u64) {
    (progress.acknowledged.value(), progress.danmaku.value())
}

async fn until(deadline: Instant, after: &str, mut ails: impl AsyncFnMut() -> String) -> Result<(), ChaosError> {
    loop {
        let ails = ails().await;
        if ails.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(ChaosError::NotWell { after: after.to_owned(), within: WELL_WITHIN, ails });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What is wrong with the servers, by their own word; nothing when all is well.
async fn ailing(cluster: &Cluster) -> String {
    let mut ails = String::new();
    let roles = [("gateway", &cluster.gateways), ("consumer", &cluster.consumers), ("ranker", &cluster.rankers)];
    for (role, processes) in roles {
        for (number, process) in processes.iter().enumerate() {
            if let Some(word) = ail_of(process).await {
                let _ = write!(ails, "{role} {number}: {word}; ");
            }
        }
    }
    let brokers = cluster.kafka.direct();
    match spawn_blocking(move || out_of_step(&brokers)).await {
        Ok(0) => {}
        Ok(partitions) => _ = write!(ails, "{partitions} partitions of Kafka are not in step; "),
        Err(error) => _ = write!(ails, "asking Kafka: {error}; "),
    }
    ails
}

async fn ail_of(process: &RoleProcess) -> Option<String> {
    let api = Api::new(&format!("http://{}", process.admin()));
    match spawn_blocking(move || api.get("/readyz")).await {
        Ok(Ok(answer)) if answer.status == 200 && answer.body.contains("\"status\":\"ok\"") => None,
        Ok(Ok(answer)) => Some(answer.body),
        Ok(Err(error)) => Some(error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Partitions with a replica that has not caught up; all when nobody says.
fn out_of_step(brokers: &[SocketAddr]) -> usize {
    let addresses: Vec<_> = brokers.iter().map(ToString::to_string).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses.join(",")).set("log_level", "0").set("broker.address.family", "v4");
    let client = config.create::<BaseConsumer>();
    let Ok(metadata) = client.and_then(|client| client.fetch_metadata(None, METADATA_WITHIN)) else {
        return usize::MAX;
    };
    if metadata.brokers().len() < brokers.len() {
        return usize::MAX;
    }
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions.filter(|partition| partition.isr().len() < partition.replicas().len()).count()
}
