//! `GET /v1/rooms` and `GET /v1/rooms/{room}`: what rooms there are, and how one is.

use std::sync::atomic::Ordering;

use axum::{Json, extract::State, routing::get};
use barrage_proto::{Position, log};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    danmaku::role_name,
    description::{Described, Operation},
    request::{Api, Readable},
    settings::Live,
};
use crate::gateway::problem::Problem;
use barrage_core::store::Counts;

/// The rooms of this server.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rooms {
    rooms: Vec<Named>,
}

#[derive(Serialize, JsonSchema)]
struct Named {
    room: String,
}

pub(super) fn describe(described: Described) -> Described {
    described
        .route("/v1/rooms", |schemas| Operation::new::<Rooms>(schemas, "get", get(rooms), "All rooms"))
        .route("/v1/rooms/{room}", |schemas| Operation::new::<Room>(schemas, "get", get(room), "How a room is"))
}

/// All rooms.
pub(super) async fn rooms(State(gateway): Api) -> Json<Rooms> {
    let mut ids: Vec<_> = gateway.rooms().into_iter().map(|room| room.id().clone()).collect();
    ids.sort_unstable();
    Json(Rooms { rooms: ids.into_iter().map(|id| Named { room: id.to_string() }).collect() })
}

/// How a room is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Room {
    room: String,
    /// Connections that watch it.
    viewers: u32,
    /// Danmaku/s that are sent to it.
    messages_per_second: u32,
    /// How much goes on: danmaku a minute, a gift as ten, smoothed over half a minute.
    heat: u32,
    /// Likes since it exists.
    likes: String,
    /// Danmaku/s that a viewer is shown.
    viewer_budget: u32,
    /// Whether it can be watched without a token.
    anonymous_viewing: bool,
    settings: Live,
    /// What a moderator has put above all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
    ledger: Ledger,
}

/// What is pinned.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Pin {
    content: String,
    /// Who said or pinned it.
    user_id: String,
    /// `viewer`, `moderator`, `host` or `service`.
    role: &'static str,
    /// The danmaku's ID, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    danmaku: Option<String>,
}

impl From<&log::Pin> for Pin {
    fn from(pin: &log::Pin) -> Self {
        Self {
            content: pin.content.clone(),
            user_id: pin.user.to_string(),
            role: role_name(pin.role),
            danmaku: pin.danmaku.map(|place| Position::from(place).to_string()),
        }
    }
}

/// What became of all danmaku. `logged` is the sum of the others once the room has been quiet for a moment.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ledger {
    logged: String,
    shown: String,
    merged: String,
    sampled_out: String,
    /// Kept out of sight by moderation.
    deleted: String,
    expired: String,
}

impl Ledger {
    fn new(logged: u64, counts: Counts) -> Self {
        Self {
            logged: logged.to_string(),
            shown: counts.shown.to_string(),
            merged: counts.merged.to_string(),
            sampled_out: counts.sampled_out.to_string(),
            deleted: counts.deleted.to_string(),
            expired: counts.expired.to_string(),
        }
    }
}

/// One room.
pub(super) async fn room(State(gateway): Api, Readable(room): Readable) -> Result<Json<Room>, Problem> {
    let (ledger, logged) = gateway.store.ledger(room.id()).await?;
    room.moderation.know(&gateway.store, room.id()).await;
    let settings = room.room();
    Ok(Json(Room {
        room: room.id().to_string(),
        viewers: room.viewers_in_all(),
        messages_per_second: room.messages_per_second.load(Ordering::Relaxed),
        heat: room.heat_now.load(Ordering::Relaxed),
        likes: room.likes_in_all.load(Ordering::Relaxed).max(ledger.counts.likes).to_string(),
        viewer_budget: settings.budget_per_second,
        anonymous_viewing: settings.anonymous_viewing,
        settings: Live::of(&room),
        pin: room.moderation.rules().pin().map(Pin::from),
        ledger: Ledger::new(logged, ledger.counts),
    }))
}
