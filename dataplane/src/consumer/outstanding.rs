//! Which records of a partition the ranker has not accounted for, and so how far the commit may go.

use std::collections::{BTreeSet, HashMap};

use crate::room::RoomId;

type Slice = (RoomId, u32);

/// The records of one partition that are handed on and not yet accounted for.
#[derive(Default)]
pub(super) struct Outstanding {
    offsets: BTreeSet<u64>,
    by_slice: HashMap<Slice, OfSlice>,
}

#[derive(Default)]
struct OfSlice {
    offsets: BTreeSet<u64>,
    /// The ranker can be faster than the store: what it has accounted for is not waited for.
    accounted: Option<u64>,
}

impl Outstanding {
    /// A record was handed to the ranker.
    pub(super) fn insert(&mut self, slice: &Slice, offset: u64) {
        let of_slice = self.by_slice.entry(slice.clone()).or_default();
        if Some(offset) > of_slice.accounted {
            of_slice.offsets.insert(offset);
            self.offsets.insert(offset);
        }
    }

    /// The slice is accounted for up to and with `offset`.
    pub(super) fn remove_to(&mut self, slice: &Slice, offset: u64) {
        let of_slice = self.by_slice.entry(slice.clone()).or_default();
        of_slice.accounted = of_slice.accounted.max(Some(offset));
        let later = of_slice.offsets.split_off(&(offset + 1));
        for done in std::mem::replace(&mut of_slice.offsets, later) {
            self.offsets.remove(&done);
        }
    }

    /// The first record that is not accounted for.
    pub(super) fn first(&self) -> Option<u64> {
        self.offsets.first().copied()
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
    fn a_record_accounted_for_before_it_was_applied_holds_nothing() {
        let slice = (RoomId::from("a"), 0);
        let mut outstanding = Outstanding::default();
        outstanding.remove_to(&slice, 5);
        outstanding.insert(&slice, 5);
        assert_eq!(outstanding.first(), None);
        outstanding.insert(&slice, 6);
        assert_eq!(outstanding.first(), Some(6));
    }
}
