//! `GET /v1/rooms/{room}/history`: pages of what was said, by cursor and by time.

use axum::{Json, extract::State, routing::get};
use barrage_proto::Cursor;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    danmaku::Item,
    description::{Described, Operation},
    request::{Api, Parameters, Readable, check_limit, hundred},
};
use crate::gateway::problem::Problem;
use barrage_core::{log::OFFSET_LIMIT, store::Direction};

/// Which page.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Danmaku of the page.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    limit: usize,
    /// Before a cursor, backwards.
    before: Option<String>,
    /// After a cursor, forwards; empty for the oldest that is kept.
    after: Option<String>,
    /// Received at this time, Unix ms, or later, forwards.
    from_ms: Option<i64>,
    /// Received before this time, Unix ms; what is later is left out and ends the page.
    to_ms: Option<i64>,
}

/// Part of the history.
#[derive(Serialize, JsonSchema)]
pub(super) struct Answer {
    /// The oldest first.
    danmaku: Vec<Item>,
    /// Where the page before goes on; null when nothing older is kept.
    before: Option<String>,
    /// Where the page after goes on.
    after: String,
}

pub(super) fn describe(described: Described) -> Described {
    described.route("/v1/rooms/{room}/history", |schemas| {
        Operation::new::<Answer>(schemas, "get", get(history), "A page of what was said").query::<Page>(schemas)
    })
}

/// A page of what was said, without what moderation took away.
pub(super) async fn history(
    State(gateway): Api,
    Readable(room): Readable,
    Parameters(page): Parameters<Page>,
) -> Result<Json<Answer>, Problem> {
    check_limit(page.limit)?;
    let (direction, from) = match (&page.before, &page.after, page.from_ms) {
        (None, Some(cursor), None) => (Direction::After, parse(cursor)?),
        (Some(cursor), None, None) => (Direction::Before, parse(cursor)?),
        (None, None, Some(from_ms)) => (Direction::After, gateway.store.cursor_at(room.id(), from_ms).await?),
        (None, None, None) => (Direction::Before, Cursor::default()),
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "one of before, after and fromMs, not several")),
    };
    let found = gateway.store.history(room.id(), direction, from, page.limit).await?;
    let is_first = direction == Direction::Before && !found.more;
    // Where a time begins is known by records only, which hold a few ms.
    let times = page.from_ms.unwrap_or(i64::MIN)..page.to_ms.unwrap_or(i64::MAX);
    let in_time = |received_ms: i64| times.contains(&received_ms);
    Ok(Json(Answer {
        danmaku: found.items.iter().filter(|item| in_time(item.received_ms)).map(Item::from).collect(),
        before: (!is_first).then(|| format(&found.before)),
        after: format(&found.after),
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
