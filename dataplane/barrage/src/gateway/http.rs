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
mod page;
mod ranking;
mod request;
mod rooms;
mod settings;

use std::sync::{Arc, PoisonError};

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};

use crate::gateway::{problem::Problem, state::GatewayState};
use barrage_core::admin::SharedRegistry;
use description::Described;

pub(crate) use request::{Peer, RequestLimit};

/// All routes but WebSocket upgrades.
pub(crate) fn router(gateway: Arc<GatewayState>, registry: SharedRegistry) -> Router {
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
    if gateway.config.dev_tokens {
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
        .with_state(gateway)
        .route("/metrics", metrics)
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

#[cfg(test)]
mod tests;
