//! What a person would type: `kubectl` and `helm`, as administrator of the cluster.

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Kubernetes, Tools,
    error::{KubernetesError, finish, finish_with},
};

/// Between two looks at something.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One installation of a chart.
#[derive(Debug, Clone)]
pub struct Release<'a> {
    pub name: &'a str,
    /// Where it goes; made if need be.
    pub namespace: &'a str,
    /// The chart's folder.
    pub chart: &'a Path,
    /// Values that differ from the chart's: `key=value`.
    pub values: &'a [&'a str],
    /// How long to wait until its workloads are ready; not at all without.
    pub wait: Option<Duration>,
}

impl Kubernetes {
    /// Runs `kubectl` with these arguments; its standard output.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] with what it wrote.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, KubernetesError> {
        let mut command = self.program("kubectl");
        command.args(arguments);
        finish(command)
    }

    /// Applies manifests.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] with what the API server has against them.
    pub fn apply(&self, manifests: &str) -> Result<String, KubernetesError> {
        let mut command = self.program("kubectl");
        command.args(["apply", "--server-side", "-f", "-"]);
        finish_with(command, Some(manifests))
    }

    /// Applies a file of the checkout.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn apply_file(&self, name: &str) -> Result<String, KubernetesError> {
        let path = Tools::file(name).display().to_string();
        self.kubectl(&["apply", "-f", &path])
    }

    /// An object, or a list of them, as JSON.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`], also where it is not there.
    pub fn get(&self, arguments: &[&str]) -> Result<Value, KubernetesError> {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat())?;
        serde_json::from_str(&text).map_err(|error| KubernetesError::Refused {
            doing: format!("reading {arguments:?} as JSON"),
            problem: error.to_string(),
        })
    }

    /// What a path of the API server answers, as JSON.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn raw(&self, path: &str) -> Result<Value, KubernetesError> {
        let text = self.kubectl(&["get", "--raw", path])?;
        serde_json::from_str(&text)
            .map_err(|error| KubernetesError::Refused { doing: format!("reading {path}"), problem: error.to_string() })
    }

    /// Sends JSON to a path of the API server, like an eviction to its pod's.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn create_raw(&self, path: &str, json: &str) -> Result<String, KubernetesError> {
        let mut command = self.program("kubectl");
        command.args(["create", "--raw", path, "-f", "-"]);
        finish_with(command, Some(json))
    }

    /// Has the API server judge manifests without keeping them.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn dry_run(&self, manifests: &str) -> Result<String, KubernetesError> {
        let mut command = self.program("kubectl");
        command.args(["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"]);
        finish_with(command, Some(manifests))
    }

    /// The status of a condition of an object and its reason and message; none where it is not set.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn condition(&self, object: &[&str], kind: &str) -> Result<Option<[String; 3]>, KubernetesError> {
        let found = self.get(object)?;
        let conditions = found["status"]["conditions"].as_array();
        let one = conditions.into_iter().flatten().find(|one| one["type"] == kind);
        let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
        Ok(one.map(|one| ["status", "reason", "message"].map(|field| text(one, field))))
    }

    /// Looks until something is to be seen. `look` says what it sees, as `Err` while that is not it yet.
    ///
    /// # Errors
    /// [`KubernetesError::NotYet`].
    pub fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Self) -> Result<T, String>,
    ) -> Result<T, KubernetesError> {
        let deadline = Instant::now() + within;
        loop {
            match look(self) {
                Ok(seen) => return Ok(seen),
                Err(seen) if Instant::now() >= deadline => {
                    return Err(KubernetesError::NotYet { what: what.to_owned(), within, seen });
                }
                Err(_) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Installs a chart, or upgrades it.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`].
    pub fn install(&self, release: &Release<'_>) -> Result<String, KubernetesError> {
        let mut command = self.program("helm");
        command.args(["upgrade", "--install", release.name]).arg(release.chart);
        command.args(["--namespace", release.namespace, "--create-namespace"]);
        if let Some(within) = release.wait {
            command.arg("--wait").arg(format!("--timeout={}s", within.as_secs()));
        }
        for value in release.values {
            command.args(["--set", value]);
        }
        finish(command)
    }

    /// A program of the cluster's, told where the cluster is.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = self.tools.program(name);
        command.env("KUBECONFIG", self.kubeconfig());
        command
    }

    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.state().join("pki/admin.kubeconfig")
    }
}
