//! `GET /readyz`: whether traffic should come here, and what is not as it should be.

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;

use super::request::Api;

/// Ready while it serves viewers: a log or a store that refuses is a degraded mode, named in the detail.
pub(super) async fn readyz(State(gateway): Api) -> impl IntoResponse {
    let report = gateway.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}
