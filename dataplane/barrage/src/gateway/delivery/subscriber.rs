//! A viewer as its room sees it: somebody who takes messages, and where that viewer stands among the room's flushes.

use std::cell::Cell;

use barrage_proto::v2::pb;
use bytes::Bytes;

use crate::gateway::encode::Version;

/// Takes what a room says.
pub(crate) trait Subscriber {
    fn seat(&self) -> &Seat;
    /// Whether everything that was written is out.
    fn is_drained(&self) -> bool;
    /// Writes a message without waiting; what cannot go out now goes out later, in order.
    fn write(&self, message: &Bytes);
    /// Writes a message, unless the connection has ended.
    fn send(&self, message: &Bytes);
    /// Tells it what moderators decided about its user.
    fn notify(&self, notice: &pb::Notice);
}

/// A subscriber's place in its room.
pub(crate) struct Seat {
    pub(crate) version: Version,
    pub(crate) user: u64,
    /// Number of the flush that it gets next; `None` until it has joined.
    pub(super) next_flush: Cell<Option<u64>>,
    /// Its place in the room's list.
    pub(super) slot: Cell<usize>,
}

impl Seat {
    /// A place that is not in any list yet.
    pub(crate) const fn new(version: Version, user: u64) -> Self {
        Self { version, user, next_flush: Cell::new(None), slot: Cell::new(0) }
    }
}
