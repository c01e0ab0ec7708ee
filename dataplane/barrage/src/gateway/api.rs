//! The HTTP API: rooms, history, ranking, moderation, settings, health and metrics, described at `/v1/openapi.json`.

mod audit;
mod danmaku;
mod description;
mod export;
mod guest;
mod health;
mod heat;
mod history;
mod moderation;
mod ranking;
mod request;
mod rooms;
mod settings;

use std::sync::{Arc, PoisonError};

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};

use super::{
    page,
    problem::Problem,
    served::{Served, ServedRoom},
};
use barrage_core::{admin::SharedRegistry, store::StoreError};
use description::{Described, Operation};
use request::{Body, Moderator, Parameters, Readable};

pub(super) use request::{Peer, RequestLimit};

/// Rows of a page at the most.
const PAGE_MAX: usize = 1_000;

type Api = State<Arc<Served>>;

/// All routes but WebSocket upgrades.
pub(super) fn router(served: Arc<Served>, registry: SharedRegistry) -> Router {
    let metrics = get(move || {
        let registry = Arc::clone(&registry);
        async move { metrics(&registry) }
    });
    let mut described = Described::new();
    described = rooms::describe(described);
    described = history::describe(described);
    described = export::describe(described);
    described = ranking::describe(described);
    described = heat::describe(described);
    described = settings::describe(described);
    described = moderation::describe(described);
    described = audit::describe(described);
    if served.config.dev_tokens {
        described = guest::describe(described);
    }
    let limit = Arc::new(RequestLimit::default());
    described
        .finish()
        .layer(middleware::from_fn_with_state(limit, request::limit))
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; /v1/openapi.json lists them")
        })
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(health::readyz))
        .fallback(page::serve)
        .with_state(served)
        .route("/metrics", metrics)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a read of the store failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read now; try again")
    }
}

const fn hundred() -> usize {
    100
}

fn check_limit(limit: usize) -> Result<(), Problem> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, &format!("limit is {limit}; allowed: 1 to {PAGE_MAX}")))
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
