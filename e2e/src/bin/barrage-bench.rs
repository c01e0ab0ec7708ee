//! `barrage-bench`: the project's benchmarks.

use std::process::ExitCode;

use barrage_e2e::bench::{self, args::Cli};
use clap::Parser;

fn main() -> ExitCode {
    match bench::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("barrage-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
