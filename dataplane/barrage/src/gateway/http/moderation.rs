//! `/v1/rooms/{room}/moderation/…`: what moderators do, and what was done.
//!
//! An answer of 200 says that the act holds everywhere: no gateway shows, and no page of the history has, what it forbids.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    routing::{delete, post, put},
};
use barrage_proto::{
    Position,
    log::{self, act::Kind, sanction},
    v2::pb,
};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    description::{Described, Operation},
    request::{Api, Body, Moderator},
};
use crate::gateway::{
    problem::Problem,
    publish::moderation_log,
    state::{GatewayState, RoomState},
};
use barrage_core::{
    clock::unix_ms,
    link::Danmaku,
    moderation::{REASON_BYTES_MAX, shard_of_act},
    room::shard_of,
    token::{ANONYMOUS, Identity},
};

/// The longest sanction that ends, s: a year.
const SECONDS_MAX: u32 = 365 * 24 * 60 * 60;
/// Bytes of a pinned text.
const PIN_BYTES_MAX: usize = 1_024;

/// An act holds everywhere.
#[derive(Serialize, JsonSchema)]
pub(super) struct Done {
    /// Where it stands in the log.
    id: String,
}

pub(super) fn describe(described: Described) -> Described {
    type Schemas = SchemaGenerator;
    let done = |schemas: &mut Schemas, method, handler, summary: &str| {
        Operation::new::<Done>(schemas, method, handler, summary).of_moderators()
    };
    let mutes = "/v1/rooms/{room}/moderation/mutes";
    let bans = "/v1/rooms/{room}/moderation/bans";
    let pins = "/v1/rooms/{room}/moderation/pin";
    described
        .route(mutes, |s| done(s, "post", post(mute), "Takes a user's word").body::<SanctionRequest>(s))
        .route(&format!("{mutes}/{{user}}"), |s| done(s, "delete", delete(unmute), "Gives a user's word back"))
        .route(bans, |s| done(s, "post", post(ban), "Sends a user away").body::<SanctionRequest>(s))
        .route(&format!("{bans}/{{user}}"), |s| done(s, "delete", delete(unban), "Lets a user in again"))
        .route("/v1/rooms/{room}/moderation/removals", |s| {
            done(s, "post", post(remove), "Takes a danmaku, or all of a user, away").body::<RemovalRequest>(s)
        })
        .route(pins, |s| done(s, "put", put(pin), "Pins a message above all others").body::<PinRequest>(s))
        .route(pins, |s| done(s, "delete", delete(unpin), "Takes the pin away"))
}

/// Whom to mute or ban.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SanctionRequest {
    #[schemars(regex(pattern = "^[1-9][0-9]{0,18}$"))]
    user_id: String,
    /// For how long; for ever when absent.
    #[schemars(range(min = 1, max = 31_536_000))]
    seconds: Option<u32>,
    /// What the user is told.
    #[serde(default)]
    #[schemars(length(max = 256))]
    reason: String,
}

/// Takes a user's word: what the user sends from now on is refused, or kept and seen by nobody.
pub(super) async fn mute(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Body(request): Body<SanctionRequest>,
) -> Result<Json<Done>, Problem> {
    sanction(&gateway, &room, &moderator, request, sanction::Kind::Muted).await
}

/// Sends a user away: neither watching nor sending.
pub(super) async fn ban(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Body(request): Body<SanctionRequest>,
) -> Result<Json<Done>, Problem> {
    sanction(&gateway, &room, &moderator, request, sanction::Kind::Banned).await
}

/// Gives a user's word back.
pub(super) async fn unmute(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Path((_, user)): Path<(String, String)>,
) -> Result<Json<Done>, Problem> {
    lift(&gateway, &room, &moderator, user).await
}

/// Lets a user in again.
pub(super) async fn unban(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Path((_, user)): Path<(String, String)>,
) -> Result<Json<Done>, Problem> {
    lift(&gateway, &room, &moderator, user).await
}

async fn lift(
    gateway: &GatewayState,
    room: &Arc<RoomState>,
    moderator: &Identity,
    user_id: String,
) -> Result<Json<Done>, Problem> {
    let request = SanctionRequest { user_id, seconds: None, reason: String::new() };
    sanction(gateway, room, moderator, request, sanction::Kind::None).await
}

async fn sanction(
    gateway: &GatewayState,
    room: &Arc<RoomState>,
    moderator: &Identity,
    request: SanctionRequest,
    kind: sanction::Kind,
) -> Result<Json<Done>, Problem> {
    let user = user(&request.user_id)?;
    if request.seconds.is_some_and(|seconds| !(1..=SECONDS_MAX).contains(&seconds)) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "seconds: allowed are 1 to 31536000, a year"));
    }
    let until_ms = request.seconds.map_or(0, |seconds| unix_ms() + i64::from(seconds) * 1_000);
    let kind = Kind::Sanction(log::Sanction { user, kind: kind.into(), until_ms });
    act(gateway, room, moderator, kind, user, request.reason).await
}

/// What to take away.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RemovalRequest {
    /// Whose.
    #[schemars(regex(pattern = "^[1-9][0-9]{0,18}$"))]
    user_id: String,
    /// The ID of one danmaku; all that the user said so far when absent.
    danmaku: Option<String>,
    /// For the record.
    #[serde(default)]
    #[schemars(length(max = 256))]
    reason: String,
}

/// Takes a danmaku, or all of a user, away: from screens, history, replay and export. Scores stay.
pub(super) async fn remove(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Body(request): Body<RemovalRequest>,
) -> Result<Json<Done>, Problem> {
    let user = user(&request.user_id)?;
    let kind = match &request.danmaku {
        None => Kind::RemoveUser(user),
        Some(id) => Kind::Remove(find(&gateway, &room, id, user).await?.position.into()),
    };
    act(&gateway, &room, &moderator, kind, user, request.reason).await
}

/// What to put above all: a text of the moderator's own, or a danmaku and whose it is.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PinRequest {
    content: Option<String>,
    danmaku: Option<String>,
    user_id: Option<String>,
}

/// Pins a message above all others, instead of what was pinned.
pub(super) async fn pin(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Body(request): Body<PinRequest>,
) -> Result<Json<Done>, Problem> {
    let pin = match (&request.content, &request.danmaku, &request.user_id) {
        (Some(content), None, None) => {
            if !(1..=PIN_BYTES_MAX).contains(&content.len()) || !barrage_core::words::is_readable(content) {
                return Err(Problem::new(StatusCode::BAD_REQUEST, "content: 1 to 1024 bytes of readable text"));
            }
            let role = i32::from(pb::Role::from(moderator.role)).cast_unsigned();
            log::Pin { content: content.clone(), user: moderator.user, role, danmaku: None }
        }
        (None, Some(id), Some(user_id)) => {
            let found = find(&gateway, &room, id, user(user_id)?).await?;
            let role = i32::from(found.role).cast_unsigned();
            let content = found.text().to_owned();
            log::Pin { content, user: found.user, role, danmaku: Some(found.position.into()) }
        }
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "either content, or danmaku and userId")),
    };
    act(&gateway, &room, &moderator, Kind::Pin(pin), 0, String::new()).await
}

/// Takes the pin away.
pub(super) async fn unpin(State(gateway): Api, Moderator(room, moderator): Moderator) -> Result<Json<Done>, Problem> {
    act(&gateway, &room, &moderator, Kind::Pin(log::Pin::default()), 0, String::new()).await
}

/// A danmaku by its ID and who said it, unless moderation hides it.
async fn find(gateway: &GatewayState, room: &RoomState, id: &str, user: u64) -> Result<Danmaku, Problem> {
    let id: Position = id.parse().map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "danmaku is no ID: 3-1042-0"))?;
    let found = match room.moderation.find(id) {
        Some(found) => Some(found),
        None => {
            let item = gateway.store.find(room.id(), shard_of(user), id).await?;
            item.map(|item| Danmaku::of(item.position, &item.entry, item.received_ms))
        }
    };
    let found = found.filter(|danmaku| danmaku.user == user);
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "this user has said nothing of that ID, as far as is kept"))
}

/// Does an act and answers when it holds everywhere.
pub(super) async fn act(
    gateway: &GatewayState,
    room: &Arc<RoomState>,
    moderator: &Identity,
    kind: Kind,
    target: u64,
    reason: String,
) -> Result<Json<Done>, Problem> {
    if reason.len() > REASON_BYTES_MAX || !barrage_core::words::is_readable(&reason) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "reason: at most 256 bytes of readable text"));
    }
    let shard = shard_of_act(&kind, target);
    let role = i32::from(pb::Role::from(moderator.role)).cast_unsigned();
    let act = log::Act { actor: moderator.user, role, reason, kind: Some(kind) };
    match moderation_log::act(gateway, room, shard, act).await {
        Ok(position) => Ok(Json(Done { id: position.to_string() })),
        Err(error) => {
            tracing::warn!(room = %room.id(), %error, "an act of moderation");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()))
        }
    }
}

/// A user ID as the API has it.
pub(super) fn user(text: &str) -> Result<u64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let user = text.parse().ok().filter(|&user: &u64| user != ANONYMOUS && digits);
    user.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "userId is a decimal number above 0, as text"))
}
