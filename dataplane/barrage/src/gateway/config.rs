//! How a gateway behaves, as its settings or its command line say.

use std::{net::SocketAddr, time::Duration};

use barrage_core::certificate::CertificateFiles;

#[derive(Debug, Clone)]
pub struct Config {
    /// Origins besides the gateway's own that pages may connect from, like `https://example.org`.
    pub allowed_origins: Vec<String>,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address; 0 is no limit.
    pub connections_per_address_max: usize,
    /// A connection that sends nothing, not even a pong, for this long is dropped; at half of it, it is pinged.
    pub idle_timeout: Duration,
    /// A request must be whole within this time.
    pub handshake_timeout: Duration,
    /// A viewer that takes nothing for this long is closed.
    pub slow_timeout: Duration,
    /// At shutdown, viewers are told to come back within this time, each at another moment.
    pub reconnect_spread: Duration,
    /// Bytes of a danmaku's text.
    pub content_bytes_max: usize,
    /// Whether anybody may get a token (`POST /dev/token`).
    pub dev_tokens: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            connections_max: 18_000,
            connections_per_address_max: 0,
            idle_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(5),
            slow_timeout: Duration::from_secs(15),
            reconnect_spread: Duration::from_secs(5),
            content_bytes_max: 1024,
            dev_tokens: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where they connect, by TCP and by UDP; port 0 picks a free one.
    pub listen: SocketAddr,
    pub files: CertificateFiles,
}
