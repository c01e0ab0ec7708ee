//! The operator as a process: it serves its health, waits until it leads, and looks after pools and rooms until it is told
//! to stop or must not go on.

use std::{
    fmt::Debug,
    future::Future,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use barrage_core::{
    admin::{Admin, SharedRegistry},
    health::Health,
};
use barrage_crds::{LiveRoom, RoomPool};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Service,
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{
    Api, Client, Resource,
    runtime::{Config, Controller, controller::Action, watcher},
};
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config_pool,
    context::{Context, Guarded, Looked},
    election::Election,
    metrics::Metrics,
    options::Options,
    pool,
    problem::Problem,
    room,
    session::kafka::{self, Shared},
};

/// Health check that says how far the operator is.
const LEADER: &str = "leader";
/// Pools and rooms that are looked at at once.
const POOLS_AT_ONCE: u16 = 4;
const ROOMS_AT_ONCE: u16 = 64;
/// How often all pools and all rooms are looked at for figures; nobody is asked for those of rooms.
const POOLS_EVERY: Duration = Duration::from_secs(30);
const ROOMS_EVERY: Duration = Duration::from_secs(10);
/// How often sessions of pools that are gone are ended.
const FORGET_EVERY: Duration = Duration::from_secs(2);
/// Between two looks whether all objects are known.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// News that come together are one.
const GATHER: Duration = Duration::from_millis(200);
/// Until a watch that was refused is tried again is kube's; all that the operator has made carries this label.
const OURS: &str = "app.kubernetes.io/managed-by=barrage-operator";

/// Runs until `shutdown`.
///
/// # Errors
/// The API server cannot be reached at all, the Lease is lost, or another operator writes a route table.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<()> {
    let client = Client::try_default().await.context(
        "no API server is configured: run in a pod with a ServiceAccount, or set KUBECONFIG to a file that reaches a cluster",
    )?;
    let mut registry = Registry::with_prefix("barrage_operator");
    let (metrics, health) = (Metrics::register(&mut registry), Health::starting(&[LEADER]));
    health.register(&mut registry);
    let registry: SharedRegistry = Arc::new(RwLock::new(registry));
    let admin = Admin::bind(options.admin_listen).await?;
    let serving = tokio::spawn(admin.run(registry, health.clone(), shutdown.child_token()));
    // One that waits is as ready as the one that leads.
    health.ok(LEADER);
    let identity = format!("{}_{:x}", options.name, k8s_openapi::jiff::Timestamp::now().as_nanosecond());
    let election = Election::new(client.clone(), &options.lease_namespace, &options.lease, identity);
    tracing::info!(lease = options.lease, "waiting to lead");
    if shutdown.run_until_cancelled(election.acquire()).await.is_none() {
        return Ok(());
    }
    tracing::info!("this operator leads");
    metrics.leads(true);
    let outcome = lead(client, options, metrics.clone(), &election, &shutdown).await;
    metrics.leads(false);
    election.release().await;
    serving.abort();
    outcome
}

async fn lead(
    client: Client,
    options: Options,
    metrics: Metrics,
    election: &Election,
    shutdown: &CancellationToken,
) -> Result<()> {
    let (changed, news) = watch::channel(());
    let (fatal, mut trouble) = mpsc::channel(1);
    let shared = Shared { changed, fatal, metrics: metrics.clone() };
    let stop = CancellationToken::new();
    let declared = options.pools_file.as_deref().map(config_pool::read).transpose()?;
    let applying = config_pool::apply(client.clone(), declared.unwrap_or_default());
    let mut controllers = controllers(client, options, metrics, shared, &news, &stop);
    controllers.spawn(
        stop.clone()
            .run_until_cancelled_owned(async move {
                applying.await;
                // A task that ends is taken for a controller that did.
                std::future::pending::<()>().await;
            })
            .map(drop),
    );
    let outcome = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        () = election.keep() => Err(anyhow!("the Lease is lost, so another operator may lead: ending at once")),
        why = trouble.recv() => match why {
            Some(why) => Err(anyhow!("this operator must not go on: {why}")),
            None => Ok(()),
        },
        ended = controllers.join_next() => match ended {
            Some(Err(error)) => Err(error.into()),
            _ => Err(anyhow!("a controller has ended")),
        },
    };
    stop.cancel();
    if outcome.is_ok() {
        // What is under way is finished.
        while controllers.join_next().await.is_some() {}
    }
    controllers.abort_all();
    outcome
}

/// Both controllers, for each namespace that is watched by itself.
fn controllers(
    client: Client,
    options: Options,
    metrics: Metrics,
    shared: Shared,
    news: &watch::Receiver<()>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let scopes = options.scopes();
    let pools: Vec<_> = scopes.iter().map(|scope| pool_controller(&client, scope.as_deref())).collect();
    let rooms: Vec<_> = scopes.iter().map(|scope| room_controller(&client, scope.as_deref())).collect();
    let open = Arc::new(move |target, expected| kafka::open(target, expected, shared.clone()));
    let (pool_stores, room_stores) =
        (pools.iter().map(Controller::store).collect(), rooms.iter().map(Controller::store).collect());
    let ctx = Arc::new(Context::new(client, options, metrics, open, room_stores, pool_stores));
    let mut tasks = JoinSet::new();
    let known = Arc::clone(&ctx);
    tasks.spawn(
        stop.clone()
            .run_until_cancelled_owned(async move {
                get_to_know(&known).await;
                forget_gone(&known).await;
            })
            .map(drop),
    );
    for controller in pools {
        let controller = controller.reconcile_all_on(ticks(news.clone(), POOLS_EVERY));
        let controller = controller.graceful_shutdown_on(stop.clone().cancelled_owned());
        let ran = controller.run(reconcile_pool, |pool, problem, _| pool::failed(&pool, problem), Arc::clone(&ctx));
        tasks.spawn(ran.for_each(|_| std::future::ready(())));
    }
    for controller in rooms {
        let controller = controller.reconcile_all_on(ticks(news.clone(), ROOMS_EVERY));
        let controller = controller.graceful_shutdown_on(stop.clone().cancelled_owned());
        let ran = controller.run(reconcile_room, |room, problem, _| room::failed(&room, problem), Arc::clone(&ctx));
        tasks.spawn(ran.for_each(|_| std::future::ready(())));
    }
    tasks
}

fn pool_controller(client: &Client, scope: Option<&str>) -> Controller<Guarded<RoomPool>> {
    let ours = || watcher::Config::default().labels(OURS);
    Controller::new(scoped(client, scope), watcher::Config::default())
        .with_config(Config::default().concurrency(POOLS_AT_ONCE))
        .owns(scoped::<Deployment>(client, scope), ours())
        .owns(scoped::<StatefulSet>(client, scope), ours())
        .owns(scoped::<Service>(client, scope), ours())
        .owns(scoped::<PodDisruptionBudget>(client, scope), ours())
        .owns(scoped::<NetworkPolicy>(client, scope), ours())
        .owns(scoped::<Ingress>(client, scope), ours())
}

fn room_controller(client: &Client, scope: Option<&str>) -> Controller<Guarded<LiveRoom>> {
    Controller::new(scoped(client, scope), watcher::Config::default())
        .with_config(Config::default().concurrency(ROOMS_AT_ONCE))
        .owns(scoped::<Guarded<RoomPool>>(client, scope), watcher::Config::default())
}

fn scoped<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Debug,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn reconcile_pool(pool: Arc<Guarded<RoomPool>>, ctx: Arc<Context>) -> Result<Action, Problem> {
    measured("RoomPool", &ctx, async {
        ctx.all_known().await;
        ctx.metrics.known("RoomPool", ctx.pools.iter().map(kube::runtime::reflector::Store::len).sum());
        pool::reconcile(pool, Arc::clone(&ctx)).await
    })
    .await
}

async fn reconcile_room(room: Arc<Guarded<LiveRoom>>, ctx: Arc<Context>) -> Result<Action, Problem> {
    measured("LiveRoom", &ctx, async {
        ctx.all_known().await;
        ctx.metrics.known("LiveRoom", ctx.rooms.iter().map(kube::runtime::reflector::Store::len).sum());
        room::reconcile(room, Arc::clone(&ctx)).await
    })
    .await
}

/// Ends the sessions of pools that are gone: nobody looks at an object that is none any more.
async fn forget_gone(ctx: &Context) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        let uids = ctx.pools.iter().flat_map(|store| store.state());
        let uids: Vec<_> = uids.filter_map(|pool| pool.meta().uid.clone()).collect();
        ctx.sessions.retain(&uids);
    }
}

/// Tells when all objects are known. Of those who wait for a store, kube wakes only who asked last, so nobody else may wait
/// for it, and this asks again: the store's own controller waits for it, too.
async fn get_to_know(ctx: &Context) {
    for store in &ctx.pools {
        while timeout(ASK_AGAIN, store.wait_until_ready()).await.is_err() {}
    }
    for store in &ctx.rooms {
        while timeout(ASK_AGAIN, store.wait_until_ready()).await.is_err() {}
    }
    ctx.known.send_replace(true);
}

async fn measured(kind: &'static str, ctx: &Context, look: impl Future<Output = Looked>) -> Result<Action, Problem> {
    let began = Instant::now();
    ctx.metrics.begin(kind);
    let outcome = look.await;
    let reason = outcome.as_ref().map(|(_, reason)| *reason).map_err(|problem| problem.reason);
    ctx.metrics.end(kind, reason, began.elapsed());
    outcome.map(|(next, _)| next)
}

/// Now and then, and when there is news.
fn ticks(news: watch::Receiver<()>, every: Duration) -> impl Stream<Item = ()> + Send + 'static {
    stream::unfold(news, move |mut news| async move {
        match timeout(every, news.changed()).await {
            Ok(Err(_)) => None,
            Ok(Ok(())) => {
                tokio::time::sleep(GATHER).await;
                news.mark_unchanged();
                Some(((), news))
            }
            Err(_) => Some(((), news)),
        }
    })
}
