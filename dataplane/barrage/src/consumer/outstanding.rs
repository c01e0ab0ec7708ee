//! Which slices of a partition the rankers have not accounted for, and so how far the commit may go.

use std::collections::HashMap;

use super::poll::Slice;
use barrage_core::room::RoomId;

/// What is expected of rankers; for each slice a few numbers, however long a ranker is away.
#[derive(Default)]
pub(super) struct Outstanding {
    slices: HashMap<Slice, OfSlice>,
}

#[derive(Default)]
struct OfSlice {
    /// No record below this one is outstanding; `None` when none is at all.
    first: Option<u64>,
    last: u64,
    /// The ranker can be faster than the store: what it has accounted for is not waited for.
    accounted: Option<u64>,
}

impl Outstanding {
    /// An account of this record is expected.
    pub(super) fn insert(&mut self, slice: &Slice, offset: u64) {
        // Most slices are known: no clone for them.
        if !self.slices.contains_key(slice) {
            self.slices.insert(slice.clone(), OfSlice::default());
        }
        let Some(of_slice) = self.slices.get_mut(slice) else { return };
        if Some(offset) > of_slice.accounted {
            of_slice.first.get_or_insert(offset);
            of_slice.last = offset.max(of_slice.last);
        }
    }

    /// The slice is accounted for up to and with `offset`.
    pub(super) fn remove_to(&mut self, slice: &Slice, offset: u64) {
        let of_slice = self.slices.entry(slice.clone()).or_default();
        of_slice.accounted = of_slice.accounted.max(Some(offset));
        of_slice.first = of_slice.first.filter(|_| of_slice.last > offset).map(|first| first.max(offset + 1));
    }

    /// Expects nothing any more of rooms that are not served: they have no ranker.
    pub(super) fn give_up(&mut self, is_served: impl Fn(&RoomId) -> bool) {
        for ((room, _), of_slice) in &mut self.slices {
            if of_slice.first.is_some() && !is_served(room) {
                of_slice.first = None;
            }
        }
    }

    /// No record below this one is outstanding; `None` when none is at all.
    pub(super) fn first(&self) -> Option<u64> {
        self.slices.values().filter_map(|of_slice| of_slice.first).min()
    }

    /// Forgets slices that are settled, and with them only what saves a wait.
    pub(super) fn forget_settled(&mut self, below: u64) {
        self.slices.retain(|_, of_slice| of_slice.first.is_some() || of_slice.accounted >= Some(below));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outstanding_record_of_any_slice_holds_the_commit() {
        let (a, b) = ((RoomId::from("a"), 0), (RoomId::from("b"), 3));
        let mut outstanding = Outstanding::default();
        for (slice, offset) in [(&a, 1), (&b, 2), (&a, 3)] {
            outstanding.insert(slice, offset);
        }
        outstanding.remove_to(&a, 3);
        assert_eq!(outstanding.first(), Some(2));
        outstanding.remove_to(&b, 2);
        assert_eq!(outstanding.first(), None);
    }

    #[test]
    fn a_room_that_is_served_no_more_holds_nothing() {
        let (a, b) = ((RoomId::from("a"), 0), (RoomId::from("b"), 3));
        let mut outstanding = Outstanding::default();
        for (slice, offset) in [(&a, 1), (&b, 2)] {
            outstanding.insert(slice, offset);
        }
        outstanding.give_up(|room| *room == b.0);
        assert_eq!(outstanding.first(), Some(2));
        // It is served again.
        outstanding.insert(&a, 3);
        outstanding.remove_to(&b, 2);
        assert_eq!(outstanding.first(), Some(3));
    }

    #[test]
    fn a_record_accounted_for_before_it_was_applied_holds_nothing() {
        let slice = (RoomId::from("a"), 0);
        let mut outstanding = Outstanding::default();
        outstanding.remove_to(&slice, 5);
        outstanding.insert(&slice, 5);
        assert_eq!(outstanding.first(), None);
        outstanding.insert(&slice, 6);
        assert_eq!(outstanding.first(), Some(6));
        outstanding.forget_settled(100);
        assert_eq!(outstanding.first(), Some(6));
    }
}
