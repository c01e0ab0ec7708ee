//! What a pool refers to: Secrets, and other pools at the same Kafka.

use barrage_cluster::{endpoint::Node, kafka::Mechanism};
use barrage_core::room::SPREAD_DEFAULT;
use barrage_crds::{KafkaTlsSpec, RedisTlsSpec, RoomPool, SaslMechanism};

use super::secrets::{self, Secrets};
use crate::{
    context::{Context, Guarded, is_older, key_of},
    problem::{Problem, Reason},
    session::{
        Target,
        target::{KafkaTarget, RedisTarget, SaslContent, TlsContent},
    },
};

pub(crate) struct Found {
    /// Kafka and Redis, or what is missing to reach them.
    pub(crate) target: Result<Target, Problem>,
    /// What is wrong, but keeps nobody from working.
    pub(crate) warnings: Vec<Problem>,
    /// An older pool with the same ID at the same Kafka.
    pub(crate) rival: Option<String>,
}

/// Reads all of it.
///
/// # Errors
/// The API server refuses.
pub(crate) async fn dereference(ctx: &Context, pool: &RoomPool) -> Result<Found, Problem> {
    let mut secrets = Secrets::new(ctx, pool);
    let target = match target(&mut secrets, pool).await {
        Err(problem) if problem.reason == Reason::ApiError => return Err(problem),
        found => found,
    };
    let mut warnings = Vec::new();
    let viewers = &pool.spec.viewers;
    let of_ingress = viewers.ingress.as_ref().and_then(|ingress| ingress.tls_secret.as_ref());
    for name in of_ingress.into_iter().chain(&viewers.service.tls_secret) {
        warnings.extend(secrets.certificate(name).await.err());
    }
    if let Some(keys) = &pool.spec.tokens.keys {
        let content = secrets.content(keys).await;
        warnings.extend(content.and_then(|content| secrets::check_keys(keys, &content)).err());
    }
    Ok(Found { target, warnings, rival: rival(ctx, pool) })
}

async fn target(secrets: &mut Secrets<'_>, pool: &RoomPool) -> Result<Target, Problem> {
    let spec = &pool.spec;
    let sasl = match &spec.kafka.sasl {
        Some(sasl) => Some(SaslContent {
            mechanism: mechanism(sasl.mechanism),
            username: sasl.username.clone(),
            password: secrets.password(&sasl.password).await?,
        }),
        None => None,
    };
    let auth = match &spec.redis.auth {
        Some(auth) => Some((auth.username.clone(), secrets.password(&auth.password).await?)),
        None => None,
    };
    Ok(Target {
        pool_id: pool.pool_id(),
        partitions: spec.kafka.partitions,
        spread: spec.kafka.spread.unwrap_or(SPREAD_DEFAULT),
        kafka: KafkaTarget {
            brokers: nodes("spec.kafka.brokers", &spec.kafka.brokers)?,
            trial: spec.kafka.trial,
            tls: kafka_tls(secrets, spec.kafka.tls.as_ref()).await?,
            sasl,
        },
        redis: RedisTarget {
            nodes: nodes("spec.redis.nodes", &spec.redis.nodes)?,
            trial: spec.redis.trial,
            tls: redis_tls(secrets, spec.redis.tls.as_ref()).await?,
            auth,
        },
    })
}

async fn kafka_tls(secrets: &mut Secrets<'_>, tls: Option<&KafkaTlsSpec>) -> Result<Option<TlsContent>, Problem> {
    let Some(tls) = tls else { return Ok(None) };
    let ca = match &tls.ca {
        Some(ca) => Some(secrets.content(ca).await?),
        None => None,
    };
    let identity = match &tls.certificate_secret {
        Some(name) => Some(secrets.certificate(name).await?),
        None => None,
    };
    Ok(Some(TlsContent { ca, identity }))
}

async fn redis_tls(secrets: &mut Secrets<'_>, tls: Option<&RedisTlsSpec>) -> Result<Option<TlsContent>, Problem> {
    let Some(tls) = tls else { return Ok(None) };
    let ca = match &tls.ca {
        Some(ca) => Some(secrets.content(ca).await?),
        None => None,
    };
    Ok(Some(TlsContent { ca, identity: None }))
}

fn nodes(field: &str, texts: &[String]) -> Result<Vec<Node>, Problem> {
    let node = |text: &String| {
        let wrong = || Problem::new(Reason::Invalid, format!("{field}: {text:?} is no address; allowed is host:port"));
        text.parse().map_err(|()| wrong())
    };
    texts.iter().map(node).collect()
}

const fn mechanism(mechanism: SaslMechanism) -> Mechanism {
    match mechanism {
        SaslMechanism::Plain => Mechanism::Plain,
        SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
        SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
    }
}

/// Two pools of one ID at one Kafka would share topics, and fence each other's writers.
fn rival(ctx: &Context, pool: &RoomPool) -> Option<String> {
    let is_rival = |other: &Guarded<RoomPool>| match &other.0 {
        Ok(other) => {
            other.metadata.uid != pool.metadata.uid
                && other.pool_id() == pool.pool_id()
                && other.spec.kafka.brokers.iter().any(|broker| pool.spec.kafka.brokers.contains(broker))
                && is_older(other, pool)
        }
        Err(_) => false,
    };
    let found = ctx.pools.iter().find_map(|store| store.find(is_rival))?;
    Some(key_of(&*found).to_string())
}
