//! `barrage dev`: everything in one process.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use barrage::{dev, gateway};
use barrage_core::{certificate::CertificateFiles, host::Host};
use clap::Args;

use super::process::until_signal;

/// The stages beside the gateway's shards get one thread for so many cores.
const STAGES_PER_CORES: usize = 2;

/// Where TLS and QUIC are served when only the files are given.
const TLS_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8443);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage dev
  barrage dev -f room.yaml --listen 0.0.0.0:8080 --data /var/lib/barrage")]
pub(super) struct Dev {
    /// LiveRoom manifests, one or more documents [default: a room named demo]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Directory of all state, kept between runs
    #[arg(long, value_name = "DIR", env = "BARRAGE_DATA", default_value = "./barrage-data")]
    data: PathBuf,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", env = "BARRAGE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address to listen on for TLS and, on the same UDP port, WebTransport [default with the files: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS", env = "BARRAGE_GATEWAY_TLS_LISTEN", requires = "tls_cert_file")]
    tls_listen: Option<SocketAddr>,
    /// PEM file of the certificate that viewers are shown; read again when it changes
    #[arg(long, value_name = "FILE", env = "BARRAGE_GATEWAY_TLS_CERT_FILE", requires = "tls_key_file")]
    tls_cert_file: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long, value_name = "FILE", env = "BARRAGE_GATEWAY_TLS_KEY_FILE", requires = "tls_cert_file")]
    tls_key_file: Option<PathBuf>,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Another site whose pages may connect, like https://example.org; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Connections in all [default: what the limit of open files allows]
    #[arg(long, value_name = "N")]
    connections_max: Option<usize>,
    /// Connections from one address; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    connections_per_address_max: usize,
    /// Seconds without a sign of life until a connection is dropped
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u16).range(2..=3600))]
    idle_timeout: u16,
    /// Seconds without taking anything until a slow viewer is closed
    #[arg(long, value_name = "S", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=3600))]
    slow_timeout: u16,
    /// Seconds for a request to be whole
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    handshake_timeout: u16,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let host = Host::here();
        let config = gateway::Config {
            allowed_origins: self.allow_origin,
            connections_max: self.connections_max.unwrap_or(host.connections_max),
            connections_per_address_max: self.connections_per_address_max,
            idle_timeout: Duration::from_secs(self.idle_timeout.into()),
            slow_timeout: Duration::from_secs(self.slow_timeout.into()),
            handshake_timeout: Duration::from_secs(self.handshake_timeout.into()),
            dev_tokens: true,
            ..gateway::Config::default()
        };
        let files = self.tls_cert_file.zip(self.tls_key_file);
        let tls = files.map(|(certificate, key)| gateway::Tls {
            listen: self.tls_listen.unwrap_or(TLS_LISTEN),
            files: CertificateFiles { certificate, key },
        });
        let options = dev::Options {
            manifest: self.file,
            data: self.data,
            listen: self.listen,
            tls,
            shards: self.shards.map_or(host.cores, usize::from),
            gateway: config,
        };
        // The shards have threads of their own; more workers than work wake each other for nothing.
        until_signal(host.cores.div_ceil(STAGES_PER_CORES), |shutdown| dev::run(options, shutdown))
    }
}
