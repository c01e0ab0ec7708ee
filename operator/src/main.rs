//! The `barrage-operator` command.

use std::{io::IsTerminal, process::ExitCode};

use anyhow::Context as _;
use barrage_operator::options::{LogFormat, Options};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Looks after the RoomPools and LiveRooms of a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  barrage-operator run --image registry.example.org/barrage:0.1.0     in a pod
  barrage-operator crds | kubectl apply --server-side -f -            the two kinds"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after rooms and pools, once this operator leads
    Run(Box<Options>),
    /// Print the CustomResourceDefinitions
    Crds,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run(*options),
        Command::Crds => print_crds(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("barrage-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: Options) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&options.log_level).context("--log-level")?;
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match options.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
    // Somebody may have chosen one already, which is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let shutdown = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        told.cancel();
    });
    barrage_operator::run::run(options, shutdown).await
}

fn print_crds() -> anyhow::Result<()> {
    use std::io::Write;
    let crds = [
        include_str!("../../crds/yaml/liverooms.barrage.live.yaml"),
        include_str!("../../crds/yaml/roompools.barrage.live.yaml"),
    ];
    std::io::stdout().write_all(crds.concat().as_bytes()).context("cannot write to standard output")
}
