//! The controller of `LiveRoom`: from what the spec says to the pool's route table, which every gateway, consumer and
//! ranker follows, and a status that tells how the room goes.

mod dedicated;
mod dereference;
mod status;
mod validate;

use std::{sync::Arc, time::Duration};

use barrage_core::room::RoomId;
use barrage_crds::{DeletionPolicy, LiveRoom, condition};
use kube::{Resource, ResourceExt, runtime::controller::Action};

use crate::{
    apply,
    context::{Context, Guarded, Looked},
    events,
    problem::{Problem, Reason},
    session::{Session, Stage},
    unreadable,
};
pub(crate) use dereference::pool_of;
use status::Outcome;
use validate::Placed;

/// What is outside of Kubernetes and has to be undone: the room's entry in a route table.
pub const FINALIZER: &str = "barrage.live/routes";

/// Nothing changes by itself; figures are looked at all the same.
const RESYNC: Duration = Duration::from_secs(300);
/// Something is on its way.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Looks at a room and does what is to be done.
///
/// # Errors
/// The API server did not do what it was asked.
pub async fn reconcile(room: Arc<Guarded<LiveRoom>>, ctx: Arc<Context>) -> Looked {
    let room = match &room.0 {
        Ok(room) => room,
        Err(invalid) => return unreadable::tell::<LiveRoom>(&ctx, invalid).await,
    };
    let found = dereference::dereference(&ctx, room);
    if room.metadata.deletion_timestamp.is_some() {
        return close(&ctx, room, &found).await;
    }
    let outcome = match validate::validate(room, found) {
        Ok(placed) => {
            if !room.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
                apply::finalizers(&ctx, room, &[FINALIZER]).await?;
            }
            // What was refused for good is for the room's author to read.
            let mut refused = None;
            if let Some(pool) = &placed.dedicated
                && !room.spec.paused
            {
                match apply::apply(&ctx, pool).await {
                    Err(problem) if problem.reason != Reason::ApiError => refused = Some(problem),
                    applied => _ = applied?,
                }
            }
            let served = if room.spec.paused { Ok(()) } else { serve(&placed).await };
            Outcome { problem: refused.or(served.err()), placed: Some(placed) }
        }
        Err(problem) => Outcome { problem: Some(problem), placed: None },
    };
    let known = room.status.as_ref().is_some_and(|status| status.observed_generation == room.metadata.generation);
    if known && outcome.problem.as_ref().is_some_and(|problem| problem.reason == Reason::Starting) {
        // An operator that has just begun knows less than the status says already.
        return Ok((Action::requeue(LOOK_AGAIN), Reason::Starting));
    }
    let reason = status::write(&ctx, room, &outcome).await?;
    Ok((Action::requeue(if reason == Reason::Serving { RESYNC } else { LOOK_AGAIN }), reason))
}

/// Has the route table hold the room as the spec has it.
async fn serve(placed: &Placed) -> Result<(), Problem> {
    let Some(session) = &placed.session else {
        return Err(Problem::new(Reason::Starting, format!("the pool {} is being made", placed.pool)));
    };
    let news = session.news();
    match &news.stage {
        Stage::Open if news.manifests.get(&placed.id) == Some(&placed.stored) => Ok(()),
        Stage::Open => session.serve(RoomId::from(placed.id.as_str()), Some(placed.manifest.clone())).await,
        Stage::Failing(problem) => {
            let what = format!("the pool {} cannot be told: {}", placed.pool, problem.message);
            Err(Problem::new(Reason::PoolNotReady, what))
        }
        Stage::Opening => Err(Problem::new(Reason::Starting, format!("the pool {} is being connected", placed.pool))),
    }
}

/// Viewers are told that the room is closed, and nobody comes in any more; then, if the room wants that, what was said is
/// removed from the store.
async fn close(ctx: &Context, room: &LiveRoom, found: &dereference::Found) -> Looked {
    if !room.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok((Action::await_change(), Reason::Deleting));
    }
    // A pool that is gone has nobody to tell.
    if found.serving.is_some() {
        let session = found.session.as_ref();
        let news = session.map(Session::news).unwrap_or_default();
        let open = session.filter(|_| news.stage == Stage::Open);
        let Some(session) = open else {
            let why = match news.stage {
                Stage::Failing(problem) => problem.message,
                // An operator that has just begun knows less than the status says already.
                _ if is_known_to_go(room) => return Ok((Action::requeue(LOOK_AGAIN), Reason::Deleting)),
                _ => "it is not connected yet".to_owned(),
            };
            let what = format!(
                "viewers cannot be told that the room is closed, because its pool cannot be reached: {why}. It is tried \
                 again; to give up, remove the finalizer {FINALIZER}"
            );
            return still_there(ctx, room, Problem::new(Reason::Deleting, what)).await;
        };
        let id = room.room_id();
        // Of two rooms with one ID, only the one that is served takes its entry along.
        if news.manifests.get(id).is_some_and(|stored| validate::is_of(stored, room))
            && let Err(problem) = session.serve(RoomId::from(id), None).await
        {
            return still_there(ctx, room, problem).await;
        }
        if room.spec.deletion_policy == DeletionPolicy::Delete
            && let Err(problem) = session.forget(&RoomId::from(id))
        {
            return still_there(ctx, room, problem).await;
        }
    } else if room.spec.deletion_policy == DeletionPolicy::Delete {
        let what = "its pool is gone, so what was said stays in that pool's Redis: delete rooms before their pool";
        events::warn(ctx, room, Reason::PoolMissing, what).await;
    }
    apply::finalizers(ctx, room, &[]).await?;
    Ok((Action::await_change(), Reason::Deleting))
}

fn is_known_to_go(room: &LiveRoom) -> bool {
    let conditions = room.status.as_ref().map_or(&[][..], |status| &status.conditions);
    condition::find(conditions, "Ready").is_some_and(|ready| ready.reason == Reason::Deleting.as_str())
}

/// It cannot go yet.
async fn still_there(ctx: &Context, room: &LiveRoom, problem: Problem) -> Looked {
    status::write(ctx, room, &Outcome { problem: Some(problem), placed: None }).await?;
    Ok((Action::requeue(LOOK_AGAIN), Reason::Deleting))
}

pub fn failed(room: &Guarded<LiveRoom>, problem: &Problem) -> Action {
    let name = room.meta().name.as_deref().unwrap_or_default();
    tracing::warn!(room = name, %problem, "a room is not as it should be; trying again");
    Action::requeue(LOOK_AGAIN)
}
