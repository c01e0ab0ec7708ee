//! A worker's publisher without viewers, for whoever measures what the way behind a gateway can take: the same drafts,
//! records and appends, and nobody who is told the outcome.

use barrage_proto::log::Entry;

use super::{
    append::record,
    outbox::{Draft, Outbox},
};
use barrage_core::{
    clock::unix_ms,
    log::{Log, LogError},
    room::{RoomId, shard_of},
    routes::Routes,
};

/// What a worker does with danmaku that it has accepted.
pub struct Injector {
    log: Log,
    routes: Routes,
    outbox: Outbox<()>,
    /// What is under way.
    taken: Vec<Draft<()>>,
}

impl Injector {
    /// Publishes to `log` as `routes` say.
    #[must_use]
    pub fn new(log: Log, routes: Routes) -> Self {
        Self { log, routes, outbox: Outbox::default(), taken: Vec::new() }
    }

    /// Whether there is room for another danmaku, whoever sends it.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.outbox.has_room_for_all()
    }

    /// Accepts a danmaku, received now. Its receipt time, relative to its record's, is set here.
    pub fn push(&mut self, room: &RoomId, entry: Entry) {
        let received_ms = self.outbox.received_ms(unix_ms());
        self.outbox.push((room, shard_of(entry.user)), &self.routes, entry, (), received_ms);
    }

    /// Begins to append all that waits; gives how many danmaku that is, and what ends with their acknowledgement. As in
    /// a worker, call [`Self::settle`] then, and only after that begin again.
    pub fn append(&mut self) -> (u64, impl Future<Output = Result<(), LogError>> + Send + 'static) {
        self.taken = self.outbox.take(|_| true);
        let count = self.taken.iter().map(|draft| draft.sent.len() as u64).sum();
        let records = self.taken.iter().map(record).collect();
        let log = self.log.clone();
        (count, async move { log.append(records).await.map(drop) })
    }

    pub fn settle(&mut self) {
        self.outbox.settle(&std::mem::take(&mut self.taken));
    }
}
