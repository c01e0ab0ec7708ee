//! `GET /readyz`: whether traffic should come here, and what is not as it should be.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Api;

/// Ready while it serves viewers: a log or a store that refuses is a degraded mode, named in the detail.
pub(super) async fn readyz(State(served): Api) -> Json<Value> {
    let log = served.log.trouble();
    let store = served.store.trouble();
    let status = if log.is_none() && store.is_none() { "ok" } else { "degraded" };
    Json(json!({
        "status": status,
        "log": log.unwrap_or_else(|| "ok".to_owned()),
        "store": store.unwrap_or_else(|| "ok".to_owned()),
        "connections": served.metrics.connections.get(),
    }))
}
