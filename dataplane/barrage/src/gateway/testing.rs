//! A gateway without sockets for tests: rooms, state with a log and a store in a folder of its own, and what stands in
//! messages to viewers.

use std::sync::Arc;

use barrage_crds::RoomManifest;
use barrage_proto::{
    Position, v1,
    v2::{self, Decoder, FrameType, Payload},
};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::{
    config::Config,
    metrics::Metrics,
    state::{AwaitedAct, Backing, GatewayState, HubHandle, RoomState},
};
use crate::embedded::{log::EmbeddedLog, store::EmbeddedStore};
use barrage_core::{
    health::Health,
    heat::Heat,
    link::{Danmaku, Peer},
    log::Log,
    room::{Room, RoomId, Rooms},
    routes::Table,
    store::Store,
    token::{Keys, LiveKeys},
    trace::Tracer,
};

/// A room called `demo`, with what its manifest says besides.
pub(crate) fn room(change: impl FnOnce(&mut RoomManifest)) -> Arc<Room> {
    let mut manifest = RoomManifest::demo();
    change(&mut manifest);
    Arc::new(Room::new(&manifest))
}

/// The state of such a room.
pub(crate) fn room_state(change: impl FnOnce(&mut RoomManifest)) -> Arc<RoomState> {
    let room = room(change);
    Arc::new(RoomState::new(&room, Heat::default().room(&room.id)))
}

/// A position in partition 0.
pub(crate) fn at(offset: u64) -> Position {
    Position { offset, ..Position::default() }
}

/// A danmaku with a text, of a user, where `seq` is its offset.
pub(crate) fn danmaku(user: u64, seq: u64, text: &str) -> Danmaku {
    let content = Bytes::copy_from_slice(text.as_bytes());
    Danmaku {
        position: at(seq),
        user,
        session: 1,
        seq,
        sent_ms: 1_000,
        received_ms: 1_001,
        content,
        ..Danmaku::default()
    }
}

/// The frames in a message to a viewer; its WebSocket header is checked.
pub(crate) fn payload(message: &Bytes) -> &[u8] {
    assert_eq!(message[0], 0x82, "a binary message, whole");
    let header = match message[1] {
        0..126 => 2,
        126 => 4,
        _ => 10,
    };
    &message[header..]
}

/// The texts in a version 1 message.
pub(crate) fn texts_v1(message: &Bytes) -> Vec<String> {
    v1::frames(payload(message)).map(|frame| frame.unwrap().content.to_owned()).collect()
}

/// The types of the frames in a version 2 message.
pub(crate) fn types(message: &Bytes) -> Vec<FrameType> {
    let frames = v2::frames(payload(message)).map(Result::unwrap);
    frames.map(|frame| FrameType::from_code(frame.header.code).unwrap()).collect()
}

/// The frames of one type in a version 2 message.
pub(crate) fn find<P: Payload>(message: &Bytes) -> Vec<P> {
    let frames = v2::frames(payload(message)).map(Result::unwrap);
    let wanted = frames.filter(|frame| frame.header.code == P::FRAME_TYPE.code());
    wanted.map(|frame| Decoder::new(1 << 20).decode(&frame).unwrap()).collect()
}

/// A gateway whose log and store are files that go with it.
pub(crate) struct TestGateway {
    pub(crate) state: Arc<GatewayState>,
    _wanted: mpsc::Receiver<RoomId>,
    pub(crate) acts: mpsc::Receiver<AwaitedAct>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) table: watch::Sender<Arc<Table>>,
    _folder: TempDir,
}

impl TestGateway {
    /// Serves a room called `demo`.
    pub(crate) fn new(config: Config, change: impl FnOnce(&mut RoomManifest)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Registry::default();
        let log: Log = Arc::new(EmbeddedLog::open(folder.path(), &[0], &mut scratch).unwrap());
        let store: Store = Arc::new(EmbeddedStore::open(folder.path(), &mut scratch).unwrap());
        let keys = Arc::new(Keys::load_or_make(folder.path()).unwrap());
        let (table, routes) = watch::channel(Arc::new(table_of(&[room(change)])));
        let backing = Backing {
            log,
            store,
            routes,
            keys: LiveKeys::fixed(Arc::clone(&keys)),
            heat: Heat::default(),
            limiter: None,
            tracer: Tracer::default(),
        };
        let ((wanted_sender, _wanted), (acts_sender, acts)) = (mpsc::channel(16), mpsc::channel(16));
        let hub = HubHandle::new(wanted_sender, acts_sender);
        let state = Arc::new(GatewayState::new(config, backing, Health::default(), Metrics::default(), hub));
        Self { state, _wanted, acts, keys, table, _folder: folder }
    }

    /// The room `demo`.
    pub(crate) fn room(&self) -> Arc<RoomState> {
        self.state.room("demo").unwrap()
    }
}

/// A route table with these rooms.
pub(crate) fn table_of(rooms: &[Arc<Room>]) -> Table {
    let rooms: Rooms = rooms.iter().map(|room| Room::clone(room)).collect();
    Table::of_one(&Peer::from("gateway"), 1, rooms)
}
