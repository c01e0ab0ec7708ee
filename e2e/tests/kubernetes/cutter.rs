//! An operator of this host whose way to the API server is cut: it is killed in the moment that the API server has done
//! its first write, before it learns of that. Leases and events do not count: every life has some, and they bring nothing
//! further.

use std::{
    io::Write,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use barrage_e2e::kubernetes::Kubernetes;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::Mutex};

use crate::scene::{NAMES, NAMESPACE, Scene, debug};

/// An operator that writes nothing for so long has nothing to write: it looks at what is not as it should be every 5 s.
const QUIET: Duration = Duration::from_secs(8);
/// More writes than any story takes.
const LIVES_MAX: usize = 200;

/// Larger than any object.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// Where pods find names.
const RESOLVER: &str =
    "search barrage.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.98.0.2\noptions ndots:5\n";

/// Gives the operator a view of the files that pods have, and runs it under the process's own number.
const AS_IN_A_POD: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;

/// The way to the API server, and who goes it.
pub(crate) struct Cutter {
    folder: TempDir,
    kept: Arc<Kept>,
    runtime: Runtime,
    lives: usize,
}

/// What requests share.
struct Kept {
    client: Client,
    /// One write at a time: the next one comes too late.
    life: Mutex<Option<Life>>,
}

struct Life {
    process: Child,
    began: Instant,
    /// What it wrote, and was killed for.
    wrote: Option<String>,
}

impl Cutter {
    /// With nobody alive yet. The release's own operators must be gone.
    pub(crate) fn new(scene: &Scene) -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let kept = Arc::new(Kept { client: runtime.block_on(client(scene)), life: Mutex::new(None) });
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let way = format!("http://{}", listener.local_addr().unwrap());
        let file = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: cut\nclusters: [{{name: cut, cluster: {{server: \"{way}\"}}}}]\n\
             contexts: [{{name: cut, context: {{cluster: cut}}}}]\n"
        );
        std::fs::write(folder.path().join("kubeconfig"), file).unwrap();
        std::fs::write(folder.path().join("resolv.conf"), RESOLVER).unwrap();
        let app = Router::new().fallback(pass).with_state(Arc::clone(&kept));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { folder, kept, runtime, lives: 0 }
    }

    /// Lets operators live, one after the other, each until its first write, until one has nothing to write and `look` sees
    /// what it wants. What was written, in order.
    pub(crate) fn run(
        &mut self,
        scene: &Scene,
        what: &str,
        mut look: impl FnMut(&Kubernetes) -> Result<(), String>,
    ) -> Vec<String> {
        let mut writes = Vec::new();
        while writes.len() < LIVES_MAX {
            self.begin();
            let wrote = scene.until(&format!("{what}: an operator writes, or has nothing to write"), |cluster| {
                let life = self.kept.life.blocking_lock();
                let life = life.as_ref().unwrap();
                match &life.wrote {
                    Some(wrote) => Ok(Some(wrote.clone())),
                    None if life.began.elapsed() < QUIET => Err("it has just begun".to_owned()),
                    None => look(cluster).map(|()| None),
                }
            });
            let mut life = self.kept.life.blocking_lock().take().unwrap();
            // It is dead already, or has nothing more to do.
            let _dead = life.process.kill();
            life.process.wait().unwrap();
            match wrote {
                Some(wrote) => writes.push(wrote),
                None => return writes,
            }
        }
        panic!("{what}: it comes to no end: {:?}", &writes[writes.len() - 20..]);
    }

    fn begin(&mut self) {
        self.lives += 1;
        // Under another name and with a Lease of its own: nobody waits until a dead one's has run out.
        let name = format!("cut-{}", self.lives);
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        writeln!(&log, "--- {name}").unwrap();
        let process = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", AS_IN_A_POD, "sh"])
            .arg(self.folder.path().join("resolv.conf"))
            .arg(barrage_e2e::server::binary().unwrap().with_file_name("barrage-operator"))
            .args(["run", "--image", NAMES.barrage, "--lease-namespace", NAMESPACE, "--lease", &name, "--name", &name])
            .args(["--default-pool", &format!("{NAMESPACE}/default"), "--admin-listen", "127.0.0.1:0"])
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let life = Life { process, began: Instant::now(), wrote: None };
        *self.kept.life.blocking_lock() = Some(life);
    }

    /// What all of them said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Takes away the Leases of all that lived.
    pub(crate) fn tidy(&self, scene: &Scene) {
        let leases: Vec<_> = (1..=self.lives).map(|life| format!("lease/cut-{life}")).collect();
        let leases: Vec<_> = leases.iter().map(String::as_str).collect();
        scene.kubectl(&[&["delete", "--ignore-not-found"], leases.as_slice()].concat());
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        if let Some(mut life) = self.runtime.block_on(self.kept.life.lock()).take() {
            let _dead = life.process.kill();
            let _ended = life.process.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// As the release's operator, with no more rights than it has.
async fn client(scene: &Scene) -> Client {
    let token = scene.kubectl(&["create", "token", "barrage-operator", "--duration=1h"]);
    let kubeconfig = Kubeconfig::read_from(scene.cluster.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info = serde_json::from_value(serde_json::json!({"token": token.trim()})).unwrap();
    Client::try_from(config).unwrap()
}

/// Passes a request on. Who wrote does not hear of it.
async fn pass(State(kept): State<Arc<Kept>>, request: Request<Body>) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let counts = method != Method::GET && !path.contains("/leases") && !path.ends_with("/events");
    if !counts {
        return send(&kept.client, request).await;
    }
    let mut life = kept.life.lock().await;
    let Some(life) = life.as_mut().filter(|life| life.wrote.is_none()) else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let answer = send(&kept.client, request).await;
    // What was refused changed nothing; the operator has to hear why.
    if answer.status().is_success() {
        life.process.kill().unwrap();
        life.wrote = Some(format!("{method} {path}"));
    }
    answer
}

async fn send(client: &Client, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    match client.send(Request::from_parts(parts, body.to_vec().into())).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, debug(error)).into_response(),
    }
}
