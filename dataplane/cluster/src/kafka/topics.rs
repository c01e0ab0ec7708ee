//! The topics of a pool: made as the design wants them, and checked before anything relies on them.
//!
//! What is acknowledged is kept only where two replicas have it and no replica that lacks it can become leader. So a
//! topic with other settings is refused at start, with the name of the setting.

mod rules;

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext,
    error::KafkaError,
    metadata::MetadataTopic,
    types::RDKafkaErrorCode,
};
use thiserror::Error;

use super::{Context, KafkaConfig, Topic};
use rules::{Wrong, rules, wrong_entries};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A pool's topics are not as they have to be.
#[derive(Debug, Error)]
pub enum TopicError {
    #[error("topic {topic}: {setting} is {found}, it has to be {wanted}. Alter the topic, then start again")]
    Setting { topic: String, setting: String, found: String, wanted: String },
    /// Kafka cannot be reached, or refuses.
    #[error("the topics cannot be set up: {0}")]
    Kafka(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Three; two must have a record before it is acknowledged.
    Replicated,
    /// One: what is acknowledged is lost with its disk. For trying things out on a single broker.
    Trial,
}

impl Durability {
    /// Replicas of each partition.
    pub(super) const fn replicas(self) -> i32 {
        match self {
            Self::Replicated => 3,
            Self::Trial => 1,
        }
    }

    /// Replicas that must have a record before it is acknowledged.
    pub(super) const fn in_sync(self) -> i64 {
        match self {
            Self::Replicated => 2,
            Self::Trial => 1,
        }
    }
}

/// Makes those of the pool's topics that are missing; others are left as they are.
///
/// # Errors
/// [`TopicError::Kafka`] when Kafka cannot be reached or refuses.
pub async fn create_topics(config: &KafkaConfig, partitions: u32, durability: Durability) -> Result<(), TopicError> {
    let admin = admin(config)?;
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    let names = Topic::ALL.map(|topic| (topic, config.topic(topic)));
    let settings = Topic::ALL.map(|topic| rules(topic, durability));
    let topics = names.iter().zip(&settings).map(|((topic, name), settings)| {
        let partitions = if *topic == Topic::Danmaku { partitions } else { 1 };
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(durability.replicas()));
        settings.iter().fold(new, |new, rule| new.set(rule.setting, &rule.value))
    });
    let topics: Vec<_> = topics.collect();
    let made = admin.create_topics(&topics, &options).await.map_err(|error| failed(&error))?;
    for result in made {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(refused(format!("topic {topic}: {code}"))),
        }
    }
    Ok(())
}

/// Checks all topics of the pool; returns how many partitions the log has.
///
/// # Errors
/// One [`TopicError::Setting`] for each setting that is wrong, or one [`TopicError::Kafka`] when Kafka cannot be asked.
pub async fn check_topics(
    config: &KafkaConfig,
    partitions: Option<u32>,
    durability: Durability,
) -> Result<u32, Vec<TopicError>> {
    let admin = admin(config).map_err(|error| vec![error])?;
    let names = Topic::ALL.map(|topic| config.topic(topic));
    let resources = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect::<Vec<_>>();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin.describe_configs(&resources, &options).await.map_err(|error| vec![failed(&error)])?;
    let names = Vec::from(names);
    let asked = tokio::task::spawn_blocking(move || shapes(&admin, &names)).await;
    let shapes = asked.map_err(|error| vec![refused(error.to_string())])?.map_err(|error| vec![error])?;

    let mut wrong = Vec::new();
    for ((topic, shape), resource) in Topic::ALL.into_iter().zip(&shapes).zip(&described) {
        let wanted = if topic == Topic::Danmaku { partitions } else { Some(1) };
        let found = inspect(topic, *shape, resource, wanted, durability);
        let name = config.topic(topic);
        wrong.extend(found.into_iter().map(|Wrong { setting, found, wanted }| TopicError::Setting {
            topic: name.clone(),
            setting,
            found,
            wanted,
        }));
    }
    if wrong.is_empty() { Ok(shapes[0].map_or(0, |shape| shape.partitions)) } else { Err(wrong) }
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    partitions: u32,
    /// Of the partition that has the fewest.
    replicas: usize,
}

fn inspect(
    topic: Topic,
    shape: Option<Shape>,
    resource: &Result<ConfigResource, RDKafkaErrorCode>,
    partitions: Option<u32>,
    durability: Durability,
) -> Vec<Wrong> {
    let Some(shape) = shape else {
        return vec![Wrong::new("topic", "missing", "made: see create_topics")];
    };
    let mut wrong = Vec::new();
    if let Some(wanted) = partitions
        && wanted != shape.partitions
    {
        wrong.push(Wrong::new("partitions", shape.partitions, wanted));
    }
    let replicas = usize::try_from(durability.replicas()).unwrap_or_default();
    if shape.replicas < replicas {
        wrong.push(Wrong::new("replication factor", shape.replicas, format!("{replicas} or more")));
    }
    match resource {
        Ok(resource) => wrong.extend(wrong_entries(topic, durability, |setting| {
            resource.entry_map().get(setting).and_then(|entry| entry.value.clone())
        })),
        Err(code) => wrong.push(Wrong::new("settings", code, "readable: allow DescribeConfigs")),
    }
    wrong
}

/// Layout of each topic; blocks.
fn shapes(admin: &AdminClient<Context>, names: &[String]) -> Result<Vec<Option<Shape>>, TopicError> {
    let metadata = admin.inner().fetch_metadata(None, TIMEOUT).map_err(|error| failed(&error))?;
    let found = |name: &String| metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none());
    Ok(names.iter().map(|name| found(name).map(shape)).collect())
}

fn shape(topic: &MetadataTopic) -> Shape {
    let partitions = topic.partitions();
    Shape {
        partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
        replicas: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or_default(),
    }
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<Context>, TopicError> {
    AdminClient::from_config_and_context(&config.client(), Context::default()).map_err(|error| failed(&error))
}

fn failed(error: &KafkaError) -> TopicError {
    let unreachable = [RDKafkaErrorCode::OperationTimedOut, RDKafkaErrorCode::BrokerTransportFailure];
    match error.rdkafka_error_code() {
        // Brokers do not say more to those whom they do not know.
        Some(code) if unreachable.contains(&code) => {
            refused(format!("{error}. No broker answers: look at their addresses, at TLS and at user and password"))
        }
        _ => refused(error.to_string()),
    }
}

fn refused(reason: String) -> TopicError {
    TopicError::Kafka(reason)
}
