//! A real Kubernetes cluster for tests: control plane, nodes and pods without a container engine (see
//! `e2e/kubernetes/`), with the images that the chart's pods run. It is taken down when its value is dropped, and when
//! the process that started it is killed.

mod audit;
mod error;
mod images;
mod kubectl;
mod schemas;
mod tools;

pub use self::{
    audit::ApiRequest,
    error::KubernetesError,
    images::{Images, Names},
    kubectl::Release,
    tools::Tools,
};

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kubernetes");
/// What [`HOLD`] says when all nodes are ready.
const READY: &str = "ready";
/// The command that keeps a cluster up for as long as its standard input is open.
const HOLD: &str = "hold";

/// A running cluster. There is one at a time on a machine: a second one waits for the first to end.
pub struct Kubernetes {
    holder: Child,
    tools: Tools,
}

impl Kubernetes {
    /// Starts the control plane and as many nodes, `node1` and on, and waits until they are ready.
    ///
    /// # Errors
    /// [`KubernetesError`]; without root, or where `e2e/scripts/setup.sh test` has not run.
    pub fn start(nodes: usize) -> Result<Self, KubernetesError> {
        let tools = Tools::find()?;
        let doing = || format!("starting a Kubernetes cluster in {}", tools.place().display());
        let mut command = Command::new(format!("{SCRIPTS}/cluster.sh"));
        command.args([HOLD, &nodes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Of its own, so that what interrupts the tests leaves it to tidy up.
        command.process_group(0);
        let mut holder = command.spawn().map_err(KubernetesError::system(doing()))?;
        let said = holder.stdout.take().map(BufReader::new).and_then(|lines| lines.lines().next());
        match said {
            Some(Ok(line)) if line == READY => Ok(Self { holder, tools }),
            _ => {
                let _ended = holder.wait();
                let problem = "it said why above; its programs write to `state/log`".to_owned();
                Err(KubernetesError::Refused { doing: doing(), problem })
            }
        }
    }

    /// Brings images into all nodes.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn load(&self, images: &[PathBuf]) -> Result<(), KubernetesError> {
        let images = images.iter().map(|path| path.display().to_string());
        self.script("load", images).map(drop)
    }

    /// Ends the API server, without a word to those who are connected.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn stop_api_server(&self) -> Result<(), KubernetesError> {
        self.script("control", ["stop".to_owned(), "kube-apiserver".to_owned()]).map(drop)
    }

    /// Starts the API server unless it runs, and waits until it is ready.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn start_api_server(&self) -> Result<(), KubernetesError> {
        self.script("control", ["start".to_owned(), "kube-apiserver".to_owned()]).map(drop)
    }

    /// Cuts a node's power: its pods and its kubelet are gone at once.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn stop_node(&self, name: &str) -> Result<(), KubernetesError> {
        self.script("node", ["stop".to_owned(), name.to_owned()]).map(drop)
    }

    /// Starts a node unless it runs, and waits until it is ready.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub fn start_node(&self, name: &str) -> Result<(), KubernetesError> {
        self.script("node", ["start".to_owned(), name.to_owned()]).map(drop)
    }

    fn script(&self, order: &str, arguments: impl IntoIterator<Item = String>) -> Result<String, KubernetesError> {
        let mut command = Command::new(format!("{SCRIPTS}/cluster.sh"));
        command.arg(order).args(arguments);
        error::finish(command)
    }

    fn state(&self) -> PathBuf {
        self.tools.place().join("state")
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        // The end of its input is its order to tidy up.
        drop(self.holder.stdin.take());
        let _ended = self.holder.wait();
    }
}
