//! The gateway: viewers' connections, what they send to the log, what rankers decide to their screens.
//!
//! One *shard* per core accepts and serves its own connections on one thread (`SO_REUSEPORT`), so a connection never
//! crosses threads. The *hub* follows the rankers, encodes each flush once per wire format and hands the same bytes to
//! every shard; a shard writes them to its viewers in a plain loop of non-blocking writes.

mod acts;
mod admission;
mod api;
mod broadcast;
mod connection;
mod echo;
mod encode;
mod held;
mod hub;
mod identity;
mod inbound;
mod inject;
mod join;
mod limit;
mod listen;
mod metrics;
mod moderated;
mod outbox;
mod page;
mod problem;
mod publish;
mod served;
mod shard;
mod socket;
mod stream;
mod upgrade;
mod verdict;
mod websocket;
mod webtransport;

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use barrage_core::{
    admin::SharedRegistry, health::Health, heat::Heat, link::Following, log::Log, rate_limit::SharedRateLimit,
    routes::Routes, store::Store, token::LiveKeys, trace::Tracer,
};
use hub::{Hub, Inputs, Mailbox, mailbox};
use listen::Doors;
use served::{Backing, Served, Wishes};
use shard::Inlets;
use webtransport::{Arrival, Endpoint, SESSIONS_QUEUE};

pub use identity::{Identity, IdentityFiles, check_files};
pub use inject::Injector;
pub use listen::Listeners;
pub use metrics::Metrics;

/// Rooms with a first viewer that the hub does not know of yet.
const WISHES_QUEUE: usize = 1_024;
/// Acts of moderation that somebody waits for and the hub does not know of yet.
const ACTS_QUEUE: usize = 64;

/// Names of the gateway's checks in [`Health`].
pub mod checks {
    /// The log takes what viewers send.
    pub const LOG: &str = "log";
    /// History and rankings can be read.
    pub const STORE: &str = "store";
    /// Every ranker of the route table is linked.
    pub const RANKERS: &str = "rankers";
    /// The certificate that viewers are shown is what its files say.
    pub const CERTIFICATE: &str = "certificate";
}

/// How a gateway behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Origins besides the gateway's own that pages may connect from, like `https://example.org`.
    pub allowed_origins: Vec<String>,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address; 0 is no limit.
    pub connections_per_address_max: usize,
    /// A connection that sends nothing, not even a pong, for this long is dropped; at half of it, it is pinged.
    pub idle_timeout: Duration,
    /// A request must be whole within this time.
    pub handshake_timeout: Duration,
    /// A viewer that takes nothing for this long is closed.
    pub slow_timeout: Duration,
    /// At shutdown, viewers are told to come back within this time, each at another moment.
    pub reconnect_spread: Duration,
    /// Bytes of a danmaku's text.
    pub content_bytes_max: usize,
    /// Whether anybody may get a token (`POST /dev/token`).
    pub dev_tokens: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            connections_max: 18_000,
            connections_per_address_max: 0,
            idle_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(5),
            slow_timeout: Duration::from_secs(15),
            reconnect_spread: Duration::from_secs(5),
            content_bytes_max: 1024,
            dev_tokens: false,
        }
    }
}

/// How viewers are served over TLS and QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where they connect, by TCP and by UDP; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What they are shown.
    pub files: IdentityFiles,
}

/// What a gateway works with.
pub struct Deps {
    /// Where accepted danmaku go.
    pub log: Log,
    /// History and ranking for those who join and for the HTTP API.
    pub store: Store,
    /// Where slices live, who ranks, and the rooms that are served.
    pub routes: Routes,
    /// What tokens are verified with.
    pub keys: LiveKeys,
    /// What viewers are shown over TLS and QUIC; `None` where only plain text is served.
    pub identity: Option<Identity>,
    /// Sessions with rankers, as they begin.
    pub rankers: mpsc::Receiver<Following>,
    /// The rate limit that gateways share; `None` where this is the only one.
    pub limiter: Option<Arc<dyn SharedRateLimit>>,
    /// How it is.
    pub health: Health,
    /// How much work each room makes.
    pub heat: Heat,
    /// Begins the traces of records and ends them.
    pub tracer: Tracer,
    /// What is counted.
    pub metrics: Metrics,
    /// What `/metrics` shows.
    pub registry: SharedRegistry,
}

/// The gateway cannot go on.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}. Is something else there? Choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address for TLS and QUIC cannot be had.
    #[error(
        "cannot listen on {address} (TCP and UDP): {source}. Is something else there? Choose another with --tls-listen"
    )]
    ListenSecurely {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The QUIC socket cannot be used.
    #[error("cannot serve QUIC: {0}")]
    Quic(std::io::Error),
    /// No thread for a shard.
    #[error("cannot start a shard: {0}")]
    Shard(std::io::Error),
}

/// Serves until `shutdown`; then viewers are sent away, what they sent is kept, and connections end.
///
/// # Errors
/// [`GatewayError`].
pub async fn run(
    config: Config,
    listeners: Listeners,
    deps: Deps,
    shutdown: CancellationToken,
) -> Result<(), GatewayError> {
    let Deps { log, store, routes, keys, identity, rankers, limiter, health, heat, .. } = deps;
    let (tracer, metrics, registry) = (deps.tracer, deps.metrics, deps.registry);
    let backing = Backing { log, store, routes: routes.clone(), keys, heat, limiter, tracer };
    let (wanted, wishes) = mpsc::channel(WISHES_QUEUE);
    let (acts, awaited) = mpsc::channel(ACTS_QUEUE);
    let served = Arc::new(Served::new(config, backing, health, metrics, Wishes { wanted, acts }));
    let router = api::router(Arc::clone(&served), registry);
    let (doors, quic) = listeners.into_shards();
    let shards = Shards::start(doors, &served, &router, identity.as_ref(), &shutdown)?;
    let endpoint = match quic.zip(identity) {
        Some((socket, identity)) => {
            let endpoint = Endpoint::new(socket, identity, Arc::clone(&served), shards.sessions);
            Some(tokio::spawn(endpoint.map_err(GatewayError::Quic)?.run(shutdown.clone())))
        }
        None => None,
    };
    let inputs = Inputs { rankers, wishes, routes, acts: awaited };
    Hub::new(served, shards.mailboxes).run(inputs, shutdown).await;
    for thread in shards.threads {
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        match ended {
            Ok(Ok(result)) => result.map_err(GatewayError::Shard)?,
            _ => tracing::error!("a shard panicked"),
        }
    }
    if let Some(endpoint) = endpoint {
        match endpoint.await {
            Ok(endpoint) => endpoint.close().await,
            Err(error) => tracing::error!(%error, "the QUIC endpoint failed"),
        }
    }
    Ok(())
}

/// The threads that serve connections, and the ways to them.
struct Shards {
    mailboxes: Vec<Mailbox>,
    sessions: Vec<mpsc::Sender<Arrival>>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Shards {
    fn start(
        doors: Vec<Doors>,
        served: &Arc<Served>,
        router: &axum::Router,
        identity: Option<&Identity>,
        shutdown: &CancellationToken,
    ) -> Result<Self, GatewayError> {
        let mut shards = Self { mailboxes: Vec::new(), sessions: Vec::new(), threads: Vec::new() };
        for (index, doors) in doors.into_iter().enumerate() {
            let (mailbox, rounds) = mailbox();
            let (session, sessions) = mpsc::channel(SESSIONS_QUEUE);
            shards.mailboxes.push(mailbox);
            shards.sessions.push(session);
            let (served, router, shutdown) = (Arc::clone(served), router.clone(), shutdown.clone());
            let inlets = Inlets { doors, identity: identity.cloned(), sessions, rounds };
            let thread = thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || shard::run(served, router, inlets, shutdown));
            shards.threads.push(thread.map_err(GatewayError::Shard)?);
        }
        Ok(shards)
    }
}
