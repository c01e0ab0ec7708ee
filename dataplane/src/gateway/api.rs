//! The HTTP API: rooms, history, ranking, health and metrics.

mod health;
mod history;

use std::sync::{Arc, PoisonError};

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Query, State},
    http::request::Parts,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header::CONTENT_TYPE};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    page,
    problem::Problem,
    served::{Served, ServedRoom},
    upgrade::{authorize, bearer},
};
use crate::{
    admin::SharedRegistry,
    clock::unix_ms,
    store::StoreError,
    token::{self, AUDIENCE, Claims, Role, RoomClaim},
};

/// Rows of a page at the most.
const PAGE_MAX: usize = 1_000;
/// How long a guest's token lasts, s.
const GUEST_S: u64 = 24 * 60 * 60;

type Api = State<Arc<Served>>;

/// All routes but WebSocket upgrades.
pub(super) fn router(served: Arc<Served>, registry: SharedRegistry) -> Router {
    let metrics = get(move || {
        let registry = Arc::clone(&registry);
        async move { metrics(&registry) }
    });
    let mut router = Router::new()
        .route("/v1/rooms", get(rooms))
        .route("/v1/rooms/{room}", get(room))
        .route("/v1/rooms/{room}/history", get(history::history))
        .route("/v1/rooms/{room}/ranking", get(ranking))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz));
    if served.config.dev_tokens {
        router = router.route("/dev/token", post(guest));
    }
    router.fallback(page::serve).with_state(served).route("/metrics", metrics)
}

/// A room that the request may read.
pub(super) struct Readable(Arc<ServedRoom>);

impl FromRequestParts<Arc<Served>> for Readable {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, served: &Arc<Served>) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Parameters {
            token: Option<String>,
        }
        let not_found = || Problem::new(StatusCode::NOT_FOUND, "no such room");
        let Path(id) = Path::<String>::from_request_parts(parts, served).await.map_err(|_| not_found())?;
        let room = served.room(&id).ok_or_else(not_found)?;
        let query = Query::<Parameters>::try_from_uri(&parts.uri).ok();
        let in_query = query.as_ref().and_then(|query| query.token.as_deref());
        authorize(served, &room, bearer(&parts.headers).or(in_query))
            .map_err(|error| Problem::new(StatusCode::UNAUTHORIZED, &error.to_string()))?;
        Ok(Self(room))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a read of the store failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read now; try again")
    }
}

async fn rooms(State(served): Api) -> Json<Value> {
    let mut ids: Vec<_> = served.rooms().into_iter().map(|room| room.id().clone()).collect();
    ids.sort_unstable();
    Json(json!({ "rooms": ids.into_iter().map(|id| json!({ "room": id.as_str() })).collect::<Vec<_>>() }))
}

async fn room(State(served): Api, Readable(room): Readable) -> Result<Json<Value>, Problem> {
    let (books, logged) = served.store.books(room.id()).await?;
    let counts = books.counts;
    Ok(Json(json!({
        "room": room.id().as_str(),
        "viewers": room.viewers_in_all(),
        "messagesPerSecond": room.messages_per_second.load(std::sync::atomic::Ordering::Relaxed),
        "viewerBudget": room.room().budget_per_second,
        "anonymousViewing": room.room().anonymous_viewing,
        "books": {
            "logged": logged.to_string(),
            "shown": counts.shown.to_string(),
            "merged": counts.merged.to_string(),
            "sampledOut": counts.sampled_out.to_string(),
            "deleted": counts.deleted.to_string(),
            "expired": counts.expired.to_string(),
        },
    })))
}

#[derive(Deserialize)]
struct RankingPage {
    #[serde(default)]
    offset: u32,
    #[serde(default = "hundred")]
    limit: u32,
}

const fn hundred() -> u32 {
    100
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ranked {
    rank: u64,
    user_id: String,
    score: String,
}

async fn ranking(
    State(served): Api,
    Readable(room): Readable,
    query: Result<Query<RankingPage>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(page) = query.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, &error.body_text()))?;
    check_limit(page.limit as usize)?;
    let top = room.room().ranking_top;
    let limit = page.limit.min(top.saturating_sub(page.offset));
    let scores = served.store.ranking(room.id(), limit, page.offset).await?.scores;
    let total = served.store.ranked_users(room.id(), top).await?;
    let ranked = (u64::from(page.offset) + 1..).zip(scores).map(|(rank, scored)| Ranked {
        rank,
        user_id: scored.user.to_string(),
        score: scored.score.to_string(),
    });
    Ok(Json(json!({ "ranking": ranked.collect::<Vec<_>>(), "total": total })))
}

fn check_limit(limit: usize) -> Result<(), Problem> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, &format!("limit is {limit}; allowed: 1 to {PAGE_MAX}")))
}

#[derive(Deserialize)]
struct GuestRequest {
    room: String,
}

/// Dev mode: anybody is a viewer.
async fn guest(State(served): Api, Json(request): Json<GuestRequest>) -> Result<Json<Value>, Problem> {
    let room = served.room(&request.room).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "no such room"))?;
    let user = rand::rng().random_range(100_000..1_000_000_000_u64).to_string();
    let exp = u64::try_from(unix_ms() / 1_000).unwrap_or_default() + GUEST_S;
    let claims = Claims {
        sub: user.clone(),
        room: RoomClaim::One(room.id().to_string()),
        role: Role::Viewer,
        send: true,
        exp,
        aud: AUDIENCE.to_owned(),
    };
    let token = token::mint(&served.keys.current(), &claims)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
    Ok(Json(json!({ "token": token, "userId": user, "expiresMs": exp * 1_000 })))
}

fn metrics(registry: &SharedRegistry) -> Response {
    let registry = registry.read().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()).into_response(),
    }
}
