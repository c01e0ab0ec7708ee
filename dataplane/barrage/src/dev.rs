//! Dev mode: every stage in one process, on an embedded log and store. Only the log and the store differ from a
//! cluster: the stages do not know that they share a process.

mod banner;
mod data;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, RwLock},
};

use anyhow::Context;
use barrage_crds::{RoomManifest, manifest};
use prometheus_client::registry::Registry;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    consumer,
    embedded::{log::EmbeddedLog, store::EmbeddedStore},
    gateway::{self, Listeners, ViewerCertificate},
    ranker,
};
use barrage_core::{
    certificate::CertificateFiles,
    health::Health,
    heat::Heat,
    link::{self, Caller, Peer},
    log::Log,
    room::Rooms,
    routes::Table,
    store::Store,
    token::{Keys, LiveKeys},
    trace::Tracer,
};

/// Partitions of the embedded log: a few, so that rooms share some and not others, as in a cluster.
pub const PARTITIONS: u32 = 4;
const NAME: &str = "dev";

#[derive(Debug, Clone)]
pub struct Options {
    /// Manifests of the rooms; without one, a room named `demo`.
    pub manifest: Option<PathBuf>,
    pub data: PathBuf,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where to listen for TLS and QUIC, and what viewers are shown; `None` is nowhere.
    pub tls: Option<gateway::Tls>,
    /// Threads that serve connections.
    pub shards: usize,
    /// The gateway's settings.
    pub gateway: gateway::Config,
}

/// Runs until `shutdown`; then everything accepted is kept, viewers are sent away, and ledgers are saved.
///
/// # Errors
/// What cannot be opened, read or bound, and what to do about it.
pub async fn run(options: Options, shutdown: CancellationToken) -> anyhow::Result<()> {
    let manifests = match &options.manifest {
        Some(path) => manifest::load(path)?,
        None => vec![RoomManifest::demo()],
    };
    let rooms = Rooms::new(&manifests);
    let _lock = data::lock(&options.data)?;
    let keys = Arc::new(Keys::load_or_make(&options.data)?);
    let mut registry = Registry::with_prefix("barrage");
    let store = EmbeddedStore::open(&options.data, registry.sub_registry_with_prefix("store"))?;
    let floors = store.applied_ends(PARTITIONS).await?;
    let log = EmbeddedLog::open(&options.data, &floors, registry.sub_registry_with_prefix("log"))?;
    let (log, store): (Log, Store) = (Arc::new(log), Arc::new(store));
    let tls = options.tls.as_ref().map(|tls| tls.listen);
    let listeners = Listeners::bind(options.listen, tls, options.shards)?;
    if let Some(tls) = &options.tls {
        gateway::check_files(&tls.files)?;
    }
    banner::print(&options, &listeners, &rooms, &keys)?;
    let certificate = options.tls.map(|tls| tls.files);
    let stages = Stages { log, store, rooms, keys, certificate };
    stages.run(registry, options.gateway, listeners, shutdown).await
}

struct Stages {
    log: Log,
    store: Store,
    rooms: Rooms,
    keys: Arc<Keys>,
    certificate: Option<CertificateFiles>,
}

impl Stages {
    async fn run(
        self,
        mut registry: Registry,
        config: gateway::Config,
        listeners: Listeners,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { log, store, rooms, keys, certificate } = self;
        let name = Peer::from(NAME);
        // Nobody ever sends another: the table stays as it is.
        let (_table, routes) = watch::channel(Arc::new(Table::of_one(&name, PARTITIONS, rooms)));
        let (health, heat) = (Health::default(), Heat::default());
        health.register(&mut registry);
        let (to_ranker, from_consumer) = link::candidates(Peer::clone(&name), Peer::clone(&name));
        let (following, from_gateway) = link::following(Peer::clone(&name), Peer::clone(&name));
        let consumer = consumer::Deps {
            name: Peer::clone(&name),
            log: log.clone(),
            store: store.clone(),
            routes: routes.clone(),
            rankers: only(to_ranker),
            health: health.clone(),
            heat: heat.clone(),
            tracer: Tracer::default(),
            metrics: consumer::Metrics::register(registry.sub_registry_with_prefix("consumer")),
        };
        let ranker = ranker::Deps {
            name,
            store: store.clone(),
            routes: routes.clone(),
            callers: all([Caller::Consumer(from_consumer), Caller::Gateway(from_gateway)]),
            health: health.clone(),
            heat: heat.clone(),
            tracer: Tracer::default(),
            metrics: ranker::Metrics::register(registry.sub_registry_with_prefix("ranker")),
        };
        let metrics = gateway::Metrics::register(registry.sub_registry_with_prefix("gateway"));
        let certificate = match certificate {
            Some(files) => Some(ViewerCertificate::load(files, metrics.clone(), health.clone()).await?),
            None => None,
        };
        let registry = Arc::new(RwLock::new(registry));
        let (rankers, store_at_end) = (only(following), store.clone());
        let gateway = gateway::Deps {
            log,
            store,
            routes,
            keys: LiveKeys::fixed(keys),
            certificate,
            rankers,
            limiter: None,
            health,
            heat,
            tracer: Tracer::default(),
            metrics,
            registry,
        };

        let serving = move |stop| gateway::run(config, listeners, gateway, stop);
        let outcome = run_all(serving, consumer, ranker, &shutdown).await;
        store_at_end.confirm(&[]).await?;
        outcome
    }
}

/// Each stage outlives the one before it: what a gateway accepted still reaches the store and the ledger. The ranker ends
/// when no consumer is left. A stage that fails takes the others down.
async fn run_all<G>(
    serve: impl FnOnce(CancellationToken) -> G,
    consumer: consumer::Deps,
    ranker: ranker::Deps,
    shutdown: &CancellationToken,
) -> anyhow::Result<()>
where
    G: Future<Output = Result<(), gateway::GatewayError>> + Send + 'static,
{
    let (gateway_stop, consumer_stop) = (shutdown.child_token(), CancellationToken::new());
    let mut stages: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let (serving, consumer_done) = (serve(gateway_stop.clone()), consumer_stop.clone());
    stages.spawn(async move {
        let _next = consumer_done.drop_guard();
        serving.await.context("gateway")
    });
    let stop = gateway_stop.clone();
    stages.spawn(async move {
        let _all = stop.drop_guard();
        consumer::run(consumer, consumer_stop).await;
        Ok(())
    });
    stages.spawn(async move {
        let _all = gateway_stop.drop_guard();
        ranker::run(ranker, CancellationToken::new()).await;
        Ok(())
    });
    let mut outcome = Ok(());
    while let Some(ended) = stages.join_next().await {
        outcome = outcome.and(ended.context("a stage panicked").and_then(|result| result));
    }
    outcome
}

/// The one session that there ever is.
fn only<T>(session: T) -> mpsc::Receiver<T> {
    all([session])
}

fn all<T, const N: usize>(values: [T; N]) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel(N);
    for value in values {
        // There is room for each.
        let _ = sender.try_send(value);
    }
    receiver
}
