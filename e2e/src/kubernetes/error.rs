//! Why the cluster does not do what a test asked for, and the programs that say so.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
    time::Duration,
};

use thiserror::Error;

use crate::{cluster::ClusterError, server::ServerError};

/// Why the cluster, or something in it, is not what a test asked for.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// The system refused something: a file, a process.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, to what.
        doing: String,
        source: io::Error,
    },
    /// A tool or the API server answered that it could not.
    #[error("{doing}: {problem}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        problem: String,
    },
    #[error("{what}: not within {within:?}; last seen: {seen}")]
    NotYet { what: String, within: Duration, seen: String },
    /// Barrage's programs are not built.
    #[error(transparent)]
    Binary(#[from] ServerError),
    /// Kafka's jars cannot be had.
    #[error(transparent)]
    Jars(#[from] ClusterError),
}

impl KubernetesError {
    /// For `map_err`: the system's refusal of what was being done.
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }
}

/// Runs a command to its end; its standard output, or what it complained about.
pub(super) fn finish(command: Command) -> Result<String, KubernetesError> {
    finish_with(command, None)
}

/// The same with something on its standard input.
pub(super) fn finish_with(mut command: Command, input: Option<&str>) -> Result<String, KubernetesError> {
    let doing = || {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        format!("{} {}", command.get_program().to_string_lossy(), words.join(" "))
    };
    let doing = doing();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(KubernetesError::system(&doing))?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // Manifests fit into a pipe; whoever does not read them says why.
        let _refused = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(KubernetesError::system(&doing))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(KubernetesError::Refused { doing, problem: text(&output.stderr) })
}
