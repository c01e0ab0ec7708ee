//! Commands and script calls over one connection to the whole cluster.
//!
//! The client follows MOVED and ASK, waits out TRYAGAIN and asks for the topology again by itself. A call that is not
//! answered may still take effect: whatever is called here is safe to repeat.

use std::time::{Duration, Instant};

use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, TlsCertificates, ToRedisArgs,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_read_routing::RandomReplicaStrategy,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    cmd,
};

use super::{RedisConfig, metrics::Metrics};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Redirections count as attempts; a slot that is being moved costs some.
const RETRIES: u32 = 4;
/// How long all attempts may take: a failover takes longer, and is left to the caller.
const ALL_ATTEMPTS: Duration = Duration::from_millis(1_500);
/// Pause before another attempt, where a node says that it cannot answer yet.
const PAUSE_MS: (u64, u64) = (20, 200);

/// A connection to the cluster; clones share it.
#[derive(Clone)]
pub(crate) struct Calls {
    connection: ClusterConnection,
    metrics: Metrics,
}

/// A script, and the hash by which a node that has it calls it.
pub(crate) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    pub(crate) fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }
}

impl Calls {
    pub(super) async fn connect(config: &RedisConfig, metrics: Metrics) -> Result<Self, RedisError> {
        let scheme = if config.tls.is_some() { "rediss" } else { "redis" };
        let mut client = ClusterClient::builder(config.nodes.iter().map(|node| format!("{scheme}://{node}")))
            .connection_timeout(ATTEMPT)
            .response_timeout(ATTEMPT)
            .overall_response_timeout(Some(ALL_ATTEMPTS))
            .retries(RETRIES)
            .min_retry_wait(PAUSE_MS.0)
            .max_retry_wait(PAUSE_MS.1)
            .read_routing_strategy(RandomReplicaStrategy);
        if let Some(tls) = &config.tls {
            client = client.certs(TlsCertificates { client_tls: None, root_cert: tls.ca.clone() });
        }
        if let Some(username) = &config.username {
            client = client.username(username);
        }
        if let Some(password) = &config.password {
            client = client.password(password);
        }
        let connection = client.build()?.get_async_connection().await?;
        Ok(Self { connection, metrics })
    }

    /// Calls a script on the master of its keys. A node that does not have it (it is new, restarted or was flushed) is
    /// sent the whole of it, and has it from then on.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl ToRedisArgs],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, RedisError> {
        let call = |name: &str, script: &str| {
            let mut call = cmd(name);
            call.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            call
        };
        let started = Instant::now();
        let mut outcome = self.send(&call("EVALSHA", &script.hash)).await;
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            self.metrics.reloaded();
            outcome = self.send(&call("EVAL", script.code)).await;
        }
        self.metrics.called(started.elapsed(), outcome.is_ok());
        outcome
    }

    /// Sends a command; one that only reads goes to a replica.
    pub(crate) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.metrics.sent(1);
        command.query_async(&mut self.connection.clone()).await
    }

    /// Sends a command to the master of a key, though it only reads.
    pub(super) async fn send_to_master<T: FromRedisValue>(&self, key: &str, command: Cmd) -> Result<T, RedisError> {
        self.metrics.sent(1);
        let master = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
        let value = self.connection.clone().route_command(command, RoutingInfo::SingleNode(master)).await?;
        Ok(T::from_redis_value(value.extract_error()?)?)
    }
}
