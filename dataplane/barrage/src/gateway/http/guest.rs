//! `POST /dev/token`: in dev mode anybody is whoever they say.

use axum::{Json, extract::State, routing::post};
use http::StatusCode;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    description::{Described, Operation},
    request::{Api, Body},
};
use crate::gateway::problem::Problem;
use barrage_core::{
    clock::unix_ms,
    token::{self, AUDIENCE, Claims, Role, RoomClaim},
};

/// How long a guest's token lasts, s.
const GUEST_S: u64 = 24 * 60 * 60;

/// Who somebody wants to be.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GuestRequest {
    /// The room.
    room: String,
    /// What to be there.
    #[serde(default)]
    role: Role,
    /// A user ID above 0; drawn by lot when absent.
    user_id: Option<String>,
}

/// A token, and whose it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Guest {
    token: String,
    user_id: String,
    role: Role,
    expires_ms: u64,
}

pub(super) fn describe(described: Described) -> Described {
    described.route("/dev/token", |schemas| {
        Operation::new::<Guest>(schemas, "post", post(guest), "A token for anybody, in dev mode")
            .body::<GuestRequest>(schemas)
    })
}

/// Mints a token for anybody. Only in dev mode.
pub(super) async fn guest(State(gateway): Api, Body(request): Body<GuestRequest>) -> Result<Json<Guest>, Problem> {
    let room = gateway.room(&request.room).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such room"))?;
    let user = match &request.user_id {
        Some(user) => super::moderation::user(user)?,
        None => rand::rng().random_range(100_000..1_000_000_000_u64),
    };
    let exp = u64::try_from(unix_ms() / 1_000).unwrap_or_default() + GUEST_S;
    let claims = Claims {
        sub: user.to_string(),
        room: RoomClaim::One(room.id().to_string()),
        role: request.role,
        send: true,
        exp,
        aud: AUDIENCE.to_owned(),
    };
    let token = token::mint(&gateway.keys.current(), &claims)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
    Ok(Json(Guest { token, user_id: claims.sub, role: claims.role, expires_ms: exp * 1_000 }))
}
