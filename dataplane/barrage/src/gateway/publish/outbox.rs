//! What viewers sent and the log does not have yet, gathered into one record per slice.
//!
//! What waits is bounded. A partition that takes nothing must not use up what the others need, so each may have half as
//! much as all leave free (dynamic thresholds, Choudhury and Hahne, 1998): one that stands has a third at the most, and
//! however many stand, something is left for those that do not.

use std::collections::BTreeMap;

use barrage_proto::log::{Entry, Record};

use barrage_core::{hash::FastMap, room::RoomId, routes::Routes, trace::Span};

/// Bytes of danmaku that wait at one worker, at the most.
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

/// Accepted danmaku by slice, each with who waits for its outcome.
pub(super) struct Outbox<S> {
    drafts: FastMap<RoomId, BTreeMap<u32, Draft<S>>>,
    partitions: FastMap<u32, Waiting>,
    bytes: usize,
    last_received_ms: i64,
}

/// What a partition has here.
#[derive(Default)]
struct Waiting {
    /// Slices with something that is not taken yet.
    drafts: usize,
    /// With what was taken and has no answer yet.
    bytes: usize,
}

impl<S> Outbox<S> {
    /// Whether there is room for another danmaku, of whichever slice.
    pub(super) const fn has_room_for_all(&self) -> bool {
        // No partition has more than all have together.
        self.bytes < WAITING_BYTES_MAX / 3
    }

    /// Whether there is room for another danmaku of a slice; if not, its sender is told to retry.
    pub(super) fn has_room(&self, (room, shard): (&RoomId, u32), routes: &Routes) -> bool {
        let bytes = || self.partitions.get(&routes.borrow().partition_of(room, shard)).map_or(0, |one| one.bytes);
        self.has_room_for_all() || bytes() < WAITING_BYTES_MAX.saturating_sub(self.bytes) / 2
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
        let new = || Draft {
            partition: routes.borrow().partition_of(room, shard),
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
        let waiting = self.partitions.entry(draft.partition).or_default();
        waiting.drafts += usize::from(draft.sent.is_empty());
        waiting.bytes += bytes;
        entry.received_delta_ms = u32::try_from(received_ms - draft.record.received_ms).unwrap_or_default();
        draft.bytes += bytes;
        draft.record.entries.push(entry);
        draft.sent.push(sent);
    }

    /// Drafts that were taken have their answer.
    pub(super) fn settle(&mut self, drafts: &[Draft<S>]) {
        for draft in drafts {
            self.bytes -= draft.bytes;
            if let Some(waiting) = self.partitions.get_mut(&draft.partition) {
                waiting.bytes -= draft.bytes;
            }
        }
    }

    /// Whether nothing waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Partitions for which something waits.
    pub(super) fn partitions(&self) -> impl Iterator<Item = u32> {
        self.partitions.iter().filter(|(_, waiting)| waiting.drafts > 0).map(|(&partition, _)| partition)
    }

    /// Takes what waits for the partitions that may have it, one after the other; until [`Self::settle`] it counts as
    /// waiting.
    pub(super) fn take(&mut self, may: impl Fn(u32) -> bool) -> Vec<Draft<S>> {
        let mut taken = Vec::new();
        self.drafts.retain(|_, of_room| {
            taken.extend(of_room.extract_if(.., |_, draft| may(draft.partition)).map(|(_, draft)| draft));
            !of_room.is_empty()
        });
        for Draft { partition, .. } in &taken {
            if let Some(waiting) = self.partitions.get_mut(partition) {
                waiting.drafts -= 1;
            }
        }
        taken.sort_unstable_by_key(|draft| draft.partition);
        taken
    }
}

impl<S> Default for Outbox<S> {
    fn default() -> Self {
        Self { drafts: FastMap::default(), partitions: FastMap::default(), bytes: 0, last_received_ms: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use barrage_core::{link::Peer, room::Rooms, routes::Table};
    use tokio::sync::watch;

    use super::*;

    fn entry(seq: u64) -> Entry {
        Entry { seq, content: "hello".into(), ..Entry::default() }
    }

    fn routes() -> Routes {
        spread_routes(1)
    }

    fn spread_routes(spread: u32) -> Routes {
        let table = Table { spread, ..Table::of_one(&Peer::from("gateway"), 64, Rooms::default()) };
        watch::channel(Arc::new(table)).1
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
        assert_eq!(outbox.partitions().collect::<BTreeSet<_>>(), places);
        let mut drafts = outbox.take(|_| true);
        assert!(drafts.is_sorted_by_key(|draft| draft.partition));
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
        assert!(outbox.is_empty() && outbox.partitions().count() == 0 && outbox.take(|_| true).is_empty());
    }

    #[test]
    fn what_waits_for_a_partition_that_may_not_have_it_stays() {
        let (mut outbox, routes, room) = (Outbox::default(), spread_routes(8), RoomId::from("a"));
        let partition = |shard| routes.borrow().partition_of(&room, shard);
        let [here, there] = [0, (1..16).find(|&shard| partition(shard) != partition(0)).unwrap()];
        for (shard, seq) in [(here, 1), (there, 2), (here, 3)] {
            outbox.push((&room, shard), &routes, entry(seq), seq, 0);
        }
        let taken = outbox.take(|one| one == partition(there));
        assert_eq!(taken.iter().map(|draft| draft.sent.clone()).collect::<Vec<_>>(), [[2]]);
        assert_eq!(outbox.partitions().collect::<Vec<_>>(), [partition(here)]);
        outbox.push((&room, here), &routes, entry(4), 4, 0);
        assert_eq!(outbox.take(|_| true)[0].sent, [1, 3, 4]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_on_its_way_takes_room_until_it_is_settled_and_leaves_some_to_other_partitions() {
        let (mut outbox, routes, room) = (Outbox::default(), spread_routes(8), RoomId::from("a"));
        let partition = |shard| routes.borrow().partition_of(&room, shard);
        let mut shards: Vec<u32> = (0..16).collect();
        shards.sort_unstable_by_key(|&shard| partition(shard));
        shards.dedup_by_key(|shard| partition(*shard));
        let large = Entry { content: vec![b'x'; 16 * 1024].into(), ..Entry::default() };
        let fill = |outbox: &mut Outbox<()>, shard| {
            let mut count = 0;
            while outbox.has_room((&room, shard), &routes) {
                outbox.push((&room, shard), &routes, large.clone(), (), 0);
                count += 1;
            }
            count
        };
        let counts: Vec<usize> = shards.iter().map(|&shard| fill(&mut outbox, shard)).collect();
        let whole = WAITING_BYTES_MAX / (16 * 1024 + ENTRY_OVERHEAD_BYTES);
        assert!((whole / 3..=whole / 3 + 1).contains(&counts[0]), "{counts:?}");
        assert!(counts.len() > 4 && counts.iter().all(|count| *count > 0), "{counts:?}");
        assert!(counts.iter().sum::<usize>() <= whole);
        let drafts = outbox.take(|_| true);
        assert!(outbox.is_empty() && shards.iter().all(|&shard| !outbox.has_room((&room, shard), &routes)));
        outbox.settle(&drafts);
        assert!(outbox.has_room_for_all());
    }

    #[test]
    fn receipt_times_never_fall() {
        let mut outbox = Outbox::<()>::default();
        assert_eq!([5, 3, 6].map(|now_ms| outbox.received_ms(now_ms)), [5, 5, 6]);
    }
}
