//! Rooms that a route table has, and Kubernetes has no more: a pool was removed before its rooms and made again, a
//! finalizer was taken away by hand, or the default pool is another one now. Viewers would come into them for ever.

use std::collections::HashSet;

use barrage_core::room::RoomId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::{context::Context, options::PoolKey, room, session::News};

/// Of a manifest, whose it is.
#[derive(Deserialize)]
struct Stored {
    metadata: ObjectMeta,
}

/// Entries of a pool's route table that no room has, though one had.
///
/// An entry without UID was written by hand, one of another namespace may be a room that this operator does not see, and
/// one with the ID of a room of this pool is about to be written anew: those stay. `news` has to be older than what `ctx`
/// knows of rooms: an entry that is written later belongs to a room that is known already.
#[must_use]
pub(super) fn of(ctx: &Context, pool: &PoolKey, news: &News) -> Vec<RoomId> {
    if news.manifests.is_empty() {
        return Vec::new();
    }
    let rooms: Vec<_> = ctx.rooms.iter().flat_map(|store| store.state()).collect();
    let (mut ids, mut unreadable) = (HashSet::new(), HashSet::new());
    for room in &rooms {
        match &room.0 {
            Ok(room) if room::pool_of(ctx, room) == *pool => _ = ids.insert(room.room_id()),
            Ok(_) => {}
            Err(invalid) => unreadable.extend(invalid.metadata.uid.as_deref()),
        }
    }
    let is_orphan = |(id, stored): &(&String, &String)| {
        let Ok(Stored { metadata }) = serde_json::from_str(stored) else { return false };
        let seen = metadata.namespace.as_ref().is_some_and(|namespace| ctx.options.sees(namespace));
        metadata.uid.is_some_and(|uid| !unreadable.contains(&*uid)) && seen && !ids.contains(id.as_str())
    };
    news.manifests.iter().filter(is_orphan).map(|(id, _)| RoomId::from(id.as_str())).collect()
}
