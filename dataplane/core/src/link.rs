//! What the stages hand to each other, and the bounded channels that carry it.
//!
//! No stage knows another: a consumer hands candidates to whoever ranks the room, a ranker hands frames to whoever
//! serves it, and says what it has accounted for. Everybody dials rankers. What a dial gives is a *session*: it ends for
//! good when the other side or the way to it is gone, and another one begins.

mod codec;
mod danmaku;
pub mod quic;

use std::sync::{Arc, OnceLock};

use barrage_proto::{
    Cursor, Position,
    log::{Entry, Record},
};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{moderation::Act, room::RoomId, store::Scored, trace::TraceParent};

pub use danmaku::{Danmaku, More, Style, role_of};

/// Candidates between consumer and ranker: a few hundred polls' worth of records.
pub const CANDIDATES_QUEUE: usize = 4_096;
/// Accounted watermarks between ranker and consumer.
pub const ACCOUNTED_QUEUE: usize = 1_024;
/// Updates between ranker and gateway: a second of ticks for ten awake rooms.
pub const UPDATES_QUEUE: usize = 10 * 100;
/// Requests between gateway and ranker.
pub const REQUESTS_QUEUE: usize = 1_024;

/// The identity of a process in its role, like `ranker-0`; the same after a restart.
pub type Peer = Arc<str>;

/// One record on its way to viewers.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// The slice's room.
    pub room: RoomId,
    /// The slice's shard.
    pub shard: u32,
    /// Where the record stands; `index` means nothing.
    pub record: Position,
    /// Epoch under which the consumer owns the partition.
    pub owner_epoch: u64,
    /// What was said, as the log has it; entries that repeat others are empty.
    pub said: Arc<Record>,
    /// Its bytes as the log has them, where no entry was emptied and they are at hand.
    pub payload: Option<Bytes>,
    /// The trace that the record is part of.
    pub trace: Option<TraceParent>,
}

impl Candidates {
    /// The danmaku that count, with where they stand.
    pub fn danmaku(&self) -> impl Iterator<Item = (Position, &Entry)> {
        self.entries().filter(|(_, entry)| entry.user != 0)
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.said.entries.iter().filter(|entry| entry.user != 0).count()
    }

    pub fn acts(&self) -> impl Iterator<Item = Act> {
        self.entries().filter_map(|(position, entry)| {
            let act = *entry.act.clone()?;
            Some(Act { shard: self.shard, position, at_ms: self.received_ms(entry), act })
        })
    }

    /// Likes that the record brings.
    #[must_use]
    pub fn likes(&self) -> u64 {
        self.said.entries.iter().map(|entry| entry.likes).sum()
    }

    fn entries(&self) -> impl Iterator<Item = (Position, &Entry)> {
        (0..).zip(&self.said.entries).map(|(index, entry)| (Position { index, ..self.record }, entry))
    }

    /// Unix time of an entry's receipt by the gateway's clock, ms.
    #[must_use]
    pub fn received_ms(&self, entry: &Entry) -> i64 {
        self.said.received_ms + i64::from(entry.received_delta_ms)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomFrame {
    /// Rises whenever a ranker takes the room over.
    pub epoch: u64,
    /// Counts up within the epoch, without holes.
    pub number: u64,
    /// The last record of each slice that this and earlier frames account for; only slices that moved.
    pub watermark: Cursor,
    /// To show, in order.
    pub danmaku: Vec<Danmaku>,
    /// Danmaku that stand for more repeats than before, with their new totals.
    pub merges: Vec<(Position, u32)>,
    /// Danmaku of this frame's span that are not shown.
    pub left_out: LeftOut,
    /// Changes to the leaderboard.
    pub board: Option<BoardChange>,
    pub acts: Vec<Act>,
    /// Likes since the room exists; 0 when there are no more than before.
    pub likes: u64,
    /// The traces of records that it accounts for.
    pub traces: Vec<TraceParent>,
}

/// Danmaku that a frame accounts for without showing them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Repeats that another stands for.
    pub merged: u32,
    /// Over the room's budget.
    pub sampled_out: u32,
    /// Too late.
    pub expired: u32,
    /// Kept out of sight by moderation.
    pub deleted: u32,
}

/// A change to a room's leaderboard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardChange {
    /// Whether what was known before is void.
    pub reset: bool,
    /// New and changed scores.
    pub scores: Vec<Scored>,
    /// Users that left.
    pub removed: Vec<u64>,
}

/// A slice's danmaku up to a position are in the room's durable ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounted {
    /// The slice's room.
    pub room: RoomId,
    /// The slice's shard.
    pub shard: u32,
    /// The last record accounted for.
    pub record: Position,
}

/// A gateway asks a ranker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// It has viewers in a room, and frames up to a number of an epoch; 0 and 0 for none.
    Follow {
        room: RoomId,
        /// Of the last frame that it has.
        epoch: u64,
        /// Of the last frame that it has.
        number: u64,
    },
    /// Its last viewer in a room has gone.
    Unfollow { room: RoomId },
    /// Frames up to a number have reached it.
    Seen {
        room: RoomId,
        /// Of the last frame that it has.
        epoch: u64,
        /// Of the last frame that it has.
        number: u64,
        /// That it has in the room.
        viewers: u32,
    },
}

/// A ranker tells a gateway that follows a room.
#[derive(Debug, Clone)]
pub enum Update {
    /// What it goes on from, having nothing or too old a frame.
    Snapshot(RoomId, Snapshot),
    /// The next frame, without a hole behind what the gateway has.
    Frame(RoomId, Arc<Emitted>),
    Viewers(RoomId, u32),
    /// Every gateway that follows the room has its frames up to this epoch and number; said of frames with acts only.
    Settled(RoomId, (u64, u64)),
}

/// A room as a gateway goes on from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Of the ranker's last frame.
    pub epoch: u64,
    /// Of the ranker's last frame.
    pub number: u64,
    /// What frames up to that accounted for; it is not sent again.
    pub watermark: Cursor,
    /// The leaderboard that viewers hold, best first.
    pub board: Vec<Scored>,
}

/// A frame on its way to every gateway that follows its room.
#[derive(Debug, Default)]
pub struct Emitted {
    pub frame: RoomFrame,
    /// Its bytes on a link, made once for all gateways.
    pub encoded: OnceLock<Bytes>,
}

impl From<RoomFrame> for Emitted {
    fn from(frame: RoomFrame) -> Self {
        Self { frame, encoded: OnceLock::new() }
    }
}

/// A consumer's end of a session.
pub struct ToRanker {
    pub ranker: Peer,
    /// Candidates, in log order within a slice. Full: wait, the ranker is briefly behind.
    pub candidates: mpsc::Sender<Candidates>,
    pub accounted: mpsc::Receiver<Accounted>,
}

/// A ranker's end of a session with a consumer.
pub struct FromConsumer {
    pub consumer: Peer,
    /// Candidates, in log order within a slice.
    pub candidates: mpsc::Receiver<Candidates>,
    /// What is accounted for. Full: the save waits, beside the beat.
    pub accounted: mpsc::Sender<Accounted>,
}

/// A gateway's end of a session.
pub struct Following {
    pub ranker: Peer,
    pub requests: mpsc::Sender<Request>,
    /// What the ranker says of them, in order for each room.
    pub updates: mpsc::Receiver<Update>,
}

/// A ranker's end of a session with a gateway.
pub struct FromGateway {
    pub gateway: Peer,
    pub requests: mpsc::Receiver<Request>,
    /// Ways to it.
    pub streams: Streams,
}

/// Whoever calls a ranker.
pub enum Caller {
    Consumer(FromConsumer),
    Gateway(FromGateway),
}

/// Ways to a gateway: what is slow on one holds up no other.
#[derive(Clone)]
pub enum Streams {
    /// In this process, where there is one way for all.
    Local(mpsc::Sender<Update>),
    /// Over a connection, where each way is a stream.
    Quic(quic::QuicStreams),
}

/// The session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is closed")]
pub struct Closed;

impl Streams {
    /// Opens another way.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn open(&self) -> Result<Stream, Closed> {
        match self {
            Self::Local(updates) => Ok(Stream::Local(updates.clone())),
            Self::Quic(streams) => streams.open().await.map(Stream::Quic),
        }
    }
}

/// One way to a gateway; dropping it ends it.
pub enum Stream {
    /// In this process.
    Local(mpsc::Sender<Update>),
    /// Over a connection.
    Quic(quic::QuicStream),
}

impl Stream {
    /// Sends an update; waits while the gateway is behind.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn send(&mut self, update: Update) -> Result<(), Closed> {
        match self {
            Self::Local(updates) => updates.send(update).await.map_err(|_| Closed),
            Self::Quic(stream) => stream.send(&update).await,
        }
    }
}

/// Links a consumer to a ranker in the same process.
#[must_use]
pub fn candidates(consumer: Peer, ranker: Peer) -> (ToRanker, FromConsumer) {
    let (candidates, from_consumer) = mpsc::channel(CANDIDATES_QUEUE);
    let (accounted, to_consumer) = mpsc::channel(ACCOUNTED_QUEUE);
    let to_ranker = ToRanker { ranker, candidates, accounted: to_consumer };
    (to_ranker, FromConsumer { consumer, candidates: from_consumer, accounted })
}

/// Links a gateway to a ranker in the same process.
#[must_use]
pub fn following(gateway: Peer, ranker: Peer) -> (Following, FromGateway) {
    let (requests, from_gateway) = mpsc::channel(REQUESTS_QUEUE);
    let (updates, to_gateway) = mpsc::channel(UPDATES_QUEUE);
    let following = Following { ranker, requests, updates: to_gateway };
    (following, FromGateway { gateway, requests: from_gateway, streams: Streams::Local(updates) })
}
