//! From a room and what it refers to, to what is written in a route table. Pure.

use barrage_crds::{LiveRoom, ManifestMetadata, Placement, RoomManifest, RoomPool, RoomsFrom};

use super::{dedicated, dereference::Found};
use crate::{
    apply::Child,
    options::PoolKey,
    problem::{Problem, Reason},
    session::Session,
};

/// A room in its pool.
pub(crate) struct Placed {
    /// The room's ID.
    pub(crate) id: String,
    /// The pool that serves it.
    pub(crate) pool: PoolKey,
    /// URL of that pool's gateways.
    pub(crate) address: Option<String>,
    /// The same by WebTransport.
    pub(crate) web_transport_address: Option<String>,
    /// Gateways that are ready.
    pub(crate) gateways: i32,
    pub(crate) manifest: RoomManifest,
    /// The same as it stands in the route table.
    pub(crate) stored: String,
    /// The pool of a dedicated room, as it should be.
    pub(crate) dedicated: Option<Child>,
    /// The session with the pool.
    pub(crate) session: Option<Session>,
}

/// Where the room goes.
///
/// # Errors
/// Why it goes nowhere now.
pub(crate) fn validate(room: &LiveRoom, found: Found) -> Result<Placed, Problem> {
    let refused = |reason, message: String| Err(Problem::new(reason, message));
    let key = &found.reference;
    let Some(referred) = &found.referred else {
        let what = format!(
            "there is no RoomPool {key}: create it, or name another one in spec.poolRef of a new LiveRoom \
             (`kubectl get roompools -A` lists those that there are)"
        );
        return refused(Reason::PoolMissing, what);
    };
    let Ok(referred) = &referred.0 else {
        return refused(
            Reason::PoolNotReady,
            format!("RoomPool {key} is not one that this operator understands: mend it"),
        );
    };
    let namespace = room.metadata.namespace.clone().unwrap_or_default();
    if key.namespace != namespace && referred.spec.rooms_from == RoomsFrom::Same {
        let what = format!(
            "RoomPool {key} takes no rooms of namespace {namespace}: its spec.roomsFrom has to be All, or the room has to \
             be in its namespace"
        );
        return refused(Reason::PoolForbids, what);
    }
    if let Some(rival) = &found.rival {
        let what = format!(
            "the older LiveRoom {rival} has the room ID {:?} in RoomPool {key}: delete that one, or create this one anew \
             with another spec.roomId",
            room.room_id()
        );
        return refused(Reason::Conflict, what);
    }
    let (pool, child) = match room.spec.placement {
        Placement::Shared => (key.clone(), None),
        Placement::Dedicated if key.namespace != namespace => {
            let what = format!(
                "a dedicated room's pool uses the Secrets of RoomPool {key}, so it has to be in the same namespace: create \
                 the LiveRoom in {}",
                key.namespace
            );
            return refused(Reason::PoolForbids, what);
        }
        Placement::Dedicated => (dedicated::key(room), Some(dedicated::pool(room, referred))),
    };
    placed(room, found, pool, child)
}

fn placed(room: &LiveRoom, found: Found, pool: PoolKey, dedicated: Option<Child>) -> Result<Placed, Problem> {
    let manifest = manifest(room);
    let stored = serde_json::to_string(&manifest).map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    let serving = found.serving.as_ref().and_then(|pool| pool.0.as_ref().ok());
    let status = serving.and_then(|pool: &RoomPool| pool.status.clone()).unwrap_or_default();
    Ok(Placed {
        id: room.room_id().to_owned(),
        pool,
        address: status.address,
        web_transport_address: status.web_transport_address,
        gateways: status.gateway.ready,
        manifest,
        stored,
        dedicated,
        session: found.session,
    })
}

/// What the data plane reads, and whose it is.
fn manifest(room: &LiveRoom) -> RoomManifest {
    let name = room.metadata.name.as_deref().unwrap_or_default();
    let (namespace, uid) = (room.metadata.namespace.clone(), room.metadata.uid.clone());
    let mut manifest = RoomManifest::new(name, room.spec.clone());
    manifest.metadata = ManifestMetadata { namespace, uid, ..manifest.metadata };
    manifest
}

/// Whether an entry of a route table is this object's.
#[must_use]
pub(crate) fn is_of(stored: &str, room: &LiveRoom) -> bool {
    serde_json::from_str::<RoomManifest>(stored).is_ok_and(|stored| stored.metadata.uid == room.metadata.uid)
}
