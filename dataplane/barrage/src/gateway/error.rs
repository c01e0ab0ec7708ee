//! Why a gateway cannot go on.

use std::net::SocketAddr;

use thiserror::Error;

/// The gateway cannot go on.
#[derive(Debug, Error)]
pub enum GatewayError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}. Is something else there? Choose another with --listen")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// The address for TLS and QUIC cannot be had.
    #[error(
        "cannot listen on {address} (TCP and UDP): {source}. Is something else there? Choose another with --tls-listen"
    )]
    ListenSecurely { address: SocketAddr, source: std::io::Error },
    /// The QUIC socket cannot be used.
    #[error("cannot serve QUIC: {0}")]
    Quic(std::io::Error),
    /// No thread for a worker.
    #[error("cannot start a worker: {0}")]
    Worker(std::io::Error),
}
