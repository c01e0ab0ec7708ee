//! `barrage token`: a token on standard output.

use std::path::PathBuf;

use barrage_core::{
    clock::unix_ms,
    token::{AUDIENCE, Claims, Keys, Role, RoomClaim, mint},
};
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  barrage token --room demo --user 123456
  barrage token --room demo --user 1 --role host --ttl 3600
  TOKEN=$(barrage token --room '*' --user 7 --role service)")]
pub(super) struct Token {
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
    /// Make a key in --data first if there is none; gateways of a pool verify with DIR/keys.json
    #[arg(long)]
    make_key: bool,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<()> {
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
        let keys = if self.make_key { Keys::load_or_make(&self.data)? } else { Keys::load(&self.data)? };
        println!("{}", mint(&keys, &claims)?);
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
