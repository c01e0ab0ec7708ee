//! What the commands that look after a pool share, and `barrage pool`, which makes one.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use barrage_cluster::{
    kafka,
    routes::{self as topic, Writer},
    settings::{self, Cluster},
    store::{Metrics, RedisStore},
};
use barrage_core::{
    host::Host,
    room::{Placement, SHARDS, SPREAD_DEFAULT},
    routes::{Owner, Table, change::Change},
};
use clap::{Args, Subcommand};
use prometheus_client::registry::Registry;

use super::routes::write;
use crate::cli::process::until_signal;

/// What stands as the writer of a change.
const WRITER: &str = "barrage pool";

/// How long brokers may take to hear of topics that were made.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// Before topics or the first table are looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where a pool is.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// TOML file with settings; variables are stronger. `barrage config` prints all of them
    #[arg(long, global = true, value_name = "FILE", env = "BARRAGE_CONFIG")]
    config: Option<PathBuf>,
}

impl Connection {
    /// Runs a command on a pool, until it is done or interrupted.
    pub(super) fn run<F>(self, command: impl FnOnce(Cluster) -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let cluster = settings::cluster(self.config, &Host::here())?;
        until_signal(1, |interrupt| {
            let done = command(cluster);
            async move { interrupt.run_until_cancelled_owned(done).await.unwrap_or_else(|| bail!("interrupted")) }
        })
    }
}

/// Pools: what rooms run on.
#[derive(Debug, Args)]
pub(crate) struct Pool {
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a pool: its topics, the marks in Redis by which a loss is noticed, and the first route table
    #[command(after_help = "Examples:
  barrage pool create --partitions 12
  barrage pool create --partitions 48 --spread 16     for few rooms with very many senders
  BARRAGE_KAFKA_TRIAL=true barrage pool create --partitions 3     on a single broker, to try things out")]
    Create(Create),
}

#[derive(Debug, Args)]
struct Create {
    /// Partitions of its log, for ever: at least as many as consumers that it will ever need
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS)), help = spread_help())]
    spread: Option<u32>,
}

fn spread_help() -> String {
    format!(
        "Partitions that the senders of each room are spread over, for ever, 1 to {SHARDS}: with more a room can be hotter, \
         brokers get more requests, and each danmaku takes longer [default: {SPREAD_DEFAULT}]"
    )
}

impl Pool {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::Create(create) = self.command;
        self.connection.run(|cluster| create.run(cluster))
    }
}

impl Create {
    async fn run(self, cluster: Cluster) -> anyhow::Result<()> {
        let (kafka, pool) = (cluster.kafka.clone(), cluster.pool.clone());
        let spread = self.spread.unwrap_or(SPREAD_DEFAULT);
        Placement::new(self.partitions, spread)?;
        println!("topics of {pool} with {} partitions …", self.partitions);
        kafka::create_topics(&kafka, self.partitions, kafka.durability()).await?;
        // Every broker hears of what was made, but some a moment later.
        let made = Instant::now();
        while let Err(errors) = kafka::check_topics(&kafka, Some(self.partitions), kafka.durability()).await {
            if made.elapsed() < KNOWN_WITHIN {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            bail!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        if let Some(table) = topic::read(kafka.client(), &pool).await? {
            bail!("the pool {pool} is there already, at epoch {} of its route table", table.epoch);
        }
        println!("marks in Redis …");
        let store = RedisStore::connect(cluster.redis_config()?, Metrics::register(&mut Registry::default())).await?;
        store.lay_markers().await?;
        let mut writer = Writer::open(kafka.client(), &pool, WRITER).await?;
        let partitions = vec![Owner::default(); usize::try_from(self.partitions)?];
        let first = Table { partitions, spread, ..Table::default() };
        let change = Change::between(writer.table(), &first);
        write(&mut writer, &change).await?;
        // A transaction ends a moment before readers see it: whoever runs the next command is to find the table.
        while topic::read(kafka.client(), &pool).await?.is_none() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        println!("the pool {pool} is made. Next: start its roles, then `barrage routes plan --apply`");
        Ok(())
    }
}
