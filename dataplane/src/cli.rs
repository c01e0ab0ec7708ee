//! The command line.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use barrage::{
    clock::unix_ms,
    dev, gateway,
    token::{AUDIENCE, Claims, Keys, Role, RoomClaim, mint},
};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Descriptors that are not viewers': the log, the store, listeners, plain HTTP requests.
const DESCRIPTORS_RESERVED: u64 = 1_000;
/// The stages beside the gateway's shards get one thread for so many cores.
const STAGES_PER_CORES: usize = 2;

/// Live comments for rooms of any size.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  barrage dev                                  a room named demo on http://127.0.0.1:8080/
  barrage dev -f room.yaml                     your rooms
  barrage token --room demo --user 123456      a token for any client"
)]
pub(crate) struct Cli {
    /// Log lines shown: error, warn, info, debug, trace, or per module as in RUST_LOG
    #[arg(long, global = true, env = "BARRAGE_LOG", default_value = "warn,barrage=info")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, with all state in one directory
    Dev(Dev),
    /// Print a token, and nothing else
    Token(Token),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage dev
  barrage dev -f room.yaml --listen 0.0.0.0:8080 --data /var/lib/barrage")]
struct Dev {
    /// LiveRoom manifests, one or more documents [default: a room named demo]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Directory of all state, kept between runs
    #[arg(long, value_name = "DIR", env = "BARRAGE_DATA", default_value = "./barrage-data")]
    data: PathBuf,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", env = "BARRAGE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// Another site whose pages may connect, like https://example.org; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Connections in all [default: what the limit of open files allows]
    #[arg(long, value_name = "N")]
    connections_max: Option<usize>,
    /// Connections from one address; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    connections_per_address_max: usize,
    /// Seconds without a sign of life until a connection is dropped
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u16).range(2..=3600))]
    idle_timeout: u16,
    /// Seconds without taking anything until a slow viewer is closed
    #[arg(long, value_name = "S", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=3600))]
    slow_timeout: u16,
    /// Seconds for a request to be whole
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    handshake_timeout: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage token --room demo --user 123456
  barrage token --room demo --user 1 --role host --ttl 3600
  TOKEN=$(barrage token --room '*' --user 7 --role service)")]
struct Token {
    /// Room that it opens; * is all, commas make a list
    #[arg(long)]
    room: String,
    /// User ID, above 0
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    user: u64,
    /// What the user is in the room
    #[arg(long, value_enum, default_value_t)]
    role: Role,
    /// How long it lasts: seconds, or with a unit as in 30m, 24h, 7d
    #[arg(long, default_value = "24h", value_parser = seconds)]
    ttl: u64,
    /// Only to watch
    #[arg(long)]
    no_send: bool,
    /// Where barrage dev keeps its state, the key included
    #[arg(long, value_name = "DIR", env = "BARRAGE_DATA", default_value = "./barrage-data")]
    data: PathBuf,
}

impl Cli {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log_level).context("--log-level")?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        match self.command {
            Command::Dev(dev) => dev.run(),
            Command::Token(token) => token.run(),
        }
    }
}

impl Dev {
    fn run(self) -> anyhow::Result<()> {
        // Where the limit cannot be raised, what there is serves fewer viewers.
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(DESCRIPTORS_RESERVED);
        let viewers = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED))?.max(100);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let config = gateway::Config {
            allowed_origins: self.allow_origin,
            connections_max: self.connections_max.unwrap_or(viewers),
            connections_per_address_max: self.connections_per_address_max,
            idle_timeout: Duration::from_secs(self.idle_timeout.into()),
            slow_timeout: Duration::from_secs(self.slow_timeout.into()),
            handshake_timeout: Duration::from_secs(self.handshake_timeout.into()),
            dev_tokens: true,
            ..gateway::Config::default()
        };
        let options = dev::Options {
            manifest: self.file,
            data: self.data,
            listen: self.listen,
            shards: self.shards.map_or(cores, usize::from),
            gateway: config,
        };
        // The shards have threads of their own; more workers than work wake each other for nothing.
        let workers = cores.div_ceil(STAGES_PER_CORES);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
        let runtime = runtime.context("cannot start the runtime")?;
        runtime.block_on(async {
            let shutdown = CancellationToken::new();
            tokio::spawn(cancel_on_signal(shutdown.clone()));
            dev::run(options, shutdown).await
        })
    }
}

impl Token {
    fn run(self) -> anyhow::Result<()> {
        let rooms: Vec<String> = self.room.split(',').map(ToOwned::to_owned).collect();
        let room = match <[String; 1]>::try_from(rooms) {
            Ok([room]) => RoomClaim::One(room),
            Err(rooms) => RoomClaim::List(rooms),
        };
        let claims = Claims {
            sub: self.user.to_string(),
            room,
            role: self.role,
            send: !self.no_send,
            exp: u64::try_from(unix_ms() / 1_000)?.saturating_add(self.ttl),
            aud: AUDIENCE.to_owned(),
        };
        println!("{}", mint(&Keys::load(&self.data)?, &claims)?);
        Ok(())
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let unit_s = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("allowed: a number of seconds, or with a unit s, m, h, d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "allowed: a whole number with a unit s, m, h, d".to_owned())?;
    number.checked_mul(unit_s).filter(|&s| s > 0).ok_or_else(|| "allowed: more than 0".to_owned())
}

async fn cancel_on_signal(shutdown: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return tracing::error!("cannot listen for signals; stop with SIGKILL");
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: viewers are told to come back, what they sent is kept");
    shutdown.cancel();
}
