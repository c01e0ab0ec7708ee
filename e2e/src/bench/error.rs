//! Why a benchmark gives no figure.

use std::io;

use thiserror::Error;

use crate::{cluster::ClusterError, files::TooManyFiles, load::LoadError, process::ProcessError, server::ServerError};

#[derive(Debug, Error)]
pub enum BenchError {
    /// No server, or it ended.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A baseline's process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Brokers, Redis or the roles.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{doing}: {problem}")]
    Refused { doing: &'static str, problem: String },
    /// Open files.
    #[error(transparent)]
    Files(#[from] TooManyFiles),
    /// Sockets, files, compression.
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// A figure that would mean nothing.
    #[error("{0}")]
    Meaningless(String),
    /// What was counted is not what was sent, however fast it was.
    #[error("{0} scores, logged danmaku and ledgers are wrong")]
    Wrong(u64),
}

impl BenchError {
    /// Says what was refused.
    pub(super) fn refused<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Refused { doing, problem: error.to_string() }
    }

    /// Says what was being done.
    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
