//! Benchmarks of a pool: real brokers, a real Redis Cluster and the roles as processes, beside what the same brokers and
//! the same Redis do alone in the same run.

mod alone;
mod brokers;
mod crowd;
mod disk;
mod exact;
mod inject;
mod latency;
mod scrape;
mod throughput;

use std::sync::Arc;

use barrage_cluster::{
    kafka::KafkaConfig,
    log::KafkaLog,
    store::{Metrics, RedisConfig, RedisStore},
};
use barrage_core::{
    log::Log,
    room::{Placement, SPREAD_DEFAULT},
    store::Store,
};
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};

use super::{args, error::BenchError, sample::Sample, table::Table};
use crate::cluster::{Cluster, ClusterOptions, KafkaOptions, RedisOptions};
use scrape::Figures;

/// How long danmaku take through a pool, by stage.
pub(super) fn latency(short: bool, asked: args::Pool, table: &mut Table) -> Result<(), BenchError> {
    latency::run(short, &Scale::new(asked)?, table)
}

pub(super) fn throughput(short: bool, asked: args::Pool, sample: &Sample, table: &mut Table) -> Result<(), BenchError> {
    throughput::run(short, &Scale::new(asked)?, sample, table)
}

/// Over what the load is spread.
struct Scale {
    partitions: u32,
    placement: Placement,
    /// Rooms, where the benchmark does not choose them.
    rooms: Option<u32>,
    /// Danmaku per second, all rooms together, for latency.
    rate: f64,
}

impl Scale {
    fn new(args::Pool { partitions, spread, rooms, rate }: args::Pool) -> Result<Self, BenchError> {
        let spread = spread.unwrap_or(SPREAD_DEFAULT);
        let placement = Placement::new(partitions, spread);
        let placement = placement.map_err(BenchError::refused("choosing partitions; see --partitions and --spread"))?;
        Ok(Self { partitions, placement, rooms, rate: rate.into() })
    }

    fn describe(&self, rooms: usize) -> String {
        format!("{rooms}, {}, {}", self.placement.spread(), self.partitions)
    }
}

/// A running pool and a way to wait for it.
struct Rig {
    cluster: Arc<Cluster>,
    runtime: Runtime,
}

impl Rig {
    /// Starts a pool of so many gateways, consumers and rankers, without anything between its parties. `optimised`: see
    /// [`KafkaOptions`].
    fn start(
        scale: &Scale,
        rooms: String,
        [gateways, consumers, rankers]: [usize; 3],
        optimised: bool,
    ) -> Result<Self, BenchError> {
        let runtime = Builder::new_multi_thread().enable_all().build().map_err(BenchError::io("starting threads"))?;
        let options = ClusterOptions {
            kafka: KafkaOptions { wired: false, optimised, ..KafkaOptions::default() },
            redis: RedisOptions { wired: false, ..RedisOptions::default() },
            partitions: scale.partitions,
            spread: Some(scale.placement.spread()),
            rooms,
            gateways,
            consumers,
            rankers,
            wired_links: false,
            ..ClusterOptions::default()
        };
        let cluster = Arc::new(runtime.block_on(Cluster::start(options))?);
        Ok(Self { cluster, runtime })
    }

    /// The brokers, as clients of a pool of this name see them.
    fn kafka(&self, pool: &str) -> Result<KafkaConfig, BenchError> {
        let nodes = self.cluster.kafka.direct().into_iter().map(|address| address.to_string().parse());
        let brokers = nodes.collect::<Result<_, ()>>();
        let brokers = brokers.map_err(|()| BenchError::Meaningless("a broker without an address".to_owned()))?;
        Ok(KafkaConfig { pool: pool.to_owned(), brokers, trial: false, tls: None, sasl: None })
    }

    /// The log of a pool, as a role has it, and what it counts.
    fn log(&self, pool: &str, partitions: u32) -> Result<(Log, Registry), BenchError> {
        let (_here, mut registry) = (self.runtime.enter(), Registry::default());
        let log = KafkaLog::open(&self.kafka(pool)?, partitions, &mut registry);
        Ok((Arc::new(log.map_err(BenchError::refused("opening the log"))?), registry))
    }

    /// The store of a pool, as a role has it.
    fn store(&self, pool: &str) -> Result<RedisStore, BenchError> {
        let nodes = self.cluster.redis.addresses().iter().map(ToString::to_string).collect();
        let config = RedisConfig { nodes, pool: pool.to_owned(), ..RedisConfig::default() };
        let connected = self.runtime.block_on(RedisStore::connect(config, Metrics::register(&mut Registry::default())));
        connected.map_err(BenchError::refused("connecting to Redis"))
    }

    /// The store as the stages have it.
    fn store_of_pool(&self) -> Result<Store, BenchError> {
        self.store(&ClusterOptions::default().pool).map(|store| Arc::new(store) as Store)
    }

    /// Metrics of all processes together.
    fn figures(&self) -> Result<Figures, BenchError> {
        let Cluster { gateways, consumers, rankers, .. } = &*self.cluster;
        Figures::read(gateways.iter().chain(consumers).chain(rankers))
    }
}

/// The manifest of a room that leaves nothing out and refuses nobody.
fn manifest(room: &str, budget: u32) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {room}}}\nspec:\n  \
         rateLimit: {{messagesPerSecond: 1000, burst: 1000}}\n  viewerBudget: {{danmakuPerSecond: {budget}}}\n"
    )
}
