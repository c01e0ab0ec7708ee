//! A cluster with operators that look at everything again and again, until nothing changes any more.

use std::sync::Arc;

use barrage_crds::{LiveRoom, RoomPool};
use kube::runtime::{
    reflector::{self, store::Writer},
    watcher,
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::{ApiServer, Broker, Fuse};
use crate::{
    context::{Context, Guarded},
    metrics::Metrics,
    options::{LogFormat, Options},
    pool,
    problem::Problem,
    room,
    session::Stage,
};

const API: &str = "/apis/barrage.live/v1alpha1/namespaces";
/// More than any story needs.
const PASSES_MAX: usize = 40;

#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) broker: Broker,
}

/// An operator that leads.
pub(crate) struct Operator {
    ctx: Arc<Context>,
    world: World,
    pools: Writer<Guarded<RoomPool>>,
    rooms: Writer<Guarded<LiveRoom>>,
    pub(crate) fuse: Fuse,
}

impl World {
    /// Path of a room of the namespace `default`.
    pub(crate) fn room_path(name: &str) -> String {
        format!("{API}/default/liverooms/{name}")
    }

    /// Path of a pool of the namespace `default`.
    pub(crate) fn pool_path(name: &str) -> String {
        format!("{API}/default/roompools/{name}")
    }

    /// Applies a room.
    pub(crate) fn room(&self, name: &str, spec: Value) {
        let object = self.object("LiveRoom", name, spec, &Self::room_path(name));
        self.server.put(&Self::room_path(name), object);
    }

    /// Applies a pool of two consumers and two rankers, with this added to its spec.
    pub(crate) fn pool(&self, name: &str, more: Value) {
        let mut spec =
            json!({"kafka": {"brokers": ["kafka:9092"], "partitions": 4}, "redis": {"nodes": ["redis:6379"]}});
        for (name, value) in more.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        let object = self.object("RoomPool", name, spec, &Self::pool_path(name));
        self.server.put(&Self::pool_path(name), object);
    }

    fn object(&self, kind: &str, name: &str, spec: Value, path: &str) -> Value {
        let new = json!({
            "apiVersion": "barrage.live/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": "default"},
        });
        let mut object = self.server.get(path).unwrap_or(new);
        object["spec"] = spec;
        object
    }

    /// The condition of an object: its status and reason.
    pub(crate) fn condition(&self, path: &str, kind: &str) -> (String, String) {
        let object = self.server.get(path).unwrap_or_else(|| panic!("no {path}"));
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or("none").to_owned();
        (text("status"), text("reason"))
    }

    /// The message of an object's condition.
    pub(crate) fn message(&self, path: &str, kind: &str) -> String {
        let object = self.server.get(path).unwrap_or_else(|| panic!("no {path}"));
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        found.and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// Kubernetes starts all pods.
    pub(crate) fn start_pods(&self) {
        for (path, object) in self.server.all("/apis/apps/v1/") {
            let replicas = object["spec"]["replicas"].clone();
            let status = json!({
                "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
                "observedGeneration": object["metadata"]["generation"],
            });
            if object["status"] != status {
                self.server.edit(&path, |object| object["status"] = status);
            }
        }
    }

    /// An operator that is cut off by the fuse.
    pub(crate) fn operator(&self, fuse: Fuse) -> Operator {
        let ((pool_store, pools), (room_store, rooms)) = (reflector::store(), reflector::store());
        let options = Options {
            namespaces: Vec::new(),
            image: "barrage:1".to_owned(),
            default_pool: None,
            pools_file: None,
            lease_namespace: "barrage".to_owned(),
            lease: "barrage-operator".to_owned(),
            name: "operator-0".to_owned(),
            admin_listen: ([127, 0, 0, 1], 0).into(),
            log_format: LogFormat::Text,
            log_level: "off".to_owned(),
        };
        let metrics = Metrics::register(&mut Registry::default());
        let (client, open) = (self.server.client_until(fuse.clone()), self.broker.open(fuse.clone()));
        let ctx = Context::new(client, options, metrics, open, vec![room_store], vec![pool_store]);
        Operator { ctx: Arc::new(ctx), world: self.clone(), pools, rooms, fuse }
    }
}

impl Operator {
    /// With another default image.
    pub(crate) fn with_image(mut self, image: &str) -> Self {
        let ctx = Arc::get_mut(&mut self.ctx).unwrap();
        image.clone_into(&mut ctx.options.image);
        self
    }

    /// Sees these namespaces alone.
    pub(crate) fn with_namespaces(mut self, names: &[&str]) -> Self {
        let ctx = Arc::get_mut(&mut self.ctx).unwrap();
        ctx.options.namespaces = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Looks at everything until two whole passes write nothing (what the first one asked for may be done beside it), or
    /// the fuse is blown; gives what went wrong in the last.
    pub(crate) async fn settle(&mut self) -> Vec<Problem> {
        let mut quiet = 0;
        for _ in 0..PASSES_MAX {
            let before = (self.fuse.written(), self.world.broker.content());
            let problems = self.pass().await;
            self.world.start_pods();
            quiet = if before == (self.fuse.written(), self.world.broker.content()) { quiet + 1 } else { 0 };
            if !self.fuse.is_whole() || quiet == 2 {
                return problems;
            }
        }
        panic!("it does not settle: {:?}", self.world.server.take_log());
    }

    /// Looks at everything once.
    pub(crate) async fn pass(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        // Nobody looks at anything before all is known.
        refresh::<LiveRoom>(&self.world.server, "/liverooms/", &mut self.rooms);
        for pool in refresh::<RoomPool>(&self.world.server, "/roompools/", &mut self.pools) {
            problems.extend(pool::reconcile(pool, Arc::clone(&self.ctx)).await.err());
        }
        self.connected().await;
        refresh::<RoomPool>(&self.world.server, "/roompools/", &mut self.pools);
        for room in refresh::<LiveRoom>(&self.world.server, "/liverooms/", &mut self.rooms) {
            problems.extend(room::reconcile(room, Arc::clone(&self.ctx)).await.err());
        }
        problems
    }

    /// Waits until all sessions know how they are.
    pub(crate) async fn connected(&self) {
        for (_, pool) in self.world.server.all("/roompools/") {
            let Some(session) = self.ctx.sessions.find(pool["metadata"]["uid"].as_str().unwrap()) else { continue };
            let mut news = session.follow();
            while self.fuse.is_whole() && news.borrow().stage == Stage::Opening {
                _ = tokio::time::timeout(std::time::Duration::from_millis(5), news.changed()).await;
            }
            // Work is given out beside that.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Brings a store up to date, as a watch does; gives what is in it.
fn refresh<K>(server: &ApiServer, part: &str, writer: &mut Writer<Guarded<K>>) -> Vec<Arc<Guarded<K>>>
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned + Clone + 'static,
{
    writer.apply_watcher_event(&watcher::Event::Init);
    for (_, object) in server.all(part) {
        let guarded = serde_json::from_value(object).unwrap();
        writer.apply_watcher_event(&watcher::Event::InitApply(guarded));
    }
    writer.apply_watcher_event(&watcher::Event::InitDone);
    writer.as_reader().state()
}
