//! What a room refers to: its pool, and whoever has the same room ID there.

use std::sync::Arc;

use barrage_crds::{DEFAULT_POOL, LiveRoom, Placement, RoomPool};

use super::dedicated;
use crate::{
    context::{Context, Guarded, is_older, key_of},
    options::PoolKey,
    session::Session,
};

pub(crate) struct Found {
    /// The pool that the room refers to.
    pub(crate) reference: PoolKey,
    /// That pool, if there is one.
    pub(crate) referred: Option<Arc<Guarded<RoomPool>>>,
    /// The pool that serves the room: of a dedicated room, its own.
    pub(crate) serving: Option<Arc<Guarded<RoomPool>>>,
    /// The session with that pool.
    pub(crate) session: Option<Session>,
    /// An older room with the same ID in the same pool.
    pub(crate) rival: Option<PoolKey>,
}

/// Looks it all up; nobody is asked.
#[must_use]
pub(crate) fn dereference(ctx: &Context, room: &LiveRoom) -> Found {
    let reference = reference(ctx, room);
    let referred = ctx.pool(&reference);
    let serving = match room.spec.placement {
        Placement::Shared => referred.clone(),
        Placement::Dedicated => ctx.pool(&dedicated::key(room)).filter(|pool| is_owned(pool, room)),
    };
    let uid = serving.as_ref().and_then(|pool| kube::Resource::meta(&**pool).uid.clone());
    let session = uid.and_then(|uid| ctx.sessions.find(&uid));
    let rival = match room.spec.placement {
        Placement::Shared => rival(ctx, room, &reference),
        Placement::Dedicated => None,
    };
    Found { reference, referred, serving, session, rival }
}

fn reference(ctx: &Context, room: &LiveRoom) -> PoolKey {
    let own = || room.metadata.namespace.clone().unwrap_or_default();
    match (&room.spec.pool_ref, &ctx.options.default_pool) {
        (Some(named), _) => {
            PoolKey { namespace: named.namespace.clone().unwrap_or_else(own), name: named.name.clone() }
        }
        (None, Some(default)) => default.clone(),
        (None, None) => PoolKey { namespace: own(), name: DEFAULT_POOL.to_owned() },
    }
}

/// The pool that serves a room, if it is there.
#[must_use]
pub(crate) fn pool_of(ctx: &Context, room: &LiveRoom) -> PoolKey {
    match room.spec.placement {
        Placement::Shared => reference(ctx, room),
        Placement::Dedicated => dedicated::key(room),
    }
}

fn is_owned(pool: &Guarded<RoomPool>, room: &LiveRoom) -> bool {
    let owners = kube::Resource::meta(pool).owner_references.iter().flatten();
    owners.into_iter().any(|owner| Some(&owner.uid) == room.metadata.uid.as_ref())
}

/// Of two rooms with one ID the older one has it, until it is gone.
fn rival(ctx: &Context, room: &LiveRoom, pool: &PoolKey) -> Option<PoolKey> {
    let id = room.room_id();
    let is_rival = |other: &Guarded<LiveRoom>| match &other.0 {
        Ok(other) => {
            other.room_id() == id
                && other.metadata.uid != room.metadata.uid
                && other.spec.placement == Placement::Shared
                && is_older(other, room)
                && reference(ctx, other) == *pool
        }
        Err(_) => false,
    };
    let found = ctx.rooms.iter().find_map(|store| store.find(is_rival))?;
    Some(key_of(&*found))
}
