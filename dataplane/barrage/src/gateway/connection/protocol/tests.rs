//! What each frame comes to, without a socket: the frames of both versions, everything that can be wrong with one, and
//! the order of a sender's danmaku.

mod danmaku;
mod frames;

use barrage_proto::v2::{CLIENT_FRAME_BYTES_MAX, Encoder, Payload};

use super::*;
use barrage_core::token::Role;

const USER: u64 = 7;

/// A room that takes everything until it is told otherwise.
struct Room {
    content_bytes_max: usize,
    text: Result<(), SendRefusal>,
    limit: Result<(), SendRefusal>,
    is_full: bool,
    /// A danmaku that can be answered, and who said it.
    known: Option<(Position, u64)>,
    /// Danmaku that were taken from limits: whether they were gifts.
    taken: Vec<bool>,
}

impl Default for Room {
    fn default() -> Self {
        Self { content_bytes_max: 64, text: Ok(()), limit: Ok(()), is_full: false, known: None, taken: Vec::new() }
    }
}

impl Rules for Room {
    fn content_bytes_max(&self) -> usize {
        self.content_bytes_max
    }

    fn author_of(&self, danmaku: Position) -> Option<u64> {
        self.known.filter(|(known, _)| *known == danmaku).map(|(_, user)| user)
    }

    fn check_text(&mut self, _: &Identity, _: &str) -> Result<(), SendRefusal> {
        self.text
    }

    fn has_room(&self, _: &Identity) -> bool {
        !self.is_full
    }

    fn take_send(&mut self, _: &Identity, is_gift: bool) -> Result<(), SendRefusal> {
        self.taken.push(is_gift);
        self.limit
    }
}

/// A peer and its room.
struct Peer {
    protocol: Protocol,
    decoder: Decoder,
    room: Room,
}

impl Peer {
    fn new(version: Version, role: Role) -> Self {
        let identity = Identity { user: USER, role, send: true };
        Self::of(version, identity)
    }

    fn of(version: Version, identity: Identity) -> Self {
        let protocol = Protocol::new(version, identity, 99, false, 0);
        Self { protocol, decoder: Decoder::new(CLIENT_FRAME_BYTES_MAX), room: Room::default() }
    }

    /// What the frames of a message come to.
    fn message(&mut self, bytes: impl Into<Bytes>) -> Vec<Action> {
        let message = bytes.into();
        let Self { protocol, decoder, room } = self;
        frames(protocol.version, &message).map(|frame| protocol.frame(frame, &message, decoder, room)).collect()
    }

    fn one(&mut self, bytes: impl Into<Bytes>) -> Action {
        let mut actions = self.message(bytes);
        assert_eq!(actions.len(), 1, "{actions:?}");
        actions.remove(0)
    }

    /// Sends a danmaku; gives its number if it is accepted, else why not.
    fn send(&mut self, send: &pb::Send) -> Result<u64, SendRefusal> {
        match self.one(v2(send)) {
            Action::Submit { entry, .. } => Ok(entry.seq),
            Action::RefuseSend { seq, reason, retry_after_ms } => {
                assert_eq!(seq, send.seq);
                Err((reason, retry_after_ms))
            }
            other => panic!("{other:?}"),
        }
    }
}

fn v1(frame_type: v1::FrameType, user_id: u64, content: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    v1::Frame { frame_type, timestamp_ms: 1_000, user_id, content }.encode(&mut bytes).unwrap();
    bytes
}

fn v2(payload: &impl Payload) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::plain().encode(payload, &mut bytes);
    bytes
}

fn danmaku(seq: u64) -> pb::Send {
    pb::Send { seq, content: "hello".to_owned(), sent_ms: 1_000, ..pb::Send::default() }
}

/// Why a frame is refused, or ignored where nobody is told.
fn reason(action: &Action) -> Option<Refusal> {
    match action {
        Action::RefuseFrame { reason, .. } | Action::RefuseSend { reason, .. } | Action::Ignore(reason) => {
            Some(*reason)
        }
        Action::Skip(reason) => *reason,
        Action::Heartbeat { .. } | Action::Submit { .. } | Action::Like(_) => None,
    }
}
