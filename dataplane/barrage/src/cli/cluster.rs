//! The commands of a cluster: its roles, and what looks after a pool.

mod certificates;
mod config;
mod pool;
mod role;
mod rooms;
mod routes;

use barrage_cluster::settings::{Flags, Role, describe};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
}

/// A command on a pool.
#[derive(Debug, Args)]
pub(crate) struct OfPool<C: Args> {
    #[command(flatten)]
    connection: pool::Connection,
    #[command(flatten)]
    command: C,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Gateway(flags) => role::run(Role::Gateway, *flags),
            Self::Consumer(flags) => role::run(Role::Consumer, *flags),
            Self::Ranker(flags) => role::run(Role::Ranker, *flags),
            Self::Certificates(certificates) => certificates.run(),
            Self::Pool(pool) => pool.run(),
            Self::Routes(routes) => routes
                .connection
                .run(async move |cluster| routes.command.run(cluster.kafka.client(), &cluster.pool).await),
            Self::Rooms(rooms) => rooms
                .connection
                .run(async move |cluster| rooms.command.run(cluster.kafka.client(), &cluster.pool).await),
            Self::Config(config) => config.run(),
        }
    }
}
