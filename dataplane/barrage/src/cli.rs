//! The command line.

#[cfg(feature = "cluster")]
mod certificates;
#[cfg(feature = "cluster")]
mod config;
mod dev;
#[cfg(feature = "cluster")]
mod pool;
mod probe;
mod process;
#[cfg(feature = "cluster")]
mod role;
#[cfg(feature = "cluster")]
mod rooms;
#[cfg(feature = "cluster")]
mod routes;
mod token;

use std::io::IsTerminal;

use anyhow::Context;
#[cfg(feature = "cluster")]
use barrage_cluster::settings::{Flags, Role, describe};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Live comments for rooms of any size.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  barrage dev                                  a room named demo on http://127.0.0.1:8080/
  barrage dev -f room.yaml                     your rooms
  barrage token --room demo --user 123456      a token for any client
  barrage config > barrage.toml                settings of a cluster's roles, documented
  barrage gateway --config barrage.toml        one of a cluster's gateways"
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
    /// Run a gateway of a cluster: it holds viewers' connections
    #[command(
        mut_args(describe(Role::Gateway)),
        after_help = "Examples:
  barrage gateway --config barrage.toml
  BARRAGE_KAFKA_BROKERS=kafka-0:9092,kafka-1:9092 barrage gateway --config barrage.toml --name gateway-0
  barrage config --check --config barrage.toml gateway"
    )]
    Gateway(Box<Flags>),
    /// Run a consumer of a cluster: it brings what was sent to the store and to the rankers
    #[command(
        mut_args(describe(Role::Consumer)),
        after_help = "Examples:
  barrage consumer --config barrage.toml --name consumer-0
  barrage config --check --config barrage.toml consumer"
    )]
    Consumer(Box<Flags>),
    /// Run a ranker of a cluster: it decides what viewers are shown
    #[command(
        mut_args(describe(Role::Ranker)),
        after_help = "Examples:
  barrage ranker --config barrage.toml --name ranker-0 --link-listen 10.0.0.7:7800
  barrage config --check --config barrage.toml ranker"
    )]
    Ranker(Box<Flags>),
    /// Make certificates for the links between a pool's processes
    Certificates(certificates::Certificates),
    /// Make a pool of a cluster
    Pool(pool::Pool),
    /// Show, plan and write who owns what in a pool
    Routes(OfPool<routes::Routes>),
    /// The rooms that a pool serves
    Rooms(OfPool<rooms::Rooms>),
    /// Print all settings of a cluster's roles, or check them
    Config(config::Config),
    /// Ask a process whether it is ready
    Probe(probe::Probe),
}

/// A command on a pool.
#[derive(Debug, Args)]
struct OfPool<C: Args> {
    #[command(flatten)]
    connection: pool::Connection,
    #[command(flatten)]
    command: C,
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
            Command::Gateway(flags) => role::run(Role::Gateway, *flags),
            Command::Consumer(flags) => role::run(Role::Consumer, *flags),
            Command::Ranker(flags) => role::run(Role::Ranker, *flags),
            Command::Certificates(certificates) => certificates.run(),
            Command::Pool(pool) => pool.run(),
            Command::Routes(routes) => routes
                .connection
                .run(async move |cluster| routes.command.run(cluster.kafka.client(), &cluster.pool).await),
            Command::Rooms(rooms) => rooms
                .connection
                .run(async move |cluster| rooms.command.run(cluster.kafka.client(), &cluster.pool).await),
            Command::Config(config) => config.run(),
            Command::Probe(probe) => probe.run(),
        }
    }
}
