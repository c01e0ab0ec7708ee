//! The benchmarks: each figure beside a baseline from the same run, and the target that it has to meet.

pub mod args;
mod bare;
mod bytes;
mod codec;
mod deliver;
mod fanout;
mod idle;
mod latency;
mod naive;
mod pool;
mod rig;
mod sample;
mod table;
mod verdict;
mod words;

use std::{io, time::Instant};

use thiserror::Error;

use crate::{cluster::ClusterError, files::TooManyFiles, load::LoadError, process::ProcessError, server::ServerError};
use args::{Bench, Cli, Command};
use sample::Sample;
use table::Table;

#[derive(Debug, Error)]
pub enum BenchError {
    /// No server, or it ended.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A baseline's process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Brokers, Redis or the roles.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("{doing}: {problem}")]
    Refused { doing: &'static str, problem: String },
    /// Open files.
    #[error(transparent)]
    Files(#[from] TooManyFiles),
    /// Sockets, files, compression.
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// A figure that would mean nothing.
    #[error("{0}")]
    Meaningless(String),
    /// What was counted is not what was sent, however fast it was.
    #[error("{0} scores, logged danmaku and books are wrong")]
    Wrong(u64),
}

impl BenchError {
    /// Says what was refused.
    fn refused<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Refused { doing, problem: error.to_string() }
    }

    /// Says what was being done.
    fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// Runs what the command line asks for; prints its table.
///
/// # Errors
/// [`BenchError`]: a benchmark that gives no figure, or one in which something is wrong. A target that is missed is none.
pub fn run(cli: &Cli) -> Result<(), BenchError> {
    match cli.command {
        Some(Command::ServeBare(stream)) => bare::serve(stream),
        Some(Command::ServeNaive(stream)) => naive::serve(stream),
        None => run_benches(cli),
    }
}

fn run_benches(cli: &Cli) -> Result<(), BenchError> {
    let sample = sample::load()?;
    let mut table = Table::new(cli.short, &sample.source);
    let outcome: Result<(), BenchError> = cli.benches().into_iter().try_for_each(|bench| {
        eprintln!("{bench}: measuring …");
        let began = Instant::now();
        run_bench(bench, cli, &sample, &mut table)?;
        eprintln!("  {bench} took {} s", began.elapsed().as_secs());
        Ok(())
    });
    // Also what was measured before one that failed.
    print!("{table}");
    outcome
}

fn run_bench(bench: Bench, cli: &Cli, sample: &Sample, table: &mut Table) -> Result<(), BenchError> {
    let short = cli.short;
    match bench {
        Bench::Codec => codec::run(sample, table),
        Bench::Bytes => bytes::run(sample, table)?,
        Bench::Words => words::run(sample, table),
        Bench::Fanout => fanout::run(short, table)?,
        Bench::Idle => idle::run(short, table)?,
        Bench::Deliver => deliver::run(short, table)?,
        Bench::Latency => latency::run(short, table)?,
        Bench::Verdict => verdict::run(short, table)?,
        Bench::PoolLatency => pool::latency(short, cli.pool, table)?,
        Bench::PoolThroughput => pool::throughput(short, cli.pool, sample, table)?,
    }
    Ok(())
}

/// Median; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }
}
