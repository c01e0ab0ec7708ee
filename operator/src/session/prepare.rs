//! What a pool needs in Kafka and Redis before anybody works there: its topics, the marks by which a loss is noticed,
//! the first route table. What is there already is checked and left as it is.

use anyhow::Context as _;
use barrage_cluster::{
    kafka::{self, KafkaConfig, TopicError},
    routes::{WriteError, Writer},
    settings::Cluster,
    store::{Metrics, RedisStore},
};
use barrage_core::{
    routes::{Owner, Table, change::Change},
    store::StoreError,
};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use super::{Target, kafka::WRITER};
use crate::problem::{Problem, Reason};

/// A pool that is whole.
pub(super) struct Prepared {
    pub(super) writer: Writer,
    pub(super) kafka: KafkaConfig,
    pub(super) cluster: Cluster,
    /// Of certificates, which have to live as long.
    pub(super) folder: TempDir,
}

/// Makes it whole.
pub(super) async fn open(target: &Target) -> Result<Prepared, Problem> {
    let (folder, cluster) = files(target).map_err(|error| Problem::new(Reason::ApiError, format!("{error:#}")))?;
    let kafka = cluster.kafka.clone();
    topics(&kafka, target.partitions).await?;
    let mut writer = Writer::open(kafka.client(), &kafka.pool, WRITER).await.map_err(|error| unwritable(&error))?;
    if writer.table().epoch == 0 {
        marks(&cluster).await?;
        let partitions = usize::try_from(target.partitions).unwrap_or_default();
        let first = Table { partitions: vec![Owner::default(); partitions], spread: target.spread, ..Table::default() };
        let change = Change::between(writer.table(), &first);
        writer.write(&change).await.map_err(|error| unwritable(&error))?;
    }
    Ok(Prepared { writer, kafka, cluster, folder })
}

fn files(target: &Target) -> anyhow::Result<(TempDir, Cluster)> {
    let folder = tempfile::tempdir().context("cannot make a folder for certificates; mount an emptyDir at /tmp")?;
    let cluster = target.cluster(folder.path()).context("cannot write certificates")?;
    Ok((folder, cluster))
}

async fn topics(kafka: &KafkaConfig, partitions: u32) -> Result<(), Problem> {
    let unreachable = |error: &TopicError| {
        let brokers: Vec<_> = kafka.brokers.iter().map(ToString::to_string).collect();
        Problem::new(
            Reason::KafkaUnreachable,
            format!("spec.kafka: {error} (brokers: {}). It is tried again", brokers.join(", ")),
        )
    };
    kafka::create_topics(kafka, partitions, kafka.durability()).await.map_err(|error| unreachable(&error))?;
    let Err(errors) = kafka::check_topics(kafka, Some(partitions), kafka.durability()).await else { return Ok(()) };
    let wrong: Vec<_> =
        errors.iter().filter(|error| matches!(error, TopicError::Setting { .. })).map(ToString::to_string).collect();
    match errors.first() {
        Some(error) if wrong.is_empty() => Err(unreachable(error)),
        _ => Err(Problem::new(Reason::TopicsWrong, format!("set the topics right: {}", wrong.join("; ")))),
    }
}

/// Laid only while nothing is in the log: later they would hide what was lost.
async fn marks(cluster: &Cluster) -> Result<(), Problem> {
    let failed = |what: &str| {
        let nodes: Vec<_> = cluster.redis.nodes.iter().map(ToString::to_string).collect();
        Problem::new(
            Reason::RedisUnreachable,
            format!("spec.redis: {what} (nodes: {}). It is tried again", nodes.join(", ")),
        )
    };
    let config = cluster.redis_config().map_err(|error| failed(&format!("{error:#}")))?;
    let store = RedisStore::connect(config, Metrics::register(&mut Registry::default())).await;
    let store = store.map_err(|error: StoreError| failed(&error.to_string()))?;
    store.lay_markers().await.map_err(|error| failed(&error.to_string()))
}

fn unwritable(error: &WriteError) -> Problem {
    Problem::new(Reason::RoutesUnavailable, error.to_string())
}
