//! The benchmarks: each figure beside a baseline from the same run, and the target that it has to meet.

pub mod args;
mod bare;
mod bytes;
mod codec;
mod deliver;
mod error;
mod fanout;
mod idle;
mod latency;
mod median;
mod naive;
mod pool;
mod rig;
mod sample;
mod table;
mod verdict;
mod words;

use std::time::Instant;

use args::{Bench, Cli, Command};
use sample::Sample;
use table::Table;

pub use error::BenchError;

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
