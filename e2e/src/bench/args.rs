//! The command line of `barrage-bench`.

use std::fmt;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Barrage's benchmarks, each beside its baseline from the same run. Targets are judged in a build with --release, of the
/// server too; another build moves a quarter of the load.
#[derive(Debug, Parser)]
#[command(name = "barrage-bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Which [default: all]
    #[arg(value_enum)]
    benches: Vec<Bench>,
    /// Fewer viewers, fewer seconds
    #[arg(long)]
    pub short: bool,
    /// What pool-latency and pool-throughput run on.
    #[command(flatten)]
    pub pool: Pool,
    /// A baseline's server, started by the benchmarks themselves.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// One benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// Encoding and decoding time against JSON
    Codec,
    /// Bytes per danmaku against JSON, with and without compression
    Bytes,
    /// What the word filter costs a danmaku, against the checks without it
    Words,
    /// Frames per server CPU second against a bare loop
    Fanout,
    /// Resident memory per idle connection
    Idle,
    /// Danmaku delivered per server CPU second
    Deliver,
    /// P99 from send to receipt at half of the highest rate that holds
    Latency,
    /// P99 of a room beside one whose outside moderator is slow, against one whose moderator is well
    Verdict,
    /// P50 and P99 from send to receipt through a pool of processes, by stage, against its brokers alone
    PoolLatency,
    /// Highest rate of one room of a pool with everything exact, against its producer and its script alone
    PoolThroughput,
}

/// A pool to measure.
#[derive(Debug, Clone, Copy, Args)]
pub struct Pool {
    /// Pools: partitions of the log
    #[arg(long, default_value_t = 3)]
    pub partitions: u32,
    /// Pools: partitions that each room is spread over [default: that of a new pool]
    #[arg(long)]
    pub spread: Option<u32>,
    /// Pools: rooms that the load is spread over [default: one on each partition for latency, one for throughput]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: Option<u32>,
    /// Pools: danmaku a second, all rooms together, for latency
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
}

/// Servers to compare with.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Command {
    /// One thread, epoll, a prepared frame, one write a viewer and round
    #[command(hide = true)]
    ServeBare(Stream),
    /// tokio-tungstenite as in its examples: a task a connection
    #[command(hide = true)]
    ServeNaive(Stream),
}

/// What a baseline's server sends.
#[derive(Debug, Clone, Copy, Args)]
pub struct Stream {
    /// Rounds per second; one danmaku to every viewer in each; 0: none
    #[arg(long)]
    pub rate: u32,
    /// Bytes of a message's payload
    #[arg(long)]
    pub bytes: usize,
}

impl Cli {
    /// What was asked for, or all.
    #[must_use]
    pub fn benches(&self) -> Vec<Bench> {
        if self.benches.is_empty() { Bench::value_variants().to_vec() } else { self.benches.clone() }
    }
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned());
        f.write_str(&name.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_names_stand_for_benches() {
        Cli::command().debug_assert();
        let some = Cli::parse_from(["barrage-bench", "--short", "codec", "idle"]);
        assert_eq!((some.benches(), some.short), (vec![Bench::Codec, Bench::Idle], true));
        assert_eq!(Cli::parse_from(["barrage-bench"]).benches().len(), 10);
        let warm = Cli::parse_from(["barrage-bench", "pool-latency", "--spread", "4", "--rooms", "1000"]).pool;
        assert_eq!((warm.partitions, warm.spread, warm.rooms, warm.rate), (3, Some(4), Some(1_000), 5_000));
        let serve = Cli::parse_from(["barrage-bench", "serve-bare", "--rate", "10", "--bytes", "100"]);
        assert!(matches!(serve.command, Some(Command::ServeBare(Stream { rate: 10, bytes: 100 }))));
    }
}
