//! `GET /v1/rooms/{room}/ranking`: pages of who said and gave how much.

use axum::{Json, extract::State, routing::get};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    description::{Described, Operation},
    request::{Api, Parameters, Readable, check_limit, hundred},
};
use crate::gateway::problem::Problem;

/// Which part of the ranking.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Page {
    /// Users before the page.
    #[serde(default)]
    offset: u32,
    /// Users of the page.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    limit: usize,
}

/// A user's place.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ranked {
    rank: u64,
    user_id: String,
    score: String,
}

/// Part of a ranking.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ranking {
    /// Best first: by score, then the lower user ID.
    ranking: Vec<Ranked>,
    /// Users that are ranked.
    total: usize,
}

pub(super) fn describe(described: Described) -> Described {
    described.route("/v1/rooms/{room}/ranking", |schemas| {
        Operation::new::<Ranking>(schemas, "get", get(ranking), "A page of the ranking, at most a second old")
            .query::<Page>(schemas)
    })
}

/// A page of the ranking.
pub(super) async fn ranking(
    State(gateway): Api,
    Readable(room): Readable,
    Parameters(page): Parameters<Page>,
) -> Result<Json<Ranking>, Problem> {
    check_limit(page.limit)?;
    let best = gateway.rankings.best(&gateway.store, room.id(), room.room().ranking_top).await?;
    let ranked = (1..).zip(&*best).skip(page.offset as usize).take(page.limit).map(|(rank, scored)| Ranked {
        rank,
        user_id: scored.user.to_string(),
        score: scored.score.to_string(),
    });
    Ok(Json(Ranking { ranking: ranked.collect(), total: best.len() }))
}
