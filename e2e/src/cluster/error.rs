//! Why a part of the cluster is not there, not ready or not what it should be.

use std::{io, time::Duration};

use thiserror::Error;

use crate::server::ServerError;

/// Why the cluster, or a part of it, does not do what a test asked for.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The system refused something: a file, a port, a process.
    #[error("{doing}: {source}")]
    System {
        /// What was being done, to what.
        doing: String,
        source: io::Error,
    },
    /// A program that has to be installed is not.
    #[error("{program} cannot be run; install it: {remedy}")]
    Missing { program: &'static str, remedy: &'static str },
    /// A tool or a server answered that it could not.
    #[error("{doing}: {problem}")]
    Refused {
        /// What was being done, to what.
        doing: String,
        problem: String,
    },
    #[error("{what} did not happen within {within:?}; the last lines of what was written:\n{log}")]
    NotReady {
        what: String,
        within: Duration,
        /// The end of the log of whoever should have done it.
        log: String,
    },
    /// The program `barrage` is not built.
    #[error(transparent)]
    Binary(#[from] ServerError),
}

impl ClusterError {
    /// For `map_err`: the system's refusal of what was being done.
    pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::System { doing, source }
    }

    /// For `map_err`: what a tool or a server said when it was asked to do this.
    pub(super) fn refused<E: ToString>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |problem| Self::Refused { doing, problem: problem.to_string() }
    }
}
