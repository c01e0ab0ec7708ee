//! Commands and script calls over one connection to the whole cluster.
//!
//! The client follows MOVED and ASK, waits out TRYAGAIN and asks for the topology again by itself. A call that is not
//! answered may still take effect: whatever is called here is safe to repeat.

use std::{
    sync::{Arc, PoisonError, RwLock},
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
use tokio::{runtime::Handle, time::timeout};

use super::{config::RedisConfig, keys::slot_of, metrics::Metrics, silence::Silence};

const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a node may take before another is asked: a healthy one takes a few ms, one that is stopped never answers.
const HEALTHY_MAX: Duration = Duration::from_millis(500);
/// Redirections count as attempts; a slot that is being moved costs some.
const RETRIES: u32 = 4;
/// How long all attempts may take: a failover takes longer, and is left to the caller.
const ALL_ATTEMPTS: Duration = Duration::from_secs(3);
/// Pause before another attempt, where a node says that it cannot answer yet.
const PAUSE_MS: (u64, u64) = (20, 200);

/// How long connecting anew may take.
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

/// A call that is under way to the master of a key's slot; also one whose caller stops waiting is taken down.
struct Asked<'a> {
    calls: &'a Calls,
    slot: u16,
    since: Instant,
    /// `None` until it has ended.
    answered: Option<bool>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(answered) = was_answered(self.answered, now.saturating_duration_since(self.since))
            && self.calls.line.silence.is_too_long(self.slot, answered, now)
        {
            self.calls.renew();
        }
    }
}

/// Whether a call was answered. One that was given up is a sign of silence only where a healthy node would have answered:
/// a viewer that hangs up at once says nothing about Redis.
fn was_answered(answered: Option<bool>, waited: Duration) -> Option<bool> {
    answered.or_else(|| (waited >= HEALTHY_MAX).then_some(false))
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
        let client = client.build()?;
        let connection = RwLock::new(client.get_async_connection().await?);
        let line = Line { client, connection, silence: Silence::default() };
        Ok(Self { line: Arc::new(line), metrics })
    }

    /// Calls a script on the master of its keys, of which there is at least one. A node that does not have it (it is new,
    /// restarted or was flushed) is sent the whole of it, and has it from then on.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl AsRef<str> + ToRedisArgs],
        arguments: &[impl ToRedisArgs],
    ) -> Result<T, RedisError> {
        let call = |name: &str, script: &str| {
            let mut call = cmd(name);
            call.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            call
        };
        let (key, started) = (keys[0].as_ref(), Instant::now());
        let mut outcome = self.send(key, &call("EVALSHA", &script.hash)).await;
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            self.metrics.reloaded();
            outcome = self.send(key, &call("EVAL", script.code)).await;
        }
        self.metrics.called(started.elapsed(), outcome.is_ok());
        outcome
    }

    /// Reads from a replica, or from the master where the replica does not answer soon.
    pub(super) async fn read<T: FromRedisValue>(&self, key: &str, command: Cmd) -> Result<T, RedisError> {
        self.metrics.sent(1);
        // Nobody takes this down: that a replica answers says nothing of the master, which may be silent.
        let mut connection = self.line.connection();
        if let Ok(Ok(read)) = timeout(HEALTHY_MAX, command.query_async(&mut connection)).await {
            return Ok(read);
        }
        self.metrics.passed_over();
        self.send_to_master(key, command).await
    }

    /// Sends a command that writes to a key.
    pub(crate) async fn send<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T, RedisError> {
        let asked = self.ask(key);
        asked.hear(command.query_async(&mut self.line.connection()).await)
    }

    /// Sends a command to the master of a key, though it only reads.
    pub(crate) async fn send_to_master<T: FromRedisValue>(&self, key: &str, command: Cmd) -> Result<T, RedisError> {
        let master = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
        let asked = self.ask(key);
        let outcome = self.line.connection().route_command(command, RoutingInfo::SingleNode(master)).await;
        let answer = asked.hear(outcome.and_then(redis::Value::extract_error))?;
        Ok(T::from_redis_value(answer)?)
    }

    fn ask(&self, key: &str) -> Asked<'_> {
        self.metrics.sent(1);
        Asked { calls: self, slot: slot_of(key), since: Instant::now(), answered: None }
    }

    /// Connects anew, and calls by the old connection until then. Nobody waits for it.
    fn renew(&self) {
        let calls = self.clone();
        let renewing = async move {
            match timeout(RENEW_WITHIN, calls.line.client.get_async_connection()).await {
                Ok(Ok(connection)) => {
                    tracing::warn!("Redis has not answered for some slots; connected anew");
                    calls.metrics.renewed();
                    *calls.line.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
                }
                Ok(Err(error)) => tracing::warn!(%error, "Redis does not answer and cannot be connected to anew"),
                Err(_) => tracing::warn!("Redis does not answer and cannot be connected to anew in {RENEW_WITHIN:?}"),
            }
        };
        // A call that is given up because the process ends finds no runtime.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(renewing);
        }
    }
}

impl Asked<'_> {
    /// Takes down whether the call was answered.
    fn hear<T>(mut self, outcome: Result<T, RedisError>) -> Result<T, RedisError> {
        self.answered = Some(!outcome.as_ref().is_err_and(is_silence));
        outcome
    }
}

impl Line {
    fn connection(&self) -> ClusterConnection {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether nobody answered who is in charge of the slot: no answer in time, a connection that broke or is not there, or a
/// node that another one has replaced. A client that knows the topology gets over each of these.
fn is_silence(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    let absent = error.is_timeout() || error.is_io_error() || error.is_connection_dropped();
    absent
        || matches!(
            error.kind(),
            ErrorKind::ClusterConnectionNotFound
                | ErrorKind::Server(Ask | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_given_up_at_once_says_nothing() {
        assert_eq!(was_answered(None, HEALTHY_MAX / 2), None);
        assert_eq!(was_answered(None, HEALTHY_MAX), Some(false));
        assert_eq!(
            [true, false].map(|answered| was_answered(Some(answered), Duration::ZERO)),
            [Some(true), Some(false)]
        );
    }

    #[test]
    fn nobody_in_charge_is_no_answer_and_a_refusal_is_one() {
        let error = |kind| RedisError::from((kind, "said"));
        assert!(is_silence(&error(ErrorKind::ClusterConnectionNotFound)));
        assert!(is_silence(&error(ErrorKind::Io)));
        assert!(is_silence(&error(ErrorKind::Server(ServerErrorKind::ClusterDown))));
        assert!(is_silence(&error(ErrorKind::Server(ServerErrorKind::ReadOnly))));
        assert!(!is_silence(&error(ErrorKind::Server(ServerErrorKind::NoScript))));
        assert!(!is_silence(&error(ErrorKind::Server(ServerErrorKind::NoPerm))));
        assert!(!is_silence(&error(ErrorKind::AuthenticationFailed)));
    }
}
