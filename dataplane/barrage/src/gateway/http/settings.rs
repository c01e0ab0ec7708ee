//! `/v1/rooms/{room}/settings`: what moderators change while the room is live.

use axum::{
    Json,
    extract::State,
    routing::{get, patch},
};
use barrage_proto::log;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    description::{Described, Operation},
    moderation::Done,
    request::{Api, Body, Moderator},
};
use crate::gateway::{problem::Problem, state::RoomState};
use barrage_core::moderation::{SLOW_MODE_S_MAX, WORD_BYTES_MAX, WORDS_MAX};

/// Words in one request: they are one record of the log.
const WORDS_AT_ONCE: usize = 5_000;

/// Settings that viewers know.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    /// Seconds that a viewer waits between two danmaku.
    slow_mode_seconds: u32,
    /// Only moderators and hosts may send.
    moderators_only: bool,
}

impl Live {
    pub(super) fn of(room: &RoomState) -> Self {
        let settings = room.moderation.settings(&room.room());
        Self { slow_mode_seconds: settings.slow_mode_s, moderators_only: settings.moderators_only }
    }
}

/// Settings that moderators know.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settings {
    #[serde(flatten)]
    live: Live,
    /// Words that moderators block, besides those of the room's owner.
    blocked_words: Vec<String>,
}

/// What to change; what is absent stays.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    #[schemars(range(max = 3_600))]
    slow_mode_seconds: Option<u32>,
    moderators_only: Option<bool>,
    /// Words to block, of 1 to 64 bytes.
    #[serde(default)]
    #[schemars(length(max = 5_000), inner(length(min = 1, max = 64)))]
    block_words: Vec<String>,
    /// Words to block no more.
    #[serde(default)]
    #[schemars(length(max = 5_000), inner(length(min = 1, max = 64)))]
    allow_words: Vec<String>,
}

pub(super) fn describe(described: Described) -> Described {
    let path = "/v1/rooms/{room}/settings";
    described
        .route(path, |schemas| {
            Operation::new::<Settings>(schemas, "get", get(settings), "The room's settings").of_moderators()
        })
        .route(path, |schemas| {
            let summary = "Changes settings; answered when they hold at every gateway";
            Operation::new::<Done>(schemas, "patch", patch(change), summary).of_moderators().body::<Change>(schemas)
        })
}

/// The room's settings.
pub(super) async fn settings(State(gateway): Api, Moderator(room, _): Moderator) -> Json<Settings> {
    room.moderation.know(&gateway.store, room.id()).await;
    let blocked_words = room.moderation.rules().blocked_words().map(str::to_owned).collect();
    Json(Settings { live: Live::of(&room), blocked_words })
}

/// Changes settings, for everybody at once.
pub(super) async fn change(
    State(gateway): Api,
    Moderator(room, moderator): Moderator,
    Body(change): Body<Change>,
) -> Result<Json<Done>, Problem> {
    let Change { slow_mode_seconds: slow_mode_s, moderators_only, block_words, allow_words } = change;
    let bad = |why: &str| Err(Problem::new(StatusCode::BAD_REQUEST, why));
    if slow_mode_s.is_some_and(|seconds| seconds > SLOW_MODE_S_MAX) {
        return bad("slowModeSeconds: allowed are 0 to 3600");
    }
    if block_words.len() > WORDS_AT_ONCE || allow_words.len() > WORDS_AT_ONCE {
        return bad("at most 5000 words in one request");
    }
    if block_words.iter().chain(&allow_words).any(|word| !(1..=WORD_BYTES_MAX).contains(&word.len())) {
        return bad("a word has 1 to 64 bytes");
    }
    room.moderation.know(&gateway.store, room.id()).await;
    if room.moderation.rules().blocked_words().count() + block_words.len() > WORDS_MAX {
        return bad("a room blocks at most 50000 words");
    }
    let settings = log::Settings { slow_mode_s, moderators_only, block_words, allow_words };
    super::moderation::act(&gateway, &room, &moderator, log::act::Kind::Settings(settings), 0, String::new()).await
}
