//! The cluster and the installation that all tests share, made by the first of them: as the README says, with no value
//! but `dev.enabled`, and a first room.

use std::{
    fmt::Debug,
    ops::Deref,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use barrage_e2e::{
    client::{ClientV2, Join},
    http::Api,
    kubernetes::{Images, Kubernetes, KubernetesError, Names, Release, Tools},
    token::{Claims, TokenKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::PATIENCE;

/// Where the release is.
pub(crate) const NAMESPACE: &str = "barrage";
/// The chart's default names of images.
pub(crate) const NAMES: Names<'static> = Names {
    barrage: "ghcr.io/barrage-live/barrage:0.1.0",
    kafka: "docker.io/apache/kafka:4.3.1",
    redis: "docker.io/library/redis:7.0.15",
};
/// On every object of a pool: its name.
pub(crate) const POOL_LABEL: &str = "app.kubernetes.io/instance";
/// On every object of a role: `gateway`, `consumer` or `ranker`.
pub(crate) const ROLE_LABEL: &str = "app.kubernetes.io/component";
/// The operator's Deployment.
pub(crate) const OPERATOR: &str = "deployment/barrage-operator";
/// As who it asks the API server.
pub(crate) const OPERATOR_USER: &str = "system:serviceaccount:barrage:barrage-operator";
/// The node that tests take away: Kafka and Redis are on the other.
pub(crate) const SPARE_NODE: &str = "node2";
const SERVERS_NODE: &str = "node1";
/// What a pool has pods of.
const ROLES: [&str; 3] = ["gateway", "consumer", "ranker"];
/// The release of the chart.
const INSTALL_WITHIN: Duration = Duration::from_secs(120);
/// What the issue of a first room may take.
const FIRST_ROOM_WITHIN: &str = "--timeout=30s";

static SCENE: LazyLock<Mutex<Scene>> =
    LazyLock::new(|| Mutex::new(Scene::new().unwrap_or_else(|error| panic!("{error}"))));

/// A cluster with a release named `barrage`, its pool `default` and the room `demo`.
pub(crate) struct Scene {
    pub(crate) cluster: Kubernetes,
}

/// The scene, for one test. When the test fails, it says how things are.
pub(crate) struct Turn(MutexGuard<'static, Scene>);

/// The test's turn.
pub(crate) fn scene() -> Turn {
    Turn(SCENE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Scene {
    fn new() -> Result<Self, KubernetesError> {
        let began = Instant::now();
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|source| KubernetesError::System { doing: "starting a runtime".to_owned(), source })?;
        let images = runtime.block_on(Images::pack(NAMES))?;
        let say = |what: &str| eprintln!("{:6.1} s: {what}", began.elapsed().as_secs_f64());
        say("images are packed");
        let scene = Self { cluster: Kubernetes::start(2)? };
        say("two nodes are ready");
        scene.cluster.load(&images.files)?;
        say("images are loaded");
        scene.place_servers()?;
        scene.install(&[])?;
        say("the chart is installed");
        scene.cluster.apply_file("crds/examples/room.yaml")?;
        scene.cluster.kubectl(&["wait", "--for=condition=Ready", "liveroom/demo", FIRST_ROOM_WITHIN])?;
        say("the first room is ready");
        Ok(scene)
    }

    /// Has Kafka and Redis on the first node, so that a test can do without the other: they keep nothing when they move.
    fn place_servers(&self) -> Result<(), KubernetesError> {
        self.cluster.kubectl(&["cordon", SPARE_NODE])?;
        self.release(&[], None)?;
        self.cluster.until("Kafka and Redis have a node", PATIENCE, |cluster| {
            for server in ["barrage-dev-kafka-0", "barrage-dev-redis-0"] {
                let pod = cluster.get(&["-n", NAMESPACE, "pod", server]).map_err(debug)?;
                if pod["spec"]["nodeName"].is_null() {
                    return Err(format!("{server} has none"));
                }
            }
            Ok(())
        })?;
        self.cluster.kubectl(&["uncordon", SPARE_NODE]).map(drop)
    }

    /// Installs the release, or upgrades it to these values, and waits until all is ready.
    pub(crate) fn install(&self, values: &[&str]) -> Result<String, KubernetesError> {
        self.release(values, Some(INSTALL_WITHIN))
    }

    fn release(&self, values: &[&str], wait: Option<Duration>) -> Result<String, KubernetesError> {
        let chart = Tools::file("charts/barrage");
        let values = [&["dev.enabled=true"], values].concat();
        self.cluster.install(&Release { name: "barrage", namespace: NAMESPACE, chart: &chart, values: &values, wait })
    }

    /// `kubectl` in the release's namespace; a refusal fails the test.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", NAMESPACE], arguments].concat();
        self.cluster.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Changes the default pool by a merge patch.
    pub(crate) fn patch_pool(&self, patch: &str) {
        self.kubectl(&["patch", "roompool", "default", "--type=merge", "-p", patch]);
    }

    /// Takes a field of the default pool's spec away.
    pub(crate) fn remove_from_pool(&self, path: &str) {
        let patch = format!(r#"[{{"op":"remove","path":"{path}"}}]"#);
        self.kubectl(&["patch", "roompool", "default", "--type=json", "-p", &patch]);
    }

    /// Waits until a pod has ended; whether well, and what it said.
    pub(crate) fn ended(&self, pod: &str) -> (bool, String) {
        let phase = self.until(&format!("{pod} has ended"), |cluster| {
            let found = cluster.get(&["-n", NAMESPACE, "pod", pod]).map_err(debug)?;
            match found["status"]["phase"].as_str() {
                Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
                other => Err(debug(other)),
            }
        });
        (phase == "Succeeded", self.kubectl(&["logs", pod]))
    }

    /// An object of the release's namespace.
    pub(crate) fn get(&self, arguments: &[&str]) -> Value {
        let arguments = [&["-n", NAMESPACE], arguments].concat();
        self.cluster.get(&arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Applies manifests; a refusal fails the test.
    pub(crate) fn apply(&self, manifests: &str) {
        self.cluster.apply(manifests).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until something is to be seen; `look` says what it sees while that is not it.
    pub(crate) fn until<T>(&self, what: &str, look: impl FnMut(&Kubernetes) -> Result<T, String>) -> T {
        self.cluster.until(what, PATIENCE, look).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until a condition of an object has a status and a reason; its message.
    pub(crate) fn condition(&self, object: &[&str], kind: &str, status: &str, reason: &str) -> String {
        self.until(&format!("{object:?} has {kind}={status} with the reason {reason}"), |cluster| {
            let found = cluster.condition(object, kind).map_err(|error| error.to_string())?;
            match found {
                Some([s, r, message]) if s == status && (reason.is_empty() || r == reason) => Ok(message),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// Names of pods of the release's namespace that a label selects, with something that changes when they restart.
    pub(crate) fn pods(&self, selector: &str) -> Vec<(String, String)> {
        let pods = self.get(&["pods", "-l", selector]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut pods: Vec<_> = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pod| {
                let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
                (text(&pod["metadata"]["name"]), format!("{} {restarts}", text(&pod["metadata"]["uid"])))
            })
            .collect();
        pods.sort();
        pods
    }

    /// What the pool's tokens are signed with.
    pub(crate) fn token_key(&self) -> TokenKey {
        let keys = self.get(&["secret", "default-token-keys"]);
        let keys = STANDARD.decode(keys["data"]["keys.json"].as_str().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys.json"), keys).unwrap();
        TokenKey::load(folder.path()).unwrap()
    }

    /// `HOST:PORT` of the default pool's Service before the gateways, reached from this host.
    pub(crate) fn gateways(&self) -> String {
        let service = self.get(&["service", "default-gateway"]);
        let port = &service["spec"]["ports"][0]["port"];
        format!("{}:{port}", service["spec"]["clusterIP"].as_str().unwrap())
    }

    /// A viewer of a room.
    pub(crate) fn join(&self, room: &str, user: u64) -> ClientV2 {
        let token = self.token_key().mint(&Claims::viewer(room, user)).unwrap();
        let join = Join::new(&format!("ws://{}", self.gateways()), room, &token);
        self.until(&format!("{room} takes viewers"), |_| ClientV2::join(&join, user).map_err(debug))
    }

    /// The API of the gateways, read as a viewer of a room.
    pub(crate) fn api(&self, room: &str) -> Api {
        let token = self.token_key().mint(&Claims::viewer(room, 1)).unwrap();
        Api::new(&format!("http://{}", self.gateways())).with_token(token)
    }

    /// The same of each gateway by itself.
    pub(crate) fn gateway_apis(&self, room: &str) -> Vec<Api> {
        let token = self.token_key().mint(&Claims::viewer(room, 1)).unwrap();
        let pods = self.get(&["pods", "-l", &format!("{POOL_LABEL}=default,{ROLE_LABEL}=gateway")]);
        let addresses =
            pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["status"]["podIP"].as_str());
        addresses.map(|address| Api::new(&format!("http://{address}:8080")).with_token(token.clone())).collect()
    }

    /// Waits until the nodes and the default pool are as they should be.
    pub(crate) fn settle(&self) {
        self.until("all nodes are ready", |cluster| {
            let nodes = cluster.get(&["nodes"]).map_err(debug)?;
            let is_ready = |node: &Value| {
                let conditions = node["status"]["conditions"].as_array();
                let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
                ready.is_some_and(|ready| ready["status"] == "True") && node["spec"]["taints"].is_null()
            };
            let not_ready = nodes["items"].as_array().into_iter().flatten().find(|node| !is_ready(node));
            not_ready.map_or(Ok(()), |node| Err(format!("{} {}", node["status"]["conditions"], node["spec"]["taints"])))
        });
        self.serves();
    }

    /// Has a pod of each role of the default pool on the spare node: when a test has drained it, all are on the other.
    pub(crate) fn use_spare_node(&self) {
        self.cluster.kubectl(&["cordon", SERVERS_NODE]).unwrap();
        for role in ROLES {
            let selector = format!("{POOL_LABEL}=default,{ROLE_LABEL}={role}");
            if self.ready_on_spare_node(&selector).is_err() {
                self.kubectl(&["delete", "pod", &self.pods(&selector)[0].0]);
                self.until(&format!("a {role} is on {SPARE_NODE}"), |_| self.ready_on_spare_node(&selector));
            }
        }
        self.cluster.kubectl(&["uncordon", SERVERS_NODE]).unwrap();
        self.settle();
    }

    fn ready_on_spare_node(&self, selector: &str) -> Result<(), String> {
        let pods = self.get(&["pods", "-l", selector, "--field-selector", &format!("spec.nodeName={SPARE_NODE}")]);
        let is_ready = |pod: &Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        if pods["items"].as_array().is_some_and(|pods| pods.iter().any(is_ready)) { Ok(()) } else { Err(debug(pods)) }
    }

    /// Waits until the default pool serves its room.
    pub(crate) fn serves(&self) {
        self.condition(&["-n", NAMESPACE, "roompool", "default"], "Ready", "True", "");
        self.condition(&["liveroom", "demo"], "Ready", "True", "");
    }

    /// Takes back what a test that failed may have left, as far as it can: the tests after it are of something else.
    fn mend(&self) {
        let pool = format!(r#"{{"spec":{{"image":"{}","viewers":null}}}}"#, NAMES.barrage);
        let orders: [&[&str]; 5] = [
            &["uncordon", SERVERS_NODE, SPARE_NODE],
            &["-n", NAMESPACE, "scale", OPERATOR, "--replicas=2"],
            &["-n", NAMESPACE, "patch", "roompool", "default", "--type=merge", "-p", &pool],
            &["delete", "liverooms", "-A", "--field-selector", "metadata.name!=demo", "--timeout=60s"],
            &["delete", "roompools", "-A", "--field-selector", "metadata.name!=default", "--timeout=60s"],
        ];
        let node = self.cluster.start_node(SPARE_NODE);
        let obeyed = orders.map(|order| self.cluster.kubectl(order).map(drop));
        for error in [node].into_iter().chain(obeyed).filter_map(Result::err) {
            eprintln!("--- not taken back: {error}");
        }
    }

    fn print(&self) {
        let looks: [&[&str]; 6] = [
            &["get", "nodes,pods", "-A", "-o", "wide"],
            &["get", "roompools,liverooms", "-A"],
            &["describe", "roompools", "-A"],
            &["describe", "liveroom", "demo"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &["-n", NAMESPACE, "logs", "-l", "app.kubernetes.io/component=operator", "--tail=40", "--prefix"],
        ];
        for look in looks {
            match self.cluster.kubectl(look) {
                Ok(said) => eprintln!("--- kubectl {}\n{said}", look.join(" ")),
                Err(error) => eprintln!("--- {error}"),
            }
        }
    }
}

/// An error as text.
pub(crate) fn debug(error: impl Debug) -> String {
    format!("{error:?}")
}

impl Deref for Turn {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if thread::panicking() {
            // Without one there is nothing to print.
            let started = self.cluster.start_api_server();
            started.unwrap_or_else(|error| eprintln!("--- {error}"));
            self.print();
            self.mend();
        }
    }
}
