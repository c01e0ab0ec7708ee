//! The command line.

#[cfg(feature = "cluster")]
mod cluster;
mod dev;
mod probe;
mod process;
mod token;

use std::io::IsTerminal;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[cfg(feature = "cluster")]
const EXAMPLES: &str = "Examples:
  barrage dev                                  a room named demo on http://127.0.0.1:8080/
  barrage dev -f room.yaml                     your rooms
  barrage token --room demo --user 123456      a token for any client
  barrage config > barrage.toml                settings of a cluster's roles, documented
  barrage gateway --config barrage.toml        one of a cluster's gateways";
#[cfg(not(feature = "cluster"))]
const EXAMPLES: &str = "Examples:
  barrage dev                                  a room named demo on http://127.0.0.1:8080/
  barrage dev -f room.yaml                     your rooms
  barrage token --room demo --user 123456      a token for any client

This program was built for one machine. The roles of a cluster (gateway, consumer, ranker) and the commands for a pool are
in the whole program: cargo build --release --bin barrage";

/// Live comments for rooms of any size.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    /// Log lines shown: error, warn, info, debug, trace, or per module as in RUST_LOG
    #[arg(long, global = true, env = "BARRAGE_LOG", default_value = "warn,barrage=info")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, with all state in one directory
    Dev(dev::Dev),
    /// Print a token, and nothing else
    Token(token::Token),
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    Cluster(cluster::Command),
    /// Ask a process whether it is ready
    Probe(probe::Probe),
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log_level).context("--log-level")?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // Whoever read the log is gone: that is said to nobody, and must not stop anything.
            .log_internal_errors(false)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        match self.command {
            Command::Dev(dev) => dev.run(),
            Command::Token(token) => token.run(),
            #[cfg(feature = "cluster")]
            Command::Cluster(command) => command.run(),
            Command::Probe(probe) => probe.run(),
        }
    }
}
