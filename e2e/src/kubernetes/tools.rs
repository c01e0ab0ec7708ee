//! The programs that `e2e/kubernetes/setup.sh` built: `helm`, `kubectl` and checkers of manifests. Most of what they do
//! needs no cluster.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::error::{KubernetesError, finish, finish_with};
use crate::cluster::CACHE_VARIABLE;

/// The root of the checkout, which manifests and charts are named from.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[derive(Debug, Clone)]
pub struct Tools {
    place: PathBuf,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] where they were not built yet.
    pub fn find() -> Result<Self, KubernetesError> {
        let refused = |problem: String| KubernetesError::Refused {
            doing: "looking for what a Kubernetes cluster is made of".to_owned(),
            problem,
        };
        let named = std::env::var_os(CACHE_VARIABLE).map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".cache/barrage-e2e"));
        let cache = named.or_else(home);
        let cache = cache.ok_or_else(|| refused(format!("no home folder; name one in {CACHE_VARIABLE}")))?;
        let place = cache.join("kubernetes");
        if !place.join("bin/helm").exists() {
            return Err(refused(format!("{} has no programs; run e2e/scripts/setup.sh test", place.display())));
        }
        Ok(Self { place })
    }

    /// Runs `helm` with these arguments; its standard output.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] with what it wrote.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, KubernetesError> {
        let mut command = self.program("helm");
        command.args(arguments);
        finish(command)
    }

    /// Gives manifests to a checker; what it says of them.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] where it finds fault.
    pub fn check(&self, checker: &str, arguments: &[&str], manifests: &str) -> Result<String, KubernetesError> {
        let mut command = self.program(checker);
        command.args(arguments);
        finish_with(command, Some(manifests))
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.place.join("bin").join(name));
        // What helm keeps between runs is none of its user's.
        let home = self.place.join("helm");
        command.env("HELM_CACHE_HOME", &home).env("HELM_CONFIG_HOME", &home).env("HELM_DATA_HOME", &home);
        command
    }

    /// A file of the checkout, by its path from the root.
    #[must_use]
    pub fn file(name: &str) -> PathBuf {
        Path::new(ROOT).join(name)
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }
}
