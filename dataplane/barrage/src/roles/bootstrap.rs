//! What every role begins and ends with.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};

use anyhow::{Result, bail};
use barrage_proto::heat::report::Role;
use prometheus_client::registry::Registry;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use barrage_cluster::{
    kafka::{self, KafkaConfig, TopicError},
    log::KafkaLog,
    membership::{self, Beat},
    rate_limit::Limiter,
    routes::{self as topic, Freshness},
    settings::Settings,
    store::{self as redis, RedisStore},
    trace,
};
use barrage_core::{
    admin::{Admin, SharedRegistry},
    health::Health,
    heat::Heat,
    link::{
        Peer,
        quic::{self, LinkCertificate, LinkCertificateFiles, Local, Rankers},
    },
    log::Log,
    rate_limit::SharedRateLimit,
    room::RoomId,
    routes::Routes,
    store::{Store, StoreError},
    trace::Tracer,
};

/// Names of the checks that all roles have.
mod checks {
    pub(super) const ROUTES: &str = "routes";
    pub(super) const KAFKA: &str = "kafka";
    pub(super) const REDIS: &str = "redis";
}

/// How long to wait before what is not there yet is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often the route table's age is looked at, and the age that is named.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const STALE_AFTER: Duration = Duration::from_secs(5);

/// No room is called that.
const NOBODY: &str = "#";

pub(super) struct Backends {
    pub(super) log: Log,
    pub(super) store: Store,
    /// The rate limit that gateways share.
    pub(super) limiter: Arc<dyn SharedRateLimit>,
}

/// A process that serves its health and says that it is alive.
pub(super) struct Process {
    pub(super) name: Peer,
    pub(super) health: Health,
    pub(super) heat: Heat,
    pub(super) tracer: Tracer,
    pub(super) admin: SocketAddr,
    settings: Settings,
    kafka: KafkaConfig,
    registry: SharedRegistry,
    routes: Routes,
    freshness: Freshness,
    beat: Beat,
    tasks: JoinSet<()>,
    /// Ends what runs beside the stage.
    stop: CancellationToken,
    /// Ends the serving of health, last of all.
    admin_stop: CancellationToken,
}

impl Process {
    /// Serves health, announces the process as reached at `address`, and begins to follow the route table.
    pub(super) async fn new(settings: &Settings, role: Role, address: String) -> Result<Self> {
        let name = Peer::from(settings.name.as_str());
        let health = Health::starting(&[checks::ROUTES, checks::KAFKA, checks::REDIS]);
        let mut registry = Registry::with_prefix("barrage");
        health.register(&mut registry);
        let kafka = settings.cluster.kafka.clone();
        let (stop, admin_stop) = (CancellationToken::new(), CancellationToken::new());
        let heat_metrics = membership::Metrics::register(registry.sub_registry_with_prefix("heat"));
        let identity = membership::ProcessIdentity { role, name: Peer::clone(&name), address };
        let heat = Heat::default();
        let tracer = tracer(settings, role)?;
        let (beat, beating) = membership::heartbeat::start(
            &kafka.client(),
            &kafka.pool,
            identity,
            heat.clone(),
            heat_metrics,
            stop.clone(),
        )?;
        let routes_metrics = topic::Metrics::register(registry.sub_registry_with_prefix("routes"));
        let (routes, freshness, following) = topic::follow(kafka.client(), &kafka.pool, routes_metrics, stop.clone());
        let registry: SharedRegistry = Arc::new(RwLock::new(registry));
        let admin = Admin::bind(settings.admin).await?;
        let address = admin.address();
        let mut tasks = JoinSet::new();
        let serving = admin.run(Arc::clone(&registry), health.clone(), admin_stop.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "health and metrics are no longer served");
            }
        });
        tasks.spawn(async move { _ = beating.await });
        tasks.spawn(async move { _ = following.await });
        Ok(Self {
            name,
            health,
            heat,
            tracer,
            admin: address,
            settings: settings.clone(),
            kafka,
            registry,
            routes,
            freshness,
            beat,
            tasks,
            stop,
            admin_stop,
        })
    }

    pub(super) fn registry(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shared_registry(&self) -> SharedRegistry {
        Arc::clone(&self.registry)
    }

    pub(super) fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// This end of every link.
    pub(super) async fn local(&self) -> Result<Local> {
        let metrics = quic::Metrics::register(self.registry().sub_registry_with_prefix("link"));
        let link = &self.settings.link;
        let files = LinkCertificateFiles {
            authority: link.ca_file.clone(),
            certificate: link.certificate.certificate.clone(),
            key: link.certificate.key.clone(),
        };
        let certificate = LinkCertificate::load(files, metrics.clone()).await?;
        Ok(Local { name: Peer::clone(&self.name), pool: self.settings.cluster.pool.clone(), certificate, metrics })
    }

    /// The rankers of the newest table.
    pub(super) fn rankers(&mut self) -> Rankers {
        let mut routes = self.routes.clone();
        let (sender, rankers) = watch::channel(routes.borrow().rankers.clone());
        self.tasks.spawn(async move {
            while routes.changed().await.is_ok() {
                let newest: BTreeMap<Peer, String> = routes.borrow().rankers.clone();
                sender.send_if_modified(|rankers| {
                    let changed = *rankers != newest;
                    *rankers = newest;
                    changed
                });
            }
        });
        rankers
    }

    /// Runs a task until the end of the process.
    pub(super) fn spawn(&mut self, task: impl Future<Output = std::io::Result<()>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of this process has failed");
            }
        });
    }

    /// Waits for the route table, the log and the store; `None` when `shutdown` comes before.
    pub(super) async fn wait(&mut self, shutdown: &CancellationToken) -> Result<Option<Backends>> {
        let waited = shutdown.clone().run_until_cancelled_owned(self.wait_for_all()).await;
        if let Some(Ok(Backends { log, store, .. })) = &waited {
            self.look_after(Log::clone(log), Store::clone(store));
        }
        waited.transpose()
    }

    async fn wait_for_all(&mut self) -> Result<Backends> {
        let mut routes = self.routes.clone();
        let first = self.saying_why(topic::first(&mut routes, &self.freshness)).await?;
        let Some(table) = first else { bail!("the routes have ended") };
        self.health.ok(checks::ROUTES);
        self.check_topics(table.partition_count()).await?;
        let log =
            KafkaLog::open(&self.kafka, table.partition_count(), self.registry().sub_registry_with_prefix("log"))?;
        let metrics = redis::Metrics::register(self.registry().sub_registry_with_prefix("store"));
        let store = self.connect_store(metrics).await?;
        let limiter = Limiter::new(&store, self.registry().sub_registry_with_prefix("gateway"));
        Ok(Backends { log: Arc::new(log), store: Arc::new(store), limiter: Arc::new(limiter) })
    }

    /// Says each second what keeps something from happening.
    async fn saying_why<T>(&self, waiting: impl Future<Output = T>) -> T {
        let mut waiting = pin!(waiting);
        loop {
            tokio::select! {
                done = &mut waiting => return done,
                () = sleep(LOOK_EVERY) => {
                    self.health.failed(checks::ROUTES, self.freshness.waiting_for());
                    if let Some(trouble) = self.beat.last_error() {
                        self.health.failed(checks::KAFKA, trouble);
                    }
                }
            }
        }
    }

    async fn check_topics(&self, partitions: u32) -> Result<()> {
        loop {
            let checked = kafka::check_topics(&self.kafka, Some(partitions), self.kafka.durability()).await;
            let Err(errors) = checked else {
                self.health.ok(checks::KAFKA);
                return Ok(());
            };
            let all = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            if errors.iter().any(|error| matches!(error, TopicError::Setting { .. })) {
                bail!(all);
            }
            tracing::warn!(error = all, "waiting for Kafka");
            self.health.failed(checks::KAFKA, all);
            sleep(RETRY_AFTER).await;
        }
    }

    async fn connect_store(&self, metrics: redis::Metrics) -> Result<RedisStore> {
        let config = self.settings.cluster.redis_config()?;
        loop {
            match RedisStore::connect(config.clone(), metrics.clone()).await {
                Ok(store) => {
                    self.health.ok(checks::REDIS);
                    return Ok(store);
                }
                Err(error @ StoreError::Setting { .. }) => return Err(error.into()),
                Err(error) => {
                    self.health.failed(checks::REDIS, error.to_string());
                    tracing::warn!(%error, "waiting for Redis");
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Looks each second at what the process depends on.
    fn look_after(&mut self, log: Log, store: Store) {
        let (health, heat, routes) = (self.health.clone(), self.heat.clone(), self.routes.clone());
        let (freshness, beat, stop) = (self.freshness.clone(), self.beat.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
                if store.last_error().is_some() {
                    // Perhaps nobody else asks again; that it is well is seen by its answer.
                    _ = stop.run_until_cancelled(store.ranking(&RoomId::from(NOBODY), 1)).await;
                }
                heat.goes_by(routes.borrow().epoch);
                if freshness.is_within(STALE_AFTER) {
                    health.ok(checks::ROUTES);
                } else {
                    let why = freshness.last_error().unwrap_or_else(|| "its end was not reached".to_owned());
                    health.degraded(checks::ROUTES, format!("stale: the last table holds; {why}"));
                }
                match beat.last_error().or_else(|| log.degraded()) {
                    None => health.ok(checks::KAFKA),
                    Some(trouble) => health.degraded(checks::KAFKA, trouble),
                }
            }
        });
    }

    /// Ends what runs beside the stage, the serving of health last.
    pub(super) async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        self.admin_stop.cancel();
        let tracer = self.tracer.clone();
        tokio::task::spawn_blocking(move || tracer.close()).await?;
        // What is still dialling ends with the process.
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        Ok(())
    }
}

fn tracer(settings: &Settings, role: Role) -> Result<Tracer> {
    let role = match role {
        Role::Gateway => "gateway",
        Role::Consumer => "consumer",
        Role::Ranker => "ranker",
        Role::Unspecified => "process",
    };
    let resource = trace::Resource { role, name: settings.name.clone(), pool: settings.cluster.pool.clone() };
    Ok(trace::open(settings.trace.as_ref(), &resource)?)
}
