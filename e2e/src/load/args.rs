//! The command line of `barrage-load`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use super::{Chat, Endpoint, Load, LoadError, Pace, Replay};
use crate::{
    http::Api,
    replay,
    swarm::{Format, Script},
    token::TokenKey,
};

const EXAMPLES: &str = "\
Examples:
  barrage-load watch --viewers 5000 --duration 30s
  barrage-load chat --rate 200 --users 500 --viewers 100 --duration 1m
  barrage-load replay recording.xml --speed 10
  barrage-load replay ../shared/data/danmaku-bilibili.jsonl --rate 50 --json

Tokens are minted from DATA/keys.json, which `barrage dev` writes. Every connection takes an open file: a process may
have as many as `ulimit -Hn` says. Exit status: 0, or 1 when a promise was broken or a recording has lines that cannot be
read, or 2 when the run did not come off.";

/// Viewers and senders for a Barrage room, in their thousands.
#[derive(Debug, Parser)]
#[command(name = "barrage-load", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Viewers who only watch
    #[command(after_help = EXAMPLES)]
    Watch(Watch),
    /// Users who make up danmaku, and viewers who see them
    #[command(after_help = EXAMPLES)]
    Chat(ChatArgs),
    /// A recording played again, and viewers who see it
    #[command(after_help = EXAMPLES)]
    Replay(ReplayArgs),
}

/// What all commands take.
#[derive(Debug, Args)]
pub struct Common {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:8080")]
    pub url: String,
    /// The room
    #[arg(long, default_value = "demo")]
    pub room: String,
    /// The server's data folder, for the key that tokens are signed with
    #[arg(long, default_value = "./barrage-data")]
    pub data: PathBuf,
    /// How long: 90, 90s, 5m, 1h [default: until Ctrl-C, or the recording's end]
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Wire format of the viewers (senders always speak v2)
    #[arg(long, value_enum, default_value = "v2")]
    pub format: Format,
    /// Threads; one does for most loads
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Do not read history, ranking and ledger to check what was kept
    #[arg(long)]
    pub no_check: bool,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Viewers
    #[arg(long, default_value_t = 100)]
    pub viewers: u32,
    /// Connections started per second [default: as fast as the server answers]
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
}

/// `chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Danmaku per second, of all users together
    #[arg(long, default_value = "10", value_parser = positive)]
    pub rate: f64,
    /// Users who talk
    #[arg(long, default_value_t = 100)]
    pub users: u32,
    /// Zipf exponent of their activity; 0: all talk alike
    #[arg(long, default_value_t = 1.0)]
    pub exponent: f64,
    /// Seed of texts and activity
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Users connected at one time; the others take turns
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Viewers who only watch, beside the users who talk
    #[arg(long, default_value_t = 1)]
    pub viewers: u32,
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Bilibili danmaku XML, or JSON lines with t_ms, user and text
    pub file: PathBuf,
    /// Multiple of the recording's own speed [default: 1]
    #[arg(long, value_parser = positive, conflicts_with = "rate")]
    pub speed: Option<f64>,
    /// Danmaku per second, instead of the recording's own times
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Play it over and over
    #[arg(long)]
    pub repeat: bool,
    /// Users connected at one time; the others take turns
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Viewers who only watch, beside the users who talk
    #[arg(long, default_value_t = 1)]
    pub viewers: u32,
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
}

impl Command {
    /// What all commands take.
    #[must_use]
    pub const fn common(&self) -> &Common {
        match self {
            Self::Watch(args) => &args.common,
            Self::Chat(args) => &args.common,
            Self::Replay(args) => &args.common,
        }
    }

    /// The run that the command line asks for, and what is wrong with its recording; empty where nothing is.
    ///
    /// # Errors
    /// A bad URL, a missing key, a recording that cannot be read, numbers that make no chat.
    pub fn load(&self) -> anyhow::Result<(Load, String)> {
        let common = self.common();
        let endpoint = Endpoint::parse(&common.url)?;
        let (script, complaint) = self.script()?;
        let (viewers, senders_max, dial_rate) = match self {
            Self::Watch(args) => (args.viewers, 0, args.rate),
            Self::Chat(args) => (args.viewers, args.connections.min(args.users as usize), None),
            Self::Replay(args) => (args.viewers, args.connections, None),
        };
        let load = Load {
            target: endpoint.target(&common.room)?,
            key: Some(TokenKey::load(&common.data).map_err(LoadError::from)?),
            format: common.format,
            viewers,
            dial_rate,
            script,
            senders_max,
            duration: common.duration,
            threads: common.threads,
            api: (!common.no_check).then(|| Api::new(&endpoint.http_url())),
        };
        Ok((load, complaint))
    }

    /// What is said, and what is wrong with it.
    fn script(&self) -> anyhow::Result<(Option<Script>, String)> {
        match self {
            Self::Watch(_) => Ok((None, String::new())),
            Self::Chat(ChatArgs { rate, users, exponent, seed, .. }) => {
                let chat = Chat::new(*rate, *users, *exponent, *seed);
                let chat =
                    chat.ok_or_else(|| anyhow::anyhow!("--users must be above 0, and --exponent not below 0"))?;
                Ok((Some(Box::new(chat)), String::new()))
            }
            Self::Replay(args) => {
                let pace = args.rate.map_or(Pace::Speed(args.speed.unwrap_or(1.0)), Pace::Rate);
                let recording = replay::read(&args.file)?;
                let complaint = recording.complaint();
                Ok((Some(Box::new(Replay::new(recording.danmaku, pace, args.repeat))), complaint))
            }
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be above 0".to_owned()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "ms" => 0.001,
        unit => return Err(format!("{unit:?} is no unit of time; ms, s, m and h are")),
    };
    let number = positive(digits)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        let seconds = |text| duration(text).unwrap().as_secs_f64();
        assert_eq!(["90", "90s", "1.5m", "1h", "250ms"].map(seconds), [90.0, 90.0, 90.0, 3600.0, 0.25]);
        for bad in ["", "s", "0", "-1s", "5d", "1e300h", "inf"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_command_takes_url_room_rate_and_duration() {
        let shared =
            ["--url", "ws://h:1", "--room", "r", "--rate", "5", "--duration", "1s", "--viewers", "3", "--json"];
        for command in [&["watch"][..], &["chat", "--users", "9"], &["replay", "file.xml"]] {
            let words = ["barrage-load"].iter().chain(command).chain(&shared);
            let cli = Cli::try_parse_from(words).unwrap();
            assert_eq!(cli.command.common().room, "r");
        }
    }

    #[test]
    fn a_missing_key_is_told_with_the_option_for_it() {
        let words = ["barrage-load", "watch", "--data", "/nowhere", "--url", "ws://127.0.0.1:1"];
        let error = Cli::parse_from(words).command.load().err().unwrap().to_string();
        assert!(error.contains("/nowhere/keys.json") && error.contains("--data"), "{error}");
    }
}
