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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use barrage_core::{link::Peer, room::Rooms, routes::Table};
    use tokio::sync::watch;

    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry { seq, content: "hello".into(), ..Entry::default() }
    }

    fn routes() -> Routes {
        watch::channel(Arc::new(Table::of_one(&Peer::from("gateway"), 64, Rooms::default()))).1
    }

    #[test]
    fn danmaku_gather_into_a_record_for_each_slice_in_their_order() {
        let (mut outbox, routes, rooms) = (Outbox::default(), routes(), ["a", "b"].map(RoomId::from));
        assert!(outbox.is_empty());
        for seq in 1..=3 {
            let received_ms = 1_000 + i64::try_from(seq).unwrap();
            outbox.push((&rooms[0], 1), &routes, entry(seq), seq, received_ms);
        }
        outbox.push((&rooms[0], 2), &routes, entry(4), 4, 2_000);
        outbox.push((&rooms[1], 1), &routes, entry(5), 5, 2_000);
        let places: BTreeSet<_> =
            [(0, 1), (0, 2), (1, 1)].map(|(room, shard)| routes.borrow().partition_of(&rooms[room], shard)).into();
        assert_eq!(outbox.partitions(), places.len());
        let mut drafts = outbox.take();
        drafts.sort_by_key(|draft| (draft.record.room.clone(), draft.record.shard));
        let sent: Vec<_> = drafts.iter().map(|draft| draft.sent.clone()).collect();
        assert_eq!(sent, [vec![1, 2, 3], vec![4], vec![5]]);
        let record = &drafts[0].record;
        let deltas: Vec<_> = record.entries.iter().map(|entry| (entry.seq, entry.received_delta_ms)).collect();
        assert_eq!((record.room.as_str(), record.received_ms, deltas), ("a", 1_001, vec![(1, 0), (2, 1), (3, 2)]));
        assert!(drafts.iter().all(|draft| {
            let room = RoomId::from(draft.record.room.as_str());
            draft.partition == routes.borrow().partition_of(&room, draft.record.shard)
        }));
        assert!(outbox.is_empty() && outbox.partitions() == 0 && outbox.take().is_empty());
    }

    #[test]
    fn what_is_on_its_way_takes_room_until_it_is_settled() {
        let (mut outbox, routes, room) = (Outbox::default(), routes(), RoomId::from("a"));
        let large = Entry { content: vec![b'x'; 1024 * 1024].into(), ..Entry::default() };
        while outbox.has_room() {
            outbox.push((&room, 1), &routes, large.clone(), (), 0);
        }
        let drafts = outbox.take();
        assert_eq!(drafts[0].sent.len(), 8);
        assert!(outbox.is_empty() && !outbox.has_room());
        outbox.settle(bytes_of(&drafts));
        assert!(outbox.has_room());
    }

    #[test]
    fn receipt_times_never_fall() {
        let mut outbox = Outbox::<()>::default();
        assert_eq!([5, 3, 6].map(|now_ms| outbox.received_ms(now_ms)), [5, 5, 6]);
    }
}
