//! The cluster and the installation that all tests share, made by the first of them with no value but `dev.enabled`.

use std::{
    fmt::Debug,
    ops::Deref,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use barrage_e2e::kubernetes::{Images, Kubernetes, KubernetesError, Names, Release, Tools};
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

static SCENE: LazyLock<Mutex<Scene>> =
    LazyLock::new(|| Mutex::new(Scene::new().unwrap_or_else(|error| panic!("{error}"))));

/// A cluster with a release named `barrage`.
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
        let say = |what: &str| eprintln!("{:6.1} s: {what}", began.elapsed().as_secs_f64());
        let runtime = tokio::runtime::Runtime::new();
        let doing = || "starting a runtime".to_owned();
        let runtime = runtime.map_err(|source| KubernetesError::System { doing: doing(), source })?;
        let images = runtime.block_on(Images::pack(NAMES))?;
        say("images are packed");
        let scene = Self { cluster: Kubernetes::start(2)? };
        say("two nodes are ready");
        scene.cluster.load(&images.files)?;
        say("images are loaded");
        let chart = Tools::file("charts/barrage");
        let release =
            Release { name: "barrage", namespace: NAMESPACE, chart: &chart, values: &["dev.enabled=true"], wait: None };
        scene.cluster.install(&release)?;
        say("the chart is installed");
        Ok(scene)
    }

    /// `kubectl` in the release's namespace; a refusal fails the test.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", NAMESPACE], arguments].concat();
        self.cluster.kubectl(&arguments).unwrap_or_else(|error| panic!("{error}"))
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

    fn print(&self) {
        let looks: [&[&str]; 2] =
            [&["get", "nodes,pods", "-A", "-o", "wide"], &["get", "events", "-A", "--sort-by=.lastTimestamp"]];
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
            self.print();
        }
    }
}
