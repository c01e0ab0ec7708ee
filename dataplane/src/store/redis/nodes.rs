//! The nodes behind the cluster, each asked by itself: who is a master, how it is set, which history it has.

use std::{collections::BTreeMap, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, RedisError, TlsCertificates, Value,
    aio::MultiplexedConnection, cmd, from_redis_value,
};

use super::{super::StoreError, RedisConfig, failed};

/// A node answers within this, or counts as gone. Longer than what `WAIT` is given.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// What a node has to be set to, so that a restart loses a second at most, and a full memory nothing.
const SETTINGS: [(&str, &str); 2] = [("appendonly", "yes"), ("maxmemory-policy", "noeviction")];

/// Host and port.
pub(super) type Address = (String, u16);

/// The masters that have hash slots, each with the lowest of them.
pub(super) type Masters = BTreeMap<Address, u16>;

/// What a node says that the cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) masters: Masters,
    pub(super) replicas: Vec<Address>,
}

/// Opens a connection of its own to a node.
pub(super) async fn connect(config: &RedisConfig, (host, port): &Address) -> Result<MultiplexedConnection, RedisError> {
    let scheme = if config.tls.is_some() { "rediss" } else { "redis" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let info = format!("{scheme}://{host}:{port}").as_str().into_connection_info()?;
    let mut login = info.redis_settings().clone();
    if let Some(username) = &config.username {
        login = login.set_username(username);
    }
    if let Some(password) = &config.password {
        login = login.set_password(password);
    }
    let info = info.set_redis_settings(login);
    let client = match &config.tls {
        Some(tls) => Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: tls.ca.clone() })?,
        None => Client::open(info)?,
    };
    let timeouts = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWERS_WITHIN))
        .set_response_timeout(Some(ANSWERS_WITHIN));
    client.get_multiplexed_async_connection_with_config(&timeouts).await
}

/// What the cluster is, as the first node says that answers.
///
/// # Errors
/// [`StoreError::Storage`]: none does.
pub(super) async fn topology(config: &RedisConfig, further: &[Address]) -> Result<Topology, StoreError> {
    let listed = config.nodes.iter().filter_map(|node| {
        let (host, port) = node.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
    });
    let mut reason = String::from("no node is listed as host:port");
    for address in further.iter().cloned().chain(listed) {
        let asked = async { topology_of(&mut connect(config, &address).await?, &address).await };
        match asked.await {
            Ok(topology) if !topology.masters.is_empty() => return Ok(topology),
            Ok(_) => reason = format!("{}: it serves no hash slots", show(&address)),
            Err(error) => reason = format!("{}: {error}", show(&address)),
        }
    }
    Err(failed("reached", format!("no node says what the cluster is; {reason}")))
}

/// What the cluster is, as one node says.
pub(super) async fn topology_of(
    connection: &mut MultiplexedConnection,
    asked: &Address,
) -> Result<Topology, RedisError> {
    let ranges: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    let mut topology = Topology { masters: Masters::new(), replicas: Vec::new() };
    for range in ranges {
        let [first, _, nodes @ ..] = range.as_slice() else { continue };
        let first: u16 = read(first)?;
        for (place, node) in nodes.iter().enumerate() {
            let node: Vec<Value> = read(node)?;
            let [host, port, ..] = node.as_slice() else { continue };
            let host: Option<String> = read(host)?;
            // Without a name of its own a node is where it was asked.
            let address = (host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.0.clone()), read(port)?);
            if place == 0 {
                let lowest = topology.masters.entry(address).or_insert(first);
                *lowest = first.min(*lowest);
            } else if !topology.replicas.contains(&address) {
                topology.replicas.push(address);
            }
        }
    }
    Ok(topology)
}

/// Checks that a node is set as it has to be.
///
/// # Errors
/// [`StoreError::Setting`]; [`StoreError::Storage`] when it does not say.
pub(super) async fn check_settings(connection: &mut MultiplexedConnection, node: &Address) -> Result<(), StoreError> {
    for (setting, wanted) in SETTINGS {
        let asked = cmd("CONFIG").arg("GET").arg(setting).query_async::<Vec<String>>(connection).await;
        let answer = asked.map_err(|error| failed("checked", format!("CONFIG GET at {}: {error}", show(node))))?;
        let found = answer.into_iter().nth(1).unwrap_or_default();
        if found != wanted {
            return Err(StoreError::Setting { node: show(node), setting, found, wanted });
        }
    }
    Ok(())
}

/// The ID of the history that a master writes: another after every restart and failover.
pub(super) async fn history_id(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let text: String = cmd("INFO").arg("replication").query_async(connection).await?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    match (field("role"), field("master_replid")) {
        (Some("master"), Some(id)) => Ok(id.to_owned()),
        (role, _) => Err(RedisError::from((
            redis::ErrorKind::Client,
            "the node is no master any more",
            role.unwrap_or("unknown").to_owned(),
        ))),
    }
}

/// An address as one reads it.
pub(super) fn show((host, port): &Address) -> String {
    format!("{host}:{port}")
}

fn read<T: FromRedisValue>(value: &Value) -> Result<T, RedisError> {
    Ok(from_redis_value(value.clone())?)
}
