//! The gateway: viewers' connections, what they send to the log, what rankers decide to their screens.
//!
//! One *worker* per core accepts and serves its own connections on one thread (`SO_REUSEPORT`), so a connection never
//! crosses threads. The *hub* follows the rankers, encodes each flush once per wire format and hands the same bytes to
//! every worker; a worker writes them to its viewers in a plain loop of non-blocking writes.

mod checks;
mod config;
mod connection;
mod delivery;
mod encode;
mod error;
mod http;
mod metrics;
mod problem;
mod publish;
mod state;
#[cfg(test)]
mod testing;
mod transport;
mod worker;

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use barrage_core::rate_limit::SharedRateLimit;
use barrage_core::{
    admin::SharedRegistry, health::Health, heat::Heat, link::Following, log::Log, routes::Routes, store::Store,
    token::LiveKeys, trace::Tracer,
};
use delivery::{Hub, Inputs, Mailbox, mailbox};
use state::{Backing, GatewayState, HubHandle};
use transport::{
    Doors,
    webtransport::{Endpoint, EndpointDeps, IncomingSession, SESSIONS_QUEUE},
};
use worker::Inlets;

pub use config::{Config, Tls};
pub use error::GatewayError;
pub use metrics::Metrics;
pub use publish::Injector;
pub use transport::{Listeners, ViewerCertificate, check_files};

/// Rooms with a first viewer that the hub does not know of yet.
const WANTED_QUEUE: usize = 1_024;
/// Acts of moderation that somebody waits for and the hub does not know of yet.
const ACTS_QUEUE: usize = 64;

pub struct Deps {
    pub log: Log,
    /// History and ranking for those who join and for the HTTP API.
    pub store: Store,
    /// Where slices live, who ranks, and the rooms that are served.
    pub routes: Routes,
    pub keys: LiveKeys,
    /// What viewers are shown over TLS and QUIC; `None` where only plain text is served.
    pub certificate: Option<ViewerCertificate>,
    /// Sessions with rankers, as they begin.
    pub rankers: mpsc::Receiver<Following>,
    /// The rate limit that gateways share; `None` where this is the only one.
    pub limiter: Option<Arc<dyn SharedRateLimit>>,
    pub health: Health,
    pub heat: Heat,
    /// Begins the traces of records and ends them.
    pub tracer: Tracer,
    pub metrics: Metrics,
    /// What `/metrics` shows.
    pub registry: SharedRegistry,
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
    let Deps { log, store, routes, keys, certificate, rankers, limiter, health, heat, .. } = deps;
    let (tracer, metrics, registry) = (deps.tracer, deps.metrics, deps.registry);
    let backing = Backing { log, store, routes: routes.clone(), keys, heat, limiter, tracer };
    let (wanted, first_viewers) = mpsc::channel(WANTED_QUEUE);
    let (acts, awaited) = mpsc::channel(ACTS_QUEUE);
    let gateway = Arc::new(GatewayState::new(config, backing, health, metrics, HubHandle::new(wanted, acts)));
    let router = self::http::router(Arc::clone(&gateway), registry);
    let (doors, quic) = listeners.into_doors();
    let workers = Workers::start(doors, &gateway, &router, certificate.as_ref(), &shutdown)?;
    let endpoint = match quic.zip(certificate) {
        Some((socket, certificate)) => {
            let deps = EndpointDeps {
                certificate,
                admission: gateway.admission.clone(),
                config: gateway.config.clone(),
                metrics: gateway.metrics.clone(),
            };
            let endpoint = Endpoint::new(socket, deps, workers.sessions);
            Some(tokio::spawn(endpoint.map_err(GatewayError::Quic)?.run(shutdown.clone())))
        }
        None => None,
    };
    let inputs = Inputs { rankers, wanted: first_viewers, routes, acts: awaited };
    Hub::new(gateway, workers.mailboxes).run(inputs, shutdown).await;
    for thread in workers.threads {
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        match ended {
            Ok(Ok(result)) => result.map_err(GatewayError::Worker)?,
            _ => tracing::error!("a worker panicked"),
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
struct Workers {
    mailboxes: Vec<Mailbox>,
    sessions: Vec<mpsc::Sender<IncomingSession>>,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Workers {
    fn start(
        doors: Vec<Doors>,
        gateway: &Arc<GatewayState>,
        router: &axum::Router,
        certificate: Option<&ViewerCertificate>,
        shutdown: &CancellationToken,
    ) -> Result<Self, GatewayError> {
        let mut workers = Self { mailboxes: Vec::new(), sessions: Vec::new(), threads: Vec::new() };
        for (index, doors) in doors.into_iter().enumerate() {
            let (mailbox, rounds) = mailbox();
            let (session, sessions) = mpsc::channel(SESSIONS_QUEUE);
            workers.mailboxes.push(mailbox);
            workers.sessions.push(session);
            let (gateway, router, shutdown) = (Arc::clone(gateway), router.clone(), shutdown.clone());
            let inlets = Inlets { doors, certificate: certificate.cloned(), sessions, rounds };
            let thread = thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || worker::run(gateway, router, inlets, shutdown));
            workers.threads.push(thread.map_err(GatewayError::Worker)?);
        }
        Ok(workers)
    }
}
