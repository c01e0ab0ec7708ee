//! `barrage-cluster`: brokers and a Redis Cluster to work against by hand, until Ctrl-C. Says as environment variables
//! how to reach them, each on a line of its own.

use anyhow::Result;
use barrage_e2e::cluster::{Cluster, ClusterOptions, KafkaOptions, RedisOptions};
use clap::Parser;
use tokio::signal;

/// Starts three brokers and six Redis nodes, and as many processes of each role as asked for.
#[derive(Parser)]
struct Args {
    /// Gateways.
    #[arg(long, default_value_t = 0)]
    gateways: usize,
    /// Consumers.
    #[arg(long, default_value_t = 0)]
    consumers: usize,
    /// Rankers.
    #[arg(long, default_value_t = 0)]
    rankers: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { gateways, consumers, rankers } = Args::parse();
    // Without roles there are only the servers, for pools of one's own.
    let partitions = if gateways + consumers + rankers > 0 { ClusterOptions::default().partitions } else { 0 };
    let options = ClusterOptions {
        partitions,
        kafka: KafkaOptions { wired: false, ..KafkaOptions::default() },
        redis: RedisOptions { wired: false, ..RedisOptions::default() },
        wired_links: false,
        gateways,
        consumers,
        rankers,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(options).await?;
    for (name, value) in cluster.settings() {
        println!("{name}={value}");
    }
    let brokers: Vec<_> = cluster.kafka.direct().iter().map(ToString::to_string).collect();
    println!("BARRAGE_KAFKA_BROKERS={}", brokers.join(","));
    println!("up, with logs in {}; Ctrl-C ends it", cluster.run().folder().display());
    signal::ctrl_c().await?;
    Ok(())
}
