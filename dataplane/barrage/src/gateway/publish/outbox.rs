//! What viewers sent and the log does not have yet, gathered into one record per slice.

use std::collections::{BTreeMap, BTreeSet};

use barrage_proto::log::{Entry, Record};

use barrage_core::{hash::FastMap, room::RoomId, routes::Routes, trace::Span};

/// Bytes of danmaku that wait at one worker, at the most; over it senders are told to retry.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a waiting danmaku takes besides its text, roughly, bytes.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A record in the making, with the senders of its entries in the same order.
pub(super) struct Draft<S> {
    pub(super) partition: u32,
    pub(super) record: Record,
    pub(super) sent: Vec<S>,
    /// Of its record, while it is on its way and if it is traced.
    pub(super) span: Option<Span>,
    bytes: usize,
}

/// Bytes of drafts, as [`Outbox::settle`] wants them.
pub(super) fn bytes_of<S>(drafts: &[Draft<S>]) -> usize {
    drafts.iter().map(|draft| draft.bytes).sum()
}

/// Accepted danmaku by slice, each with who waits for its outcome.
pub(super) struct Outbox<S> {
    drafts: FastMap<RoomId, BTreeMap<u32, Draft<S>>>,
    partitions: BTreeSet<u32>,
    bytes: usize,
    last_received_ms: i64,
}

impl<S> Outbox<S> {
    /// Whether there is room for another danmaku.
    pub(super) const fn has_room(&self) -> bool {
        self.bytes < WAITING_BYTES_MAX
    }

    /// Receipt time that never falls, whatever the clock does.
    pub(super) fn received_ms(&mut self, now_ms: i64) -> i64 {
        self.last_received_ms = now_ms.max(self.last_received_ms);
        self.last_received_ms
    }

    /// Adds a danmaku received at `received_ms`, to go where `routes` say.
    pub(super) fn push(
        &mut self,
        (room, shard): (&RoomId, u32),
        routes: &Routes,
        mut entry: Entry,
        sent: S,
        received_ms: i64,
    ) {
        let bytes = entry.content.len() + ENTRY_OVERHEAD_BYTES;
        self.bytes += bytes;
        let partitions = &mut self.partitions;
        let mut place = || {
            let partition = routes.borrow().partition_of(room, shard);
            partitions.insert(partition);
            partition
        };
        let new = || Draft {
            partition: place(),
            record: Record { room: room.to_string(), shard, received_ms, ..Record::default() },
            sent: Vec::new(),
            span: None,
            bytes: 0,
        };
        // Most rooms are known: no clone for them.
        if !self.drafts.contains_key(room) {
            self.drafts.insert(room.clone(), BTreeMap::new());
        }
        let Some(of_room) = self.drafts.get_mut(room) else { return };
        let draft = of_room.entry(shard).or_insert_with(new);
        entry.received_delta_ms = u32::try_from(received_ms - draft.record.received_ms).unwrap_or_default();
        draft.bytes += bytes;
        draft.record.entries.push(entry);
        draft.sent.push(sent);
    }

    /// So many bytes of drafts that were taken have their answer.
    pub(super) const fn settle(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Whether nothing waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Takes all of it; until [`Self::settle`] it counts as waiting.
    pub(super) fn take(&mut self) -> Vec<Draft<S>> {
        self.partitions.clear();
        self.drafts.drain().flat_map(|(_, of_room)| of_room.into_values()).collect()
    }
}

impl<S> Default for Outbox<S> {
    fn default() -> Self {
        Self { drafts: FastMap::default(), partitions: BTreeSet::new(), bytes: 0, last_received_ms: 0 }
    }
}
