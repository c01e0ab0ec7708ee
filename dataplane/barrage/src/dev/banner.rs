//! What dev mode prints when it is up: where it is, and tokens to begin with.

use std::io::Write;

use crate::gateway::Listeners;
use barrage_core::{
    clock::unix_ms,
    room::Rooms,
    token::{AUDIENCE, Claims, KeyError, Keys, Role, RoomClaim, mint},
};

use super::Options;

/// Rooms that are listed; a file of a thousand should not scroll the address away.
const ROOMS_LISTED: usize = 3;
/// How long the printed tokens last, s.
const TOKEN_S: u64 = 24 * 60 * 60;

pub(super) fn print(options: &Options, listeners: &Listeners, rooms: &Rooms, keys: &Keys) -> Result<(), KeyError> {
    let address = listeners.address();
    let mut text = format!("listening on http://{address}/\n");
    if let Some(tls) = listeners.tls_address() {
        text += &format!("and over TLS and QUIC on https://{tls}/\n");
    }
    let all = rooms.all();
    for room in all.iter().take(ROOMS_LISTED) {
        let id = room.id.as_str();
        text += &format!("\nroom {id}: open it twice, each window is another viewer\n  http://{address}/?room={id}\n");
        for (role, name, user) in [(Role::Viewer, "viewer", 1001), (Role::Host, "host", 1)] {
            let token = mint(keys, &claims(user, id, role))?;
            text += &format!("token of a {name} (user {user}, 24 h)\n  {token}\n");
        }
    }
    if all.len() > ROOMS_LISTED {
        text += &format!("and {} rooms more\n", all.len() - ROOMS_LISTED);
    }
    let data = options.data.display();
    text += &format!("\nall state is in {data}; more tokens: barrage token --room ROOM --user 123456 --data {data}\n");
    // Nobody reads: the server serves all the same.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

fn claims(user: u64, room: &str, role: Role) -> Claims {
    Claims {
        sub: user.to_string(),
        room: RoomClaim::One(room.to_owned()),
        role,
        send: true,
        exp: u64::try_from(unix_ms() / 1_000).unwrap_or_default() + TOKEN_S,
        aud: AUDIENCE.to_owned(),
    }
}
