//! The way to the hub for those who need something of it.

use barrage_proto::Position;
use tokio::sync::{mpsc, oneshot};

use barrage_core::room::RoomId;

/// Somebody waits until every gateway that follows the room has an act.
pub(crate) struct AwaitedAct {
    pub(crate) room: RoomId,
    pub(crate) shard: u32,
    pub(crate) position: Position,
    pub(crate) arrived: oneshot::Sender<()>,
}

/// Sends to the hub.
pub(crate) struct HubHandle {
    wanted: mpsc::Sender<RoomId>,
    acts: mpsc::Sender<AwaitedAct>,
}

/// The hub is gone.
pub(crate) struct HubGone;

impl HubHandle {
    /// Sends rooms to follow and acts to wait for.
    pub(crate) const fn new(wanted: mpsc::Sender<RoomId>, acts: mpsc::Sender<AwaitedAct>) -> Self {
        Self { wanted, acts }
    }

    /// A room has its first viewer at a worker: its ranker is to be followed.
    pub(crate) fn want(&self, room: &RoomId) {
        // Full: the hub looks for itself once a second.
        let _ = self.wanted.try_send(room.clone());
    }

    /// Somebody waits for an act; waits while too many do.
    pub(crate) async fn wait_for(&self, act: AwaitedAct) -> Result<(), HubGone> {
        self.acts.send(act).await.map_err(|_| HubGone)
    }
}
