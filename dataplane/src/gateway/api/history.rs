//! `GET /v1/rooms/{room}/history`: pages of what was said.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use barrage_proto::{Cursor, v2::pb};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{Api, Problem, Readable, check_limit};
use crate::{
    log::embedded::OFFSET_LIMIT,
    store::{Direction, HistoryItem},
};

#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default = "hundred")]
    limit: usize,
    before: Option<String>,
    after: Option<String>,
}

const fn hundred() -> usize {
    100
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    user_id: String,
    role: &'static str,
    sent_ms: i64,
    received_ms: i64,
    content: String,
}

#[derive(Serialize)]
pub(super) struct Answer {
    danmaku: Vec<Item>,
    /// Absent when nothing older is kept.
    before: Option<String>,
    after: String,
}

pub(super) async fn history(
    State(served): Api,
    Readable(room): Readable,
    query: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Answer>, Problem> {
    let Query(page) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, &error.body_text()))?;
    check_limit(page.limit)?;
    let (direction, from) = match (&page.before, &page.after) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "either before or after, not both"));
        }
        (_, Some(cursor)) => (Direction::After, parse(cursor)?),
        (Some(cursor), None) => (Direction::Before, parse(cursor)?),
        (None, None) => (Direction::Before, Cursor::default()),
    };
    let page = served.store.history(room.id(), direction, from, page.limit).await?;
    let is_first = direction == Direction::Before && !page.more;
    Ok(Json(Answer {
        danmaku: page.items.iter().map(item).collect(),
        before: (!is_first).then(|| format(&page.before)),
        after: format(&page.after),
    }))
}

fn parse(cursor: &str) -> Result<Cursor, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes
        .and_then(|bytes| Cursor::decode(&bytes).ok())
        .filter(|cursor| cursor.iter().all(|(_, position)| position.offset < OFFSET_LIMIT))
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the cursor is none that this API gave out"))
}

fn format(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(cursor.encode())
}

fn item(item: &HistoryItem) -> Item {
    let entry = &item.entry;
    Item {
        id: item.position.to_string(),
        user_id: entry.user.to_string(),
        role: match pb::Role::try_from(entry.role.cast_signed()).unwrap_or_default() {
            pb::Role::Viewer => "viewer",
            pb::Role::Moderator => "moderator",
            pb::Role::Host => "host",
            pb::Role::Service => "service",
        },
        sent_ms: entry.sent_ms,
        received_ms: item.received_ms,
        content: String::from_utf8_lossy(&entry.content).into_owned(),
    }
}
