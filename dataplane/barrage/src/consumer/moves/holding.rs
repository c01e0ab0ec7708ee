//! Records of slices that wait for what is known of their past, at one who follows a partition. Other slices go on.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        dedupe::Dedupe,
        poll::{Poll, Slice},
    },
    judge::blank_repeats,
    windows::Wait,
};
use barrage_core::store::SliceRecord;

/// Danmaku that wait at one follower at the most: a few seconds of a busy partition. Then the partition waits; whoever
/// follows it reads on later by itself.
const DANMAKU_MAX: usize = 200_000;

#[derive(Default)]
pub(in super::super) struct Holding {
    slices: BTreeMap<Slice, Held>,
    danmaku: usize,
}

struct Held {
    wait: Wait,
    /// In log order, with the append time of those that are not judged.
    records: Vec<(Option<i64>, SliceRecord)>,
}

impl Holding {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    pub(in super::super) const fn is_full(&self) -> bool {
        self.danmaku > DANMAKU_MAX
    }

    /// Whether the slice's records wait here.
    pub(in super::super) fn holds(&self, slice: &Slice) -> bool {
        self.slices.contains_key(slice)
    }

    /// The first offset that waits.
    pub(in super::super) fn first(&self) -> Option<u64> {
        self.slices.values().filter_map(|held| held.records.first()).map(|(_, record)| record.offset).min()
    }

    /// Takes a poll's share of slices that wait; then its other slices may go on.
    pub(in super::super) fn take_in(&mut self, poll: &Poll) {
        for (slice, (wait, _)) in &poll.arriving {
            let new = || Held { wait: wait.clone(), records: Vec::new() };
            self.slices.entry(slice.clone()).or_insert_with(new);
        }
        for (slice, held) in &mut self.slices {
            let arriving = poll.arriving.get(slice).into_iter().flat_map(|(_, records)| records);
            let judged = poll.slices.get(slice).into_iter().flatten();
            let before = held.records.len();
            held.records.extend(arriving.map(|(append_ms, record)| (Some(*append_ms), record.clone())));
            held.records.extend(judged.map(|record| (None, record.clone())));
            held.records[before..].sort_by_key(|(_, record)| record.offset);
            self.danmaku += held.records[before..].iter().map(|(_, record)| cost(record)).sum::<usize>();
        }
    }

    /// Gives what waits no more, judged.
    pub(in super::super) fn release(&mut self) -> Vec<(Slice, Vec<SliceRecord>)> {
        let found = self.slices.extract_if(.., |_, held| held.wait.window().is_some());
        let released: Vec<_> = found.map(|(slice, held)| (slice, held.judged())).collect();
        self.danmaku -= released.iter().flat_map(|(_, records)| records).map(cost).sum::<usize>();
        released
    }

    /// It all comes again.
    pub(in super::super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Held {
    fn judged(self) -> Vec<SliceRecord> {
        let mut dedupe = Dedupe::default();
        for &(append_ms, identity) in self.wait.window().iter().flat_map(|window| window.iter()) {
            dedupe.first(append_ms, identity);
        }
        let judge = |(append_ms, mut record): (Option<i64>, SliceRecord)| {
            if let Some(append_ms) = append_ms {
                blank_repeats(Arc::make_mut(&mut record.record), append_ms, &mut dedupe);
            }
            record
        };
        self.records.into_iter().map(judge).collect()
    }
}

/// A record without danmaku counts, too.
fn cost(record: &SliceRecord) -> usize {
    record.record.entries.len() + 1
}
