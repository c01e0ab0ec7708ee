//! Tests of links over real sockets on loopback, and what they share: authorities, parties, their log.

mod sessions;
mod trust;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::link::{Caller, Following, FromConsumer, FromGateway, ToRanker};

/// Longer than anything here takes on a machine that does something else, too.
const DEADLINE: Duration = Duration::from_secs(30);

/// An authority that signs certificates into a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        Log::start();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a certificate that carries `dns_name`.
    fn write(&self, folder: &Path, dns_name: &str) -> LinkCertificateFiles {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([dns_name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let file = |name, content: String| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        LinkCertificateFiles {
            authority: file("ca.pem", self.issuer.pem()),
            certificate: file("cert.pem", leaf.pem()),
            key: file("key.pem", key.serialize_pem()),
        }
    }

    async fn local(&self, name: &str) -> Local {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        local(name, self.write(&folder, LINK_NAME)).await
    }
}

async fn local(name: &str, files: LinkCertificateFiles) -> Local {
    let metrics = Metrics::register(&mut Registry::default());
    let certificate = LinkCertificate::load(files, metrics.clone()).await.unwrap();
    Local { name: name.into(), pool: "default".into(), certificate, metrics }
}

/// A ranker, called `ranker-0` unless `local` says otherwise.
struct Ranker {
    address: SocketAddr,
    callers: mpsc::Receiver<Caller>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Ranker {
    fn start(local: Local, port: u16) -> std::io::Result<Self> {
        let shutdown = CancellationToken::new();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let (address, callers, task) = listen(address, local, shutdown.clone())?;
        Ok(Self { address, callers, shutdown, task })
    }

    async fn consumer(&mut self) -> FromConsumer {
        match soon(self.callers.recv()).await {
            Some(Caller::Consumer(session)) => session,
            _ => panic!("no consumer calls"),
        }
    }

    async fn gateway(&mut self) -> FromGateway {
        match soon(self.callers.recv()).await {
            Some(Caller::Gateway(session)) => session,
            _ => panic!("no gateway calls"),
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        drop(self.callers);
        soon(self.task).await.unwrap();
    }
}

/// A consumer or a gateway that dials.
struct Dialler<S> {
    rankers: watch::Sender<std::collections::BTreeMap<Peer, String>>,
    sessions: mpsc::Receiver<S>,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl<S> Dialler<S> {
    async fn session(&mut self) -> S {
        soon(self.sessions.recv()).await.expect("the dialler goes on")
    }

    fn routes(&self, ranker: &str, address: SocketAddr) {
        self.rankers.send_replace([(ranker.into(), address.to_string())].into());
    }
}

fn consumer(local: Local, ranker: SocketAddr) -> Dialler<ToRanker> {
    let (sessions, receiver) = mpsc::channel(1);
    let shutdown = CancellationToken::new();
    let (rankers, routes) = watch::channel([("ranker-0".into(), ranker.to_string())].into());
    let task = tokio::spawn(dial_consumer(local, routes, sessions, shutdown.clone()));
    Dialler { rankers, sessions: receiver, shutdown, task }
}

fn gateway(local: Local, ranker: SocketAddr) -> Dialler<Following> {
    let (sessions, receiver) = mpsc::channel(1);
    let shutdown = CancellationToken::new();
    let (rankers, routes) = watch::channel([("ranker-0".into(), ranker.to_string())].into());
    let task = tokio::spawn(dial_gateway(local, routes, sessions, shutdown.clone()));
    Dialler { rankers, sessions: receiver, shutdown, task }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens before the deadline")
}

async fn eventually(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// What all tests of this program log. One subscriber for all threads: tracing remembers of each line whether anybody
/// wants it, and may have asked a thread that did not.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts it, if it has not started.
    fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
            tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
            log
        });
        log.clone()
    }
}

/// The lines that contain a text of one test alone: the address of its ranker.
struct Lines(Log, String);

impl Lines {
    fn about(ranker: &Ranker) -> Self {
        Self(Log::start(), ranker.address.to_string())
    }

    /// Waits for a line that contains all of `parts`.
    async fn say(&self, parts: &[&str]) {
        let Self(Log(log), address) = self;
        let text = || String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
        let wanted = |line: &str| line.contains(address) && parts.iter().all(|part| line.contains(part));
        let said = async {
            while !text().lines().any(wanted) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, said).await.is_err() {
            panic!("nobody says {parts:?} of {address} in\n{}", text());
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
