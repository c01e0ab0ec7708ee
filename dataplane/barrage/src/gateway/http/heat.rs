//! `GET /v1/rooms/{room}/heat`: how much was said when, for who looks for the moments worth seeing again.

use axum::{Json, extract::State, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    description::{Described, Operation},
    request::{Api, Parameters, Readable},
};
use crate::gateway::problem::Problem;
use barrage_core::store::STEP_MS;

/// Which time.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Time {
    /// From the step that has this time on, Unix ms.
    from_ms: Option<i64>,
    /// Before this time, Unix ms.
    to_ms: Option<i64>,
}

/// How much was said when: of the last six hours in which something was said.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Heat {
    /// Length of a step, ms.
    step_ms: i64,
    /// Rising in time; steps in which nothing was said are left out.
    points: Vec<Point>,
}

/// One step.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Point {
    /// When it begins, Unix ms.
    at_ms: i64,
    /// Danmaku that were received in it, removed ones too.
    danmaku: u64,
}

pub(super) fn describe(described: Described) -> Described {
    described.route("/v1/rooms/{room}/heat", |schemas| {
        Operation::new::<Heat>(schemas, "get", get(heat), "How much was said when").query::<Time>(schemas)
    })
}

/// How much was said when.
pub(super) async fn heat(
    State(gateway): Api,
    Readable(room): Readable,
    Parameters(time): Parameters<Time>,
) -> Result<Json<Heat>, Problem> {
    let steps = gateway.store.heat(room.id()).await?;
    let first = time.from_ms.unwrap_or(i64::MIN).div_euclid(STEP_MS);
    let end_ms = time.to_ms.unwrap_or(i64::MAX);
    let points = steps
        .into_iter()
        .filter(|&(step, _)| step >= first)
        .map(|(step, danmaku)| Point { at_ms: step.saturating_mul(STEP_MS), danmaku });
    Ok(Json(Heat { step_ms: STEP_MS, points: points.filter(|point| point.at_ms < end_ms).collect() }))
}
