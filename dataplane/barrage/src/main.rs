//! The `barrage` command.

mod cli;

use clap::Parser;

/// Frees what a burst of handshakes needed, which the system's allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("barrage: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
