//! How far a partition has come: what is applied, accounted for, committed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{outstanding::Outstanding, poll::Slice};
use crate::{link::Accounted, room::RoomId};

/// The partitions that a consumer owns.
#[derive(Default)]
pub(super) struct Partitions(Mutex<BTreeMap<u32, Arc<Progress>>>);

impl Partitions {
    pub(super) fn find(&self, partition: u32) -> Option<Arc<Progress>> {
        self.lock().get(&partition).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Progress>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn insert(&self, progress: &Arc<Progress>) {
        self.lock().insert(progress.partition, Arc::clone(progress));
    }

    pub(super) fn remove(&self, partition: u32) {
        self.lock().remove(&partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything above was read but may be lost: followers go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rewind {
    /// Counts rewinds.
    pub(super) count: u64,
    /// The offset to go on from.
    pub(super) to: u64,
}

/// One partition's progress.
pub(super) struct Progress {
    pub(super) partition: u32,
    state: Mutex<State>,
    rewinds: watch::Sender<Rewind>,
}

struct State {
    /// Offset after the last record applied; not yet safe from a rewind.
    applied: u64,
    committed: u64,
    outstanding: Outstanding,
}

impl Progress {
    /// Everything below `committed` was done before, and everything below `applied` is in the store still.
    pub(super) fn new(partition: u32, committed: u64, applied: u64) -> Self {
        let state = State { applied, committed, outstanding: Outstanding::default() };
        let (rewinds, _) = watch::channel(Rewind { count: 0, to: applied });
        Self { partition, state: Mutex::new(state), rewinds }
    }

    /// Records of these slices are about to be applied: the commit waits for their accounts.
    pub(super) fn expect<'a>(&self, records: impl Iterator<Item = (&'a Slice, u64)>) {
        let mut state = self.lock();
        records.for_each(|(slice, offset)| state.outstanding.insert(slice, offset));
    }

    /// Everything below `end` is applied, unless a rewind came between.
    pub(super) fn applied(&self, end: u64, rewind: u64) {
        let mut state = self.lock();
        if self.rewinds.borrow().count == rewind {
            state.applied = end.max(state.applied);
        }
    }

    pub(super) fn account(&self, done: &Accounted) {
        self.lock().outstanding.remove_to(&(done.room.clone(), done.shard), done.record.offset);
    }

    /// Nobody accounts for rooms that are not served any more: the commit waits for none of theirs.
    pub(super) fn give_up(&self, is_served: impl Fn(&RoomId) -> bool) {
        self.lock().outstanding.give_up(is_served);
    }

    /// Offsets after what is applied, and after what may be committed once that is confirmed.
    pub(super) fn done(&self) -> (u64, u64) {
        let state = self.lock();
        let done = state.outstanding.first().map_or(state.applied, |first| first.min(state.applied));
        // What was committed before stays: an account that came then does not come again.
        (state.applied, done.max(state.committed))
    }

    pub(super) fn committed(&self) -> u64 {
        self.lock().committed
    }

    pub(super) fn set_committed(&self, offset: u64) {
        let mut state = self.lock();
        state.committed = offset;
        state.outstanding.forget_settled(offset);
    }

    /// What was applied and accounted for since the last commit may be lost: all followers go back there, or the
    /// applier even to `start` where that is lower.
    pub(super) fn rewind(&self, start: u64) {
        let mut state = self.lock();
        let to = start.min(state.committed);
        state.applied = to;
        state.outstanding = Outstanding::default();
        self.rewinds.send_modify(|rewind| *rewind = Rewind { count: rewind.count + 1, to });
    }

    pub(super) fn rewinds(&self) -> watch::Receiver<Rewind> {
        self.rewinds.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use barrage_proto::Position;

    use super::*;

    fn accounted(offset: u64) -> Accounted {
        let record = Position { partition: 1, offset, index: u32::MAX };
        Accounted { room: RoomId::from("a"), shard: 0, record }
    }

    #[test]
    fn the_commit_waits_for_applying_and_for_accounts() {
        let progress = Progress::new(1, 4, 4);
        let slice = (RoomId::from("a"), 0);
        progress.expect([(&slice, 4), (&slice, 6)].into_iter());
        assert_eq!(progress.done(), (4, 4));
        progress.applied(7, 0);
        assert_eq!(progress.done(), (7, 4));
        progress.account(&accounted(4));
        assert_eq!(progress.done(), (7, 5));
        progress.account(&accounted(6));
        assert_eq!(progress.done(), (7, 7));
    }

    #[test]
    fn a_rewind_voids_what_came_since_the_commit_also_what_is_under_way() {
        let progress = Progress::new(1, 0, 0);
        progress.applied(9, 0);
        progress.set_committed(5);
        progress.rewind(u64::MAX);
        assert_eq!(*progress.rewinds().borrow(), Rewind { count: 1, to: 5 });
        progress.applied(12, 0);
        assert_eq!(progress.done(), (5, 5));
        progress.applied(6, 1);
        assert_eq!(progress.done(), (6, 6));
    }
}
