//! The nodes behind the cluster, each asked by itself: who is a master, how it is set, which history it has.

use std::{collections::BTreeMap, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, IntoConnectionInfo, RedisError, TlsCertificates, Value,
    aio::MultiplexedConnection, cmd, from_redis_value,
};

use super::config::{RedisConfig, failed};
use barrage_core::store::StoreError;

/// A node answers within this, or counts as gone. Longer than what `WAIT` is given.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// What a node has to be set to, so that a restart loses a second at most, and a full memory nothing.
const SETTINGS: [(&str, &str); 2] = [("appendonly", "yes"), ("maxmemory-policy", "noeviction")];

/// Host and port.
pub(super) type Address = (String, u16);

/// The masters that have hash slots, each with the lowest of them.
pub(super) type Masters = BTreeMap<Address, u16>;

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

/// Who the masters are, as the first node says that answers.
///
/// # Errors
/// [`StoreError::Storage`]: none does.
pub(super) async fn masters(config: &RedisConfig, further: &[Address]) -> Result<Masters, StoreError> {
    let listed = config.nodes.iter().filter_map(|node| address_of(node));
    let mut reason = String::from("no node is listed as host:port");
    for address in further.iter().cloned().chain(listed) {
        let asked = async { masters_of(&mut connect(config, &address).await?, &address).await };
        match asked.await {
            Ok(masters) if !masters.is_empty() => return Ok(masters),
            Ok(_) => reason = format!("{}: it serves no hash slots", show(&address)),
            Err(error) => reason = format!("{}: {error}", show(&address)),
        }
    }
    Err(failed("reached", format!("no node says who the masters are; {reason}")))
}

/// Who the masters are, as one node says.
pub(super) async fn masters_of(connection: &mut MultiplexedConnection, asked: &Address) -> Result<Masters, RedisError> {
    let ranges: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(connection).await?;
    let mut masters = Masters::new();
    for range in ranges {
        let [first, _, master, ..] = range.as_slice() else { continue };
        let (first, master) = (read::<u16>(first)?, read::<Vec<Value>>(master)?);
        let [host, port, ..] = master.as_slice() else { continue };
        let host: Option<String> = read(host)?;
        // Without a name of its own a node is where it was asked.
        let address = (host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.0.clone()), read(port)?);
        let lowest = masters.entry(address).or_insert(first);
        *lowest = first.min(*lowest);
    }
    Ok(masters)
}

/// All replicas that a node knows, also those that have nothing yet, which `CLUSTER SLOTS` leaves out.
pub(super) async fn replicas_of(connection: &mut MultiplexedConnection) -> Result<Vec<Address>, RedisError> {
    let text: String = cmd("CLUSTER").arg("NODES").query_async(connection).await?;
    Ok(text.lines().filter_map(replica).collect())
}

/// The address in a line `ID HOST:PORT@BUS[,NAME] FLAGS …`, if it is of a replica.
fn replica(line: &str) -> Option<Address> {
    let mut fields = line.split(' ').skip(1);
    let (address, flags) = (fields.next()?, fields.next()?);
    flags.split(',').find(|flag| *flag == "slave")?;
    address_of(address.split('@').next()?)
}

/// The address in `HOST:PORT`.
fn address_of(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_found_in_what_a_node_says() {
        let line = |address: &str, flags: &str| format!("07c3 {address} {flags} e7d1 0 1426238317239 4 connected");
        let found = Some(("10.0.0.1".to_owned(), 7004));
        assert_eq!(replica(&line("10.0.0.1:7004@17004", "slave")), found);
        assert_eq!(replica(&line("10.0.0.1:7004@17004,redis-3", "myself,slave")), found);
        assert_eq!(replica(&line("::1:7004@17004", "slave")), Some(("::1".to_owned(), 7004)));
        assert_eq!(replica(&line("10.0.0.1:7004@17004", "myself,master")), None);
    }
}
