//! Commands and script calls over one connection to the whole cluster.
//!
//! The client follows MOVED and ASK, waits out TRYAGAIN and asks for the topology again by itself. A call that is not
//! answered may still take effect: whatever is called here is safe to repeat.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, TlsCertificates, ToRedisArgs,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_read_routing::RandomReplicaStrategy,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    cmd,
};
use tokio::time::timeout;

use super::{config::RedisConfig, metrics::Metrics};

const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a replica may take: a healthy one takes a few ms, one that is stopped never answers.
const REPLICA_MAX: Duration = Duration::from_millis(500);
/// Redirections count as attempts; a slot that is being moved costs some.
const RETRIES: u32 = 4;
/// How long all attempts may take: a failover takes longer, and is left to the caller.
const ALL_ATTEMPTS: Duration = Duration::from_secs(3);
/// Pause before another attempt, where a node says that it cannot answer yet.
const PAUSE_MS: (u64, u64) = (20, 200);

/// A connection that has answered nothing for so long is given up for a new one. While the client looks for the topology
/// it carries out no call, and one that holds the client's lock at that moment keeps it from ever finding it. Nor does it
/// find it where it has lost its connections to all nodes meanwhile: then it asks nobody, over and over.
const RENEW_AFTER: Duration = Duration::from_secs(5);
const RENEW_WITHIN: Duration = Duration::from_secs(5);

/// A connection to the cluster; clones share it.
#[derive(Clone)]
pub(crate) struct Calls {
    line: Arc<Line>,
    metrics: Metrics,
}

/// The connection, as long as it answers.
struct Line {
    client: ClusterClient,
    connection: RwLock<ClusterConnection>,
    silence: Silence,
}

/// Since when no call was answered.
#[derive(Default)]
struct Silence(Mutex<Option<Instant>>);

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
        let client = client.build()?;
        let connection = RwLock::new(client.get_async_connection().await?);
        let line = Line { client, connection, silence: Silence::default() };
        Ok(Self { line: Arc::new(line), metrics })
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

    /// Reads from a replica, or from the master where the replica does not answer soon.
    pub(super) async fn read<T: FromRedisValue>(&self, key: &str, command: Cmd) -> Result<T, RedisError> {
        if let Ok(Ok(read)) = timeout(REPLICA_MAX, self.send(&command)).await {
            return Ok(read);
        }
        self.metrics.passed_over();
        self.send_to_master(key, command).await
    }

    /// Sends a command; one that only reads goes to a replica.
    pub(crate) async fn send<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        self.metrics.sent(1);
        let outcome = command.query_async(&mut self.line.connection()).await;
        self.heard(&outcome).await;
        outcome
    }

    /// Sends a command to the master of a key, though it only reads.
    pub(super) async fn send_to_master<T: FromRedisValue>(&self, key: &str, command: Cmd) -> Result<T, RedisError> {
        self.metrics.sent(1);
        let master = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
        let outcome = self.line.connection().route_command(command, RoutingInfo::SingleNode(master)).await;
        self.heard(&outcome).await;
        Ok(T::from_redis_value(outcome?.extract_error()?)?)
    }

    /// Takes down whether a call was answered; connects anew when none has been for too long.
    async fn heard<T>(&self, outcome: &Result<T, RedisError>) {
        let silent = outcome.as_ref().is_err_and(is_silence);
        if !self.line.silence.is_too_long(silent, Instant::now()) {
            return;
        }
        match timeout(RENEW_WITHIN, self.line.client.get_async_connection()).await {
            Ok(Ok(connection)) => {
                tracing::warn!("Redis has answered nothing for {RENEW_AFTER:?}; connected anew");
                self.metrics.renewed();
                *self.line.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
            }
            Ok(Err(error)) => tracing::warn!(%error, "Redis answers nothing and cannot be connected to anew"),
            Err(_) => tracing::warn!("Redis answers nothing and cannot be connected to anew in {RENEW_WITHIN:?}"),
        }
    }
}

impl Line {
    fn connection(&self) -> ClusterConnection {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether nobody answered: not in time, or nobody was there to be asked.
fn is_silence(error: &RedisError) -> bool {
    error.is_timeout() || error.kind() == ErrorKind::ClusterConnectionNotFound
}

impl Silence {
    /// Whether nothing has been answered for too long; true for one caller, and again after as long.
    fn is_too_long(&self, silent: bool, now: Instant) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !silent {
            *since = None;
            return false;
        }
        let dead = now.saturating_duration_since(*since.get_or_insert(now)) >= RENEW_AFTER;
        if dead {
            *since = Some(now);
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_when_nobody_has_answered_for_too_long() {
        let (silence, now) = (Silence::default(), Instant::now());
        assert!(!silence.is_too_long(true, now));
        assert!(!silence.is_too_long(true, now + RENEW_AFTER / 2));
        assert!(!silence.is_too_long(false, now + RENEW_AFTER / 2), "one answer is enough");
        assert!(!silence.is_too_long(true, now + RENEW_AFTER));
        assert!(silence.is_too_long(true, now + 2 * RENEW_AFTER));
        assert!(!silence.is_too_long(true, now + 2 * RENEW_AFTER), "one caller is enough");
    }

    #[test]
    fn nobody_there_is_no_answer_and_a_refusal_is_one() {
        let error = |kind| RedisError::from((kind, "said"));
        assert!(is_silence(&error(ErrorKind::ClusterConnectionNotFound)));
        assert!(!is_silence(&error(ErrorKind::Server(ServerErrorKind::ClusterDown))));
        assert!(!is_silence(&error(ErrorKind::AuthenticationFailed)));
    }
}
