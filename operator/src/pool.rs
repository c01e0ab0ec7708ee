//! The controller of `RoomPool`: from what the spec says to pods, Services, certificates, topics, and a status that tells
//! how it goes.

mod build;
mod certificates;
mod dereference;
pub(crate) mod names;
mod orphans;
mod pods;
mod secrets;
mod status;
mod validate;

use std::{sync::Arc, time::Duration};

use barrage_crds::RoomPool;
use futures_util::future::try_join_all;
use kube::{Resource, runtime::controller::Action};

use crate::{
    apply::{self, Child},
    context::{Context, Guarded, Looked, key_of},
    options::PoolKey,
    problem::{Problem, Reason},
    session::{Session, Stage, plan::is_draining},
    unreadable,
};
use names::Role;
use status::Outcome;
use validate::Blueprint;

/// Nothing changes, but a certificate may come to its end and a Secret may have been mended.
const RESYNC: Duration = Duration::from_secs(300);
/// Something is on its way, or wrong with what cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Looks at a pool and does what is to be done.
///
/// # Errors
/// The API server did not do what it was asked.
pub async fn reconcile(pool: Arc<Guarded<RoomPool>>, ctx: Arc<Context>) -> Looked {
    let pool = match &pool.0 {
        Ok(pool) => pool,
        Err(invalid) => return unreadable::tell::<RoomPool>(&ctx, invalid).await,
    };
    let uid = pool.metadata.uid.clone().unwrap_or_default();
    if pool.metadata.deletion_timestamp.is_some() {
        // Its pods go with it; what is in Kafka and Redis stays.
        ctx.sessions.end(&uid);
        return Ok((Action::await_change(), Reason::Deleting));
    }
    let found = dereference::dereference(&ctx, pool).await?;
    let mut outcome = Outcome::default();
    match validate::validate(pool, &found, &ctx.options) {
        Ok(blueprint) => {
            outcome.image = Some(blueprint.image.clone());
            let session = ctx.sessions.ensure(&uid, blueprint.target.clone(), blueprint.expected.clone());
            if !pool.spec.paused {
                if let Err(problem) = build_all(&ctx, &blueprint, &session, &mut outcome).await {
                    // What was refused for good is for the pool's author to read.
                    if problem.reason == Reason::ApiError {
                        return Err(problem);
                    }
                    outcome.problems.push(problem);
                }
                outcome.problems.extend(close_orphans(&ctx, &key_of(pool), &session).await.err());
            }
            pods::look(&ctx, &blueprint, &mut outcome).await?;
            outcome.problems.extend(found.warnings);
            outcome.problems.extend(validate::made_otherwise(&pool.spec, &session.news().table));
            outcome.session = Some(session);
        }
        Err(problem) => {
            outcome.problems.push(problem);
            outcome.session = ctx.sessions.find(&uid);
            pods::count(&ctx, pool, &mut outcome).await?;
        }
    }
    let (calm, reason) = status::write(&ctx, pool, &outcome).await?;
    Ok((Action::requeue(if calm { RESYNC } else { LOOK_AGAIN }), reason))
}

/// What pods need first, then the pods.
async fn build_all(
    ctx: &Context,
    blueprint: &Blueprint,
    session: &Session,
    outcome: &mut Outcome,
) -> Result<(), Problem> {
    secrets::token_keys(ctx, blueprint).await?;
    outcome.certificate_not_after = Some(certificates::keep(ctx, blueprint).await?);
    for child in build::around(blueprint) {
        apply::apply(ctx, &child).await?;
    }
    apply::apply(ctx, &build::gateway::deployment(blueprint)).await?;
    for (role, pods) in [(Role::Consumer, &blueprint.expected.consumers), (Role::Ranker, &blueprint.expected.rankers)] {
        let replicas = match pods.count {
            Some(wanted) => Some(replicas(ctx, blueprint, role, wanted, session).await?),
            None => None,
        };
        let child: Child = build::worker::stateful_set(blueprint, role, replicas);
        apply::apply(ctx, &child).await?;
        outcome.draining |= replicas != pods.count;
    }
    match build::ingress::ingress(blueprint) {
        Some(wanted) => apply::apply(ctx, &wanted).await.map(drop),
        None => apply::remove(ctx, &build::ingress::unwanted(blueprint)).await,
    }
}

/// Viewers of rooms that are no more are told so.
async fn close_orphans(ctx: &Context, pool: &PoolKey, session: &Session) -> Result<(), Problem> {
    let news = session.news();
    // Whoever has taken over decides which rooms there are.
    if news.stage != Stage::Open || news.table.manual {
        return Ok(());
    }
    // All at once: the session writes those that wait as one change.
    let closing = orphans::of(ctx, pool, &news).into_iter().map(|id| {
        tracing::warn!(%pool, room = %id, "the route table has a room that no LiveRoom is: it is taken out");
        session.serve(id, None)
    });
    try_join_all(closing).await.map(drop)
}

/// Pods that shall go keep running until nothing is theirs any more.
async fn replicas(
    ctx: &Context,
    blueprint: &Blueprint,
    role: Role,
    wanted: u32,
    session: &Session,
) -> Result<u32, Problem> {
    let Some(current) = pods::replicas(ctx, blueprint, role).await?.filter(|current| *current > wanted) else {
        return Ok(wanted);
    };
    let pods = if role == Role::Consumer { &blueprint.expected.consumers } else { &blueprint.expected.rankers };
    let news = session.news();
    let known = news.stage == Stage::Open;
    let draining = !known || is_draining(&news.table, &session.heard(), pods, ctx.instant());
    Ok(if draining { current } else { wanted })
}

pub fn failed(pool: &Guarded<RoomPool>, problem: &Problem) -> Action {
    let name = pool.meta().name.as_deref().unwrap_or_default();
    tracing::warn!(pool = name, %problem, "a pool is not as it should be; trying again");
    let later = matches!(problem.reason, Reason::Forbidden | Reason::Conflict);
    Action::requeue(if later { 6 * LOOK_AGAIN } else { LOOK_AGAIN })
}
