//! What every reconciler works with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use barrage_crds::{LiveRoom, RoomPool};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Client, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        controller::Action,
        events::{Recorder, Reporter},
        reflector::Store,
    },
};
use tokio::sync::watch;

use crate::{
    metrics::Metrics,
    options::{Options, PoolKey},
    problem::{Problem, Reason},
    sessions::{Open, Sessions},
};

/// Figures of a status that are all that has changed are written at most so often.
const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// An object as it is stored: it may be one that this operator does not understand.
pub type Guarded<K> = DeserializeGuard<K>;

/// What came of a look at an object: when to look again, and how the object is.
pub type Looked = Result<(Action, Reason), Problem>;

pub struct Context {
    /// The API server.
    pub client: Client,
    pub options: Options,
    pub metrics: Metrics,
    /// Sessions with the pools' Kafka and Redis.
    pub sessions: Sessions,
    /// All rooms, one store for each namespace that is watched by itself.
    pub rooms: Vec<Store<Guarded<LiveRoom>>>,
    /// All pools, likewise.
    pub pools: Vec<Store<Guarded<RoomPool>>>,
    /// Whether all rooms and pools are known: before that, a pool could be taken for missing, and a younger room for the
    /// older one.
    pub known: watch::Sender<bool>,
    /// For events of objects.
    pub recorder: Recorder,
    pub figures: Figures,
    pub clock: Clock,
}

/// When figures of each object were last written, by UID.
#[derive(Default)]
pub struct Figures(Mutex<HashMap<String, Instant>>);

impl Figures {
    /// Whether figures may be written again now; if so, they are taken as written.
    pub fn is_due(&self, uid: &str, now: Instant) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(uid).is_some_and(|at| now.duration_since(*at) < FIGURES_EVERY) {
            return false;
        }
        written.retain(|_, at| now.duration_since(*at) < FIGURES_EVERY);
        written.insert(uid.to_owned(), now);
        true
    }
}

/// The time; tests have one of their own.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Timestamp::now))
    }
}

impl Context {
    /// With nothing known yet but where to look.
    #[must_use]
    pub fn new(
        client: Client,
        options: Options,
        metrics: Metrics,
        open: Open,
        rooms: Vec<Store<Guarded<LiveRoom>>>,
        pools: Vec<Store<Guarded<RoomPool>>>,
    ) -> Self {
        let reporter = Reporter { controller: "barrage-operator".to_owned(), instance: Some(options.name.clone()) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            options,
            metrics,
            sessions: Sessions::new(open),
            rooms,
            pools,
            known: watch::Sender::new(false),
            figures: Figures::default(),
            clock: Clock::default(),
        }
    }

    /// The pool of this name, if it is one that this operator understands.
    #[must_use]
    pub fn pool(&self, key: &PoolKey) -> Option<Arc<Guarded<RoomPool>>> {
        self.pools.iter().find_map(|store| store.find(|pool| is(pool, key)))
    }

    /// Waits until all rooms and pools are known.
    pub async fn all_known(&self) {
        // Its sender is here, so it cannot be gone.
        _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    /// The time by the calendar.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock.0)()
    }

    /// The time by a clock that never goes back.
    #[must_use]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }
}

fn is<K: Resource>(object: &K, key: &PoolKey) -> bool {
    object.meta().namespace.as_deref() == Some(&*key.namespace) && object.meta().name.as_deref() == Some(&*key.name)
}

/// Namespace and name of an object.
#[must_use]
pub fn key_of<K: Resource>(object: &K) -> PoolKey {
    PoolKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Whether `a` was made before `b`; of two that were made in one second the one with the lower UID was.
#[must_use]
pub fn is_older<K: Resource>(a: &K, b: &K) -> bool {
    let age = |object: &K| (object.creation_timestamp().map(|time| time.0), object.uid());
    age(a) < age(b)
}
