//! What the stages hand to each other, and the bounded channels that carry it inside one process.
//!
//! No stage knows another: a consumer hands candidates to whoever ranks the room, a ranker hands frames to whoever
//! serves it, and says what it has accounted for.

use std::sync::Arc;

use barrage_proto::{Cursor, Position, v2::pb::Role};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{room::RoomId, store::Scored};

/// Candidates between consumer and ranker: a few hundred polls' worth of records.
const CANDIDATES_QUEUE: usize = 4_096;
/// Frames between ranker and gateway: 5 s of ticks for ten awake rooms.
const FRAMES_QUEUE: usize = 10 * 500;
/// Accounted watermarks between ranker and consumer.
const ACCOUNTED_QUEUE: usize = 1_024;

/// The danmaku of one record, on their way to viewers.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// The slice's room.
    pub room: RoomId,
    /// The slice's shard.
    pub shard: u32,
    /// Where the record stands; `index` means nothing.
    pub record: Position,
    /// The danmaku that count, by index.
    pub danmaku: Vec<Danmaku>,
}

/// One danmaku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danmaku {
    /// Where it stands in the log.
    pub position: Position,
    /// Who sent it.
    pub user: u64,
    /// The sender's session; with `seq` it finds the sender's own.
    pub session: u64,
    /// Sequence number in the session.
    pub seq: u64,
    /// What the sender is in the room.
    pub role: Role,
    /// Unix time of sending by the sender's clock, ms.
    pub sent_ms: i64,
    /// Unix time of receipt by the gateway's clock, ms.
    pub received_ms: i64,
    /// The text, UTF-8.
    pub content: Bytes,
}

/// What a ranker decided for a room in one tick.
#[derive(Debug, Clone, Default)]
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

/// A slice's danmaku up to a position are in the room's durable books.
#[derive(Debug, Clone)]
pub struct Accounted {
    /// The slice's room.
    pub room: RoomId,
    /// The slice's shard.
    pub shard: u32,
    /// The last record accounted for.
    pub record: Position,
}

/// A consumer's end.
pub struct ToRanker {
    /// Candidates, in log order within a slice. Full: wait, the ranker is briefly behind.
    pub candidates: mpsc::Sender<Candidates>,
    /// What the ranker has accounted for.
    pub accounted: mpsc::Receiver<Accounted>,
}

/// A ranker's end toward consumers.
pub struct FromConsumer {
    /// Candidates, in log order within a slice.
    pub candidates: mpsc::Receiver<Candidates>,
    /// What is accounted for. Full: the save waits, beside the beat.
    pub accounted: mpsc::Sender<Accounted>,
}

/// Links a consumer to a ranker.
#[must_use]
pub fn candidates() -> (ToRanker, FromConsumer) {
    let (candidates, from_consumer) = mpsc::channel(CANDIDATES_QUEUE);
    let (accounted, to_consumer) = mpsc::channel(ACCOUNTED_QUEUE);
    (ToRanker { candidates, accounted: to_consumer }, FromConsumer { candidates: from_consumer, accounted })
}

/// Frames of a room.
pub type Frame = (RoomId, Arc<RoomFrame>);

/// Links a ranker to a gateway. Full: the frame is dropped and counted; the gateway sees the hole in the numbers.
#[must_use]
pub fn frames() -> (mpsc::Sender<Frame>, mpsc::Receiver<Frame>) {
    mpsc::channel(FRAMES_QUEUE)
}
