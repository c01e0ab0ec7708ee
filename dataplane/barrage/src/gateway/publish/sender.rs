//! A sender as the way to the log sees it: somebody who is told what became of a danmaku.

use std::{rc::Rc, sync::Arc};

use barrage_proto::{Position, log::Entry, v2::pb};

use crate::gateway::{metrics::Refusal, state::RoomState};

/// A connection that sends, among those of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SenderId(pub(crate) u64);

/// Hears what becomes of its danmaku.
pub(crate) trait Sender {
    /// Tells it from all others of its worker.
    fn id(&self) -> SenderId;
    /// The room that it sends to.
    fn room(&self) -> &Arc<RoomState>;
    /// Whether its wire format has acknowledgements.
    fn wants_acks(&self) -> bool;
    /// A danmaku begins to wait for the log; `shard` is its slice of the room.
    fn accepted(self: &Rc<Self>, shard: u32, entry: &Entry, received_ms: i64);
    /// The log has a danmaku.
    fn logged(&self, entry: &Entry, position: Position);
    /// The log does not have a danmaku that was accepted; a refusal follows.
    fn not_logged(&self, entry: &Entry);
    fn acknowledge(&self, ack: &pb::Ack);
    /// A danmaku is not kept; after so many ms it may be tried again (0: not as it is).
    fn refuse(&self, seq: u64, reason: Refusal, retry_after_ms: u32);
}

/// A danmaku's sender, who waits for the outcome.
pub(super) struct Sent<S> {
    pub(super) sender: Rc<S>,
    pub(super) seq: u64,
}
