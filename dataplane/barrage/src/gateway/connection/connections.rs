//! All connections of a worker, by room: whom a flush is written to, who is looked at once a second, and who is sent
//! away at the end.

use std::{rc::Rc, sync::Arc, time::Instant};

use axum::Router;
use barrage_proto::v2::pb;
use rand::RngExt;
use tokio::task::spawn_local;

use super::{
    auth::Checked,
    context::ConnectionContext,
    join::join,
    viewer::{NewViewer, Viewer},
};
use crate::gateway::{
    delivery::{LocalRooms, Subscriber},
    encode::{Flush, Version, message_of},
    metrics::Disconnect,
    publish::Intake,
    state::{GatewayState, admission::Admitted},
    transport::{socket::Socket, stream::Stream},
};

/// All connections of a worker.
pub(crate) struct Connections {
    context: Rc<ConnectionContext>,
    rooms: LocalRooms<Viewer>,
    router: Router,
}

/// A connection that is to become a viewer.
pub(super) struct Entry {
    pub(super) stream: Stream,
    pub(super) checked: Checked,
    pub(super) version: Version,
    pub(super) admitted: Admitted,
}

impl Connections {
    /// None yet; requests that are no upgrades are answered by the router.
    pub(crate) fn new(gateway: Arc<GatewayState>, router: Router) -> Self {
        let metrics = gateway.metrics.clone();
        let context = Rc::new(ConnectionContext::new(gateway));
        let rooms = LocalRooms::new(Rc::clone(&context.encoder), metrics);
        Self { context, rooms, router }
    }

    /// The state that they share with those of other workers.
    pub(crate) fn gateway(&self) -> &Arc<GatewayState> {
        &self.context.gateway
    }

    pub(crate) fn intake(&self) -> &Rc<Intake<Viewer>> {
        &self.context.intake
    }

    /// Answers requests that are no upgrades.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Makes a viewer, which is to be run next; its history is on the way.
    pub(super) async fn enter(&self, entry: Entry) -> Rc<Viewer> {
        let Entry { stream, checked, version, admitted } = entry;
        let Checked { room, identity, session, wanted } = checked;
        let room = self.rooms.get(&room);
        // Version 1 counts its danmaku anew on each connection: its sessions must never meet.
        let session = session.filter(|_| version == Version::V2).unwrap_or_else(rand::random);
        let gateway = self.gateway();
        gateway.hub.want(room.state.id());
        room.state.moderation.know(&gateway.store, room.state.id()).await;
        let new =
            NewViewer { socket: Socket::new(stream), room: Rc::clone(&room), identity, session, version, admitted };
        let viewer = Viewer::new(Rc::clone(&self.context), new);
        if let Some(notice) = room.state.moderation.notice(identity.user) {
            viewer.notify(&notice);
        }
        if version == Version::V2 {
            spawn_local(join(Rc::clone(&viewer), wanted));
        }
        viewer
    }

    /// Writes a flush to the viewers of its room.
    pub(crate) fn broadcast(&self, flush: &Arc<Flush>, now: Instant) {
        if let Some(state) = self.gateway().room(flush.room.as_str()) {
            self.rooms.get(&state).broadcast(flush, now);
        }
    }

    /// A second is over: looks at every connection. A plain walk costs less than a timer for each.
    pub(crate) fn check(&self) {
        self.context.tick();
        self.rooms.for_each_viewer(Viewer::check);
        self.rooms.tidy(Instant::now(), |viewer| viewer.socket().end(Disconnect::RoomClosed));
    }

    /// Sends everybody away, each to come back at another moment within `spread_ms`.
    pub(crate) fn send_away(&self, spread_ms: u32) {
        self.rooms.for_each_viewer(|viewer| {
            if viewer.seat().version == Version::V2 {
                let away = pb::GoAway { reconnect_after_ms: rand::rng().random_range(0..=spread_ms) };
                let message = message_of(&away, &mut self.context.encoder.borrow_mut());
                viewer.send(&message);
            }
            viewer.socket().end(Disconnect::Shutdown);
        });
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        let mut count = 0_usize;
        self.rooms.for_each_viewer(|_| count += 1);
        count == 0
    }
}
