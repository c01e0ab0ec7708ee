//! A viewer: one connection to one room, and its place among the room's viewers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::Ordering,
};

use barrage_proto::v2::pb;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

use super::{
    admission::Admitted,
    broadcast::RoomHere,
    encode::message_of,
    inbound,
    metrics::Disconnect,
    outbox::SendState,
    shard::Shard,
    socket::{Handler, Socket},
    stream::Stream,
    websocket, webtransport,
};
use barrage_core::{moderation::is_exempt, token::Identity};

/// The longest message of a client, bytes: one frame of version 1 with the longest content that it can say, which is
/// refused by the gateway's own limit but must not end the connection.
const MESSAGE_BYTES_MAX: usize = 68 * 1024;

/// Heartbeats and refused frames that are answered in a second: a hundred times the highest rate that rooms usually
/// allow, and little enough work that nobody else notices.
const ANSWERS_PER_SECOND_MAX: u32 = 2_000;

/// Likes of a connection that count in a second: nobody's finger is faster.
const LIKES_PER_SECOND_MAX: u32 = 100;

/// Which wire format a viewer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// One connection to one room.
pub(super) struct Viewer {
    pub(super) socket: Socket,
    pub(super) shard: Rc<Shard>,
    pub(super) room: Rc<RoomHere>,
    pub(super) identity: Identity,
    /// The sender's session: its client's choice, or drawn by lot.
    pub(super) session: u64,
    pub(super) version: Version,
    /// Number of the flush that it gets next; `None` until it has joined.
    pub(super) next_flush: Cell<Option<u64>>,
    /// Where it stands in the room's list.
    pub(super) slot: Cell<usize>,
    /// Made at the first send: most viewers only watch.
    pub(super) sends: RefCell<Option<Box<SendState>>>,
    pub(super) pinged: Cell<bool>,
    /// Answers in this second.
    answers: Cell<u32>,
    /// Likes in this second.
    liked: Cell<u32>,
    _admitted: Admitted,
}

/// What an upgraded connection brings with it.
pub(super) struct Arrival {
    pub(super) socket: Socket,
    pub(super) room: Rc<RoomHere>,
    pub(super) identity: Identity,
    pub(super) session: u64,
    pub(super) version: Version,
    pub(super) admitted: Admitted,
}

impl Viewer {
    pub(super) fn new(shard: Rc<Shard>, arrival: Arrival) -> Rc<Self> {
        let Arrival { socket, room, identity, session, version, admitted } = arrival;
        Rc::new(Self {
            socket,
            shard,
            room,
            identity,
            session,
            version,
            next_flush: Cell::new(None),
            slot: Cell::new(0),
            sends: RefCell::new(None),
            pinged: Cell::new(false),
            answers: Cell::new(0),
            liked: Cell::new(0),
            _admitted: admitted,
        })
    }

    /// Serves the connection to its end; `first` are bytes that came behind the handshake.
    pub(super) fn run(self: Rc<Self>, first: &[u8]) -> impl Future<Output = ()> + use<> {
        self.arrive();
        websocket::serve(Served(self), first, MESSAGE_BYTES_MAX)
    }

    /// Serves a session of WebTransport to its end.
    pub(super) fn run_session(self: Rc<Self>) -> impl Future<Output = ()> + use<> {
        self.arrive();
        webtransport::run(Served(self), MESSAGE_BYTES_MAX)
    }

    fn arrive(self: &Rc<Self>) {
        self.shard.served.metrics.connected(self.socket.stream.transport());
        self.room.enter(self);
    }

    /// Writes a message to this viewer alone.
    pub(super) fn send(&self, message: &Bytes) {
        if self.socket.ended().is_none() {
            self.socket.send(message);
        }
    }

    /// Answers a frame of this viewer; who wants too many answers is ended.
    pub(super) fn answer(&self, message: &Bytes) {
        self.answers.set(self.answers.get() + 1);
        if self.answers.get() > ANSWERS_PER_SECOND_MAX {
            return self.socket.end(Disconnect::Flood);
        }
        self.send(message);
    }

    /// Tells this viewer what moderators decided about it; who is banned is sent away.
    pub(super) fn notify(&self, notice: &pb::Notice) {
        if is_exempt(self.identity.role.into()) {
            return;
        }
        if self.version == Version::V2 {
            self.send(&message_of(notice, &mut self.shard.encoder.borrow_mut()));
        }
        if notice.kind() == pb::NoticeKind::Banned {
            self.socket.end(Disconnect::Banned);
        }
    }

    /// So many likes; what is over the limit of a second is not counted.
    pub(super) fn like(&self, count: u32) {
        let counted = count.min(LIKES_PER_SECOND_MAX - self.liked.get());
        self.liked.set(self.liked.get() + counted);
        self.room.served.likes.fetch_add(counted.into(), Ordering::Relaxed);
    }

    /// Looked at once a second: pings who is silent, ends who is gone or takes nothing.
    pub(super) fn check(&self, now_s: u32) {
        self.answers.set(0);
        self.liked.set(0);
        let config = &self.shard.served.config;
        let since = |then_s: u32| u64::from(now_s.saturating_sub(then_s));
        // QUIC has pings of its own, and ends who does not answer them.
        let silent_s = match self.socket.stream {
            Stream::Plain(_) | Stream::Tls(_) => since(self.socket.heard_s.get()),
            Stream::Quic(_) => 0,
        };
        if silent_s >= config.idle_timeout.as_secs() {
            return self.socket.end(Disconnect::Idle);
        }
        if silent_s >= config.idle_timeout.as_secs() / 2 && !self.pinged.replace(true) {
            self.send(&Bytes::from_static(PING));
        }
        if self.socket.is_drained() {
            return self.socket.waiting_since_s.set(None);
        }
        let waiting_since_s = self.socket.waiting_since_s.get().unwrap_or(now_s);
        self.socket.waiting_since_s.set(Some(waiting_since_s));
        if since(waiting_since_s) >= config.slow_timeout.as_secs() {
            self.socket.end(Disconnect::Slow);
        }
    }
}

/// A ping with no payload (RFC 6455, section 5.5.2).
const PING: &[u8] = &[0x89, 0x00];

/// A viewer as its connection drives it.
#[derive(Clone)]
struct Served(Rc<Viewer>);

impl Handler for Served {
    fn message(&self, message: Message) {
        match message {
            Message::Binary(bytes) => inbound::message(&self.0, bytes),
            Message::Text(_) => inbound::text(&self.0),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn drained(&self) -> bool {
        self.0.room.catch_up(&self.0)
    }

    fn socket(&self) -> &Socket {
        &self.0.socket
    }

    fn heard(&self) {
        self.0.socket.heard_s.set(self.0.shard.now_s.get());
        self.0.pinged.set(false);
    }

    fn ended(&self, reason: Disconnect) {
        let viewer = &self.0;
        // Whoever still holds this viewer writes no more.
        viewer.socket.end(reason);
        viewer.room.leave(viewer);
        let metrics = &viewer.shard.served.metrics;
        metrics.disconnected(viewer.socket.stream.transport(), reason);
        tracing::info!(room = %viewer.room.served.id(), user = viewer.identity.user, ?reason, "viewer left");
    }
}
