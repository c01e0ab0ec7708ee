//! How far a partition has come: what is applied, accounted for, committed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{outstanding::Outstanding, poll::Slice};
use barrage_core::{
    link::Accounted,
    room::RoomId,
    store::{Reached, Start},
};

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
    /// Of the start since which it was applied.
    generation: u64,
    committed: u64,
    outstanding: Outstanding,
}

impl Progress {
    /// Everything below `committed` was done before, and everything below the start is in the store still.
    pub(super) fn new(partition: u32, committed: u64, start: Start) -> Self {
        let Start { offset: applied, generation } = start;
        let state = State { applied, generation, committed, outstanding: Outstanding::default() };
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
        let (reached, done) = self.reached();
        (reached.end, done)
    }

    /// What is to be confirmed, and the offset after what may be committed then.
    pub(super) fn reached(&self) -> (Reached, u64) {
        let state = self.lock();
        let done = state.outstanding.first().map_or(state.applied, |first| first.min(state.applied));
        // What was committed before stays: an account that came then does not come again.
        let reached = Reached { partition: self.partition, end: state.applied, generation: state.generation };
        (reached, done.max(state.committed))
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
        self.go_back(self.lock(), start);
    }

    /// As [`Self::rewind`]; what is applied from there on is of another generation.
    pub(super) fn begin_again(&self, start: Start) {
        let mut state = self.lock();
        state.generation = start.generation;
        self.go_back(state, start.offset);
    }

    fn go_back(&self, mut state: MutexGuard<'_, State>, start: u64) {
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
        let progress = Progress::new(1, 4, Start { offset: 4, generation: 0 });
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
        let progress = Progress::new(1, 0, Start::default());
        progress.applied(9, 0);
        progress.set_committed(5);
        progress.rewind(u64::MAX);
        assert_eq!(*progress.rewinds().borrow(), Rewind { count: 1, to: 5 });
        progress.applied(12, 0);
        assert_eq!(progress.done(), (5, 5));
        progress.applied(6, 1);
        assert_eq!(progress.done(), (6, 6));
    }

    #[test]
    fn until_it_is_begun_again_what_is_applied_is_of_the_generation_before() {
        let progress = Progress::new(1, 0, Start { offset: 0, generation: 3 });
        let reached = |end, generation| Reached { partition: 1, end, generation };
        progress.applied(9, 0);
        assert_eq!(progress.reached(), (reached(9, 3), 9));
        progress.set_committed(5);
        progress.rewind(u64::MAX);
        assert_eq!(progress.reached(), (reached(5, 3), 5));
        progress.begin_again(Start { offset: 2, generation: 4 });
        assert_eq!(progress.reached(), (reached(2, 4), 5));
    }
}
