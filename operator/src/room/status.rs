//! What a room's status says: whether viewers are served, how many there are, how much they say, and what is in the way.

use barrage_core::room::RoomId;
use barrage_crds::{Endpoints, LiveRoom, LiveRoomStatus, Placement, condition};
use serde_json::json;

use super::validate::Placed;
use crate::{
    apply,
    conditions::{Finding, merged},
    context::Context,
    events,
    problem::{Problem, Reason},
    session::{
        News, Stage,
        heat::{RoomHeat, partitions_of},
    },
    status_figures::{rounded, tier},
};

const FIGURES: [&str; 5] = ["heat", "viewers", "messagesPerSecond", "lag", "latencyMsP99"];
/// Records: what a consumer applies in some seconds.
const BACKLOG: u64 = 10_000;

pub(super) struct Outcome {
    pub(super) problem: Option<Problem>,
    pub(super) placed: Option<Placed>,
}

/// Writes the status of a room; tells how the room is.
///
/// # Errors
/// The API server refuses.
pub(super) async fn write(ctx: &Context, room: &LiveRoom, outcome: &Outcome) -> Result<Reason, Problem> {
    let old = room.status.clone().unwrap_or_default();
    let placed = outcome.placed.as_ref();
    let session = placed.and_then(|placed| placed.session.as_ref());
    let news = session.map(|session| session.news()).unwrap_or_default();
    let id = RoomId::from(room.room_id());
    let heat = session.filter(|_| news.stage == Stage::Open);
    let heat = heat.and_then(|session| session.heard().room(&id, &news.table, ctx.instant()));
    let findings = findings(room, outcome, &news, heat, &old);
    let mut new = LiveRoomStatus {
        observed_generation: room.metadata.generation,
        conditions: merged(&old.conditions, &findings, room.metadata.generation, ctx.now()),
        room_id: Some(room.room_id().to_owned()),
        pool: placed.map(|placed| placed.pool.to_string()).or_else(|| old.pool.clone()),
        endpoints: placed.and_then(endpoints).or_else(|| old.endpoints.clone()),
        ..old.clone()
    };
    if news.stage == Stage::Open {
        let partitions = partitions_of(&id, &news.table);
        new.partitions = Some(partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        new.ranker = news.table.ranker_of(&id).map(ToString::to_string);
    }
    // Figures that are not known stay what they were; those of a new room begin at nothing.
    if let Some(heat) = heat.or((old.viewers.is_none() && news.stage == Stage::Open).then(RoomHeat::default)) {
        new.heat = Some(tier(heat.messages_per_second, heat.viewers));
        new.viewers = Some(rounded(heat.viewers));
        new.messages_per_second = Some(rounded(heat.messages_per_second));
        new.lag = Some(rounded(heat.lag));
        new.latency_ms_p99 = (heat.latency_ms_p99 > 0).then(|| rounded(heat.latency_ms_p99));
    }
    events::publish(ctx, room, &old.conditions, &new.conditions).await;
    apply::status::<LiveRoom>(ctx, &room.metadata, &json!(room.status), &json!(new), &FIGURES).await?;
    Ok(outcome.problem.as_ref().map_or(findings[0].reason, |problem| problem.reason))
}

fn endpoints(placed: &Placed) -> Option<Endpoints> {
    let (http, id) = (placed.address.as_ref()?, &placed.id);
    // http to ws, https to wss.
    let socket = http.strip_prefix("http").map(|rest| format!("ws{rest}"))?;
    Some(Endpoints {
        web_socket: format!("{socket}/v1/rooms/{id}/ws"),
        web_transport: placed.web_transport_address.as_ref().map(|https| format!("{https}/v1/rooms/{id}/wt")),
        http: format!("{http}/v1/rooms/{id}"),
    })
}

fn findings(
    room: &LiveRoom,
    outcome: &Outcome,
    news: &News,
    heat: Option<RoomHeat>,
    old: &LiveRoomStatus,
) -> [Finding; 4] {
    let ready = ready(room, outcome, news, old);
    let degraded = match &outcome.problem {
        Some(problem) => Finding::of("Degraded", true, problem),
        None if room.spec.placement == Placement::Shared || ready.holds => {
            Finding::new("Degraded", false, Reason::Serving, "nothing is known to be wrong")
        }
        None => Finding::new("Degraded", false, Reason::Starting, "the room's own pool is being made"),
    };
    let progressing = match (&outcome.problem, room.spec.paused) {
        (_, true) => {
            let what = "spec.paused is true: nothing is changed, what runs goes on";
            Finding::new("Progressing", false, Reason::Paused, what)
        }
        (None, false) if ready.holds => {
            Finding::new("Progressing", false, Reason::Serving, "the room is as the spec says")
        }
        (None, false) => Finding::new("Progressing", true, Reason::Starting, "the pool is getting ready"),
        (Some(problem), false) => {
            Finding::of("Progressing", [Reason::PoolNotReady, Reason::Starting].contains(&problem.reason), problem)
        }
    };
    [ready, progressing, degraded, backlogged(heat)]
}

/// What was served goes on being served while nobody can be told of a change.
fn ready(room: &LiveRoom, outcome: &Outcome, news: &News, old: &LiveRoomStatus) -> Finding {
    let was = condition::find(&old.conditions, "Ready")
        .is_some_and(|ready| ready.status == "True" && ready.observed_generation == room.metadata.generation);
    let serving = |what: &str| Finding::new("Ready", true, Reason::Serving, what);
    match &outcome.problem {
        Some(problem) if problem.reason == Reason::PoolNotReady && was => {
            serving("viewers are served as before; nobody can be told of changes now")
        }
        Some(problem) => Finding::of("Ready", false, problem),
        None if room.spec.paused && news.stage != Stage::Open => match was {
            true => serving("viewers are served as before"),
            false => Finding::new("Ready", false, Reason::Paused, "spec.paused is true, so the room was not begun"),
        },
        None if room.spec.paused && !news.manifests.contains_key(room.room_id()) => Finding::new(
            "Ready",
            false,
            Reason::Paused,
            "spec.paused is true, so the room was not begun: set it to false",
        ),
        None if outcome.placed.as_ref().is_none_or(|placed| placed.gateways == 0) => Finding::new(
            "Ready",
            false,
            Reason::PoolNotReady,
            "no gateway of the pool is ready yet: look at the RoomPool's conditions",
        ),
        None if news.table.rankers.is_empty() => Finding::new(
            "Ready",
            false,
            Reason::PoolNotReady,
            "no ranker of the pool is there yet: look at the RoomPool's conditions",
        ),
        None if news.table.partitions.iter().any(|owner| owner.consumer.is_none()) => Finding::new(
            "Ready",
            false,
            Reason::PoolNotReady,
            "no consumer of the pool is there yet: look at the RoomPool's conditions",
        ),
        None => serving("viewers are served"),
    }
}

fn backlogged(heat: Option<RoomHeat>) -> Finding {
    match heat {
        Some(heat) if heat.lag >= BACKLOG => {
            let what = format!(
                "about {} records wait for the room's consumers: look at their CPU, or give the pool more of them",
                rounded(heat.lag)
            );
            Finding::new("Backlogged", true, Reason::Starting, what)
        }
        _ => Finding::new("Backlogged", false, Reason::Serving, "what viewers send is applied as it comes"),
    }
}
