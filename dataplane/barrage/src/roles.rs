//! The roles of a cluster, each a process: what `barrage gateway`, `barrage consumer` and `barrage ranker` run.
//!
//! Each begins in one order: health and metrics are served, the process begins to say that it is alive, then it waits for
//! the route table, the log and the store, and says in its health what it waits for. Each ends in the other: what it holds is
//! drained, links are closed, and health is served to the end.

mod bootstrap;

use std::net::SocketAddr;

use anyhow::Result;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    consumer,
    gateway::{self, Listeners, ViewerCertificate},
    ranker,
};
use barrage_cluster::settings::{Gateway, Settings};
use barrage_core::{link::quic, token::LiveKeys};
use barrage_proto::heat::report::Role;
use bootstrap::{Backends, Process};

/// Sessions that have begun and are not taken yet.
const SESSIONS_QUEUE: usize = 64;

/// The line on standard output that says that a process is up.
#[derive(Serialize)]
struct Ready<'a> {
    role: &'static str,
    name: &'a str,
    admin: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_listen: Option<SocketAddr>,
    /// UDP address of a ranker.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<SocketAddr>,
}

impl Ready<'_> {
    #[allow(clippy::print_stdout)]
    fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// What cannot be opened, read or bound, and what to do about it.
pub async fn gateway(settings: Settings, gateway: Gateway, shutdown: CancellationToken) -> Result<()> {
    let config = config_of(&gateway);
    let tls = gateway.tls.as_ref().map(|tls| tls.listen);
    let listeners = Listeners::bind(gateway.listen, tls, gateway.shards)?;
    let (listen, tls_listen) = (listeners.address(), listeners.tls_address());
    let mut process = Process::new(&settings, Role::Gateway, listen.to_string()).await?;
    Ready { role: "gateway", name: &settings.name, admin: process.admin, listen: Some(listen), tls_listen, link: None }
        .print()?;
    let local = process.local().await?;
    let metrics = gateway::Metrics::register(process.registry().sub_registry_with_prefix("gateway"));
    let certificate = match &gateway.tls {
        Some(tls) => {
            Some(ViewerCertificate::load(tls.certificate.clone(), metrics.clone(), process.health.clone()).await?)
        }
        None => None,
    };
    let Some(Backends { log, store, limiter }) = process.wait(&shutdown).await? else { return process.end().await };
    let (sessions, rankers) = mpsc::channel(SESSIONS_QUEUE);
    let links = CancellationToken::new();
    let keys = LiveKeys::fixed(gateway.keys);
    process.spawn(keys.clone().follow(gateway.keys_file));
    let peers = process.rankers();
    process.spawn(quic::dial_gateway(local, peers, sessions, links.clone()));
    let deps = gateway::Deps {
        log,
        store,
        routes: process.routes(),
        keys,
        certificate,
        rankers,
        limiter: Some(limiter),
        health: process.health.clone(),
        heat: process.heat.clone(),
        tracer: process.tracer.clone(),
        metrics,
        registry: process.shared_registry(),
    };
    let done = gateway::run(config, listeners, deps, shutdown).await;
    links.cancel();
    process.end().await?;
    Ok(done?)
}

/// Runs a consumer until `shutdown`.
///
/// # Errors
/// What cannot be opened, read or bound, and what to do about it.
pub async fn consumer(settings: Settings, shutdown: CancellationToken) -> Result<()> {
    let mut process = Process::new(&settings, Role::Consumer, String::new()).await?;
    Ready { role: "consumer", name: &settings.name, admin: process.admin, listen: None, tls_listen: None, link: None }
        .print()?;
    let local = process.local().await?;
    let metrics = consumer::Metrics::register(process.registry().sub_registry_with_prefix("consumer"));
    let Some(Backends { log, store, .. }) = process.wait(&shutdown).await? else { return process.end().await };
    let (sessions, rankers) = mpsc::channel(SESSIONS_QUEUE);
    let links = CancellationToken::new();
    let peers = process.rankers();
    process.spawn(quic::dial_consumer(local, peers, sessions, links.clone()));
    let deps = consumer::Deps {
        name: process.name.clone(),
        log,
        store,
        routes: process.routes(),
        rankers,
        health: process.health.clone(),
        heat: process.heat.clone(),
        tracer: process.tracer.clone(),
        metrics,
    };
    consumer::run(deps, shutdown).await;
    links.cancel();
    process.end().await
}

/// Runs a ranker until `shutdown`.
///
/// # Errors
/// What cannot be opened, read or bound, and what to do about it.
pub async fn ranker(settings: Settings, shutdown: CancellationToken) -> Result<()> {
    let mut process = Process::new(&settings, Role::Ranker, settings.advertised()).await?;
    let local = process.local().await?;
    let metrics = ranker::Metrics::register(process.registry().sub_registry_with_prefix("ranker"));
    let links = CancellationToken::new();
    let (link, callers, listening) = quic::listen(settings.link.listen, local, links.clone())?;
    Ready {
        role: "ranker",
        name: &settings.name,
        admin: process.admin,
        listen: None,
        tls_listen: None,
        link: Some(link),
    }
    .print()?;
    let Some(Backends { store, .. }) = process.wait(&shutdown).await? else { return process.end().await };
    let deps = ranker::Deps {
        name: process.name.clone(),
        store,
        routes: process.routes(),
        callers,
        health: process.health.clone(),
        heat: process.heat.clone(),
        tracer: process.tracer.clone(),
        metrics,
    };
    ranker::run(deps, shutdown).await;
    links.cancel();
    listening.await?;
    process.end().await
}

fn config_of(settings: &Gateway) -> gateway::Config {
    gateway::Config {
        allowed_origins: settings.allowed_origins.clone(),
        connections_max: settings.connections_max,
        connections_per_address_max: settings.connections_per_address_max,
        idle_timeout: settings.idle_timeout,
        handshake_timeout: settings.handshake_timeout,
        slow_timeout: settings.slow_timeout,
        reconnect_spread: settings.reconnect_spread,
        ..gateway::Config::default()
    }
}
