//! Which danmaku repeat one that the log has already.
//!
//! A sender that got no acknowledgement sends again under the same (user, session, sequence number). Whichever comes
//! first in the log counts; the others do not, as long as it is remembered. How long that is depends on the log's append
//! times alone, not on a clock: a new owner reads [`REACH_MS`] before its start again and so decides alike.
//!
//! A session counts its danmaku up, so what is remembered of it is a few runs of numbers, however much it says: memory
//! goes with sessions, not with danmaku. Runs are cut by spans of time, and a span is forgotten as a whole.

use std::collections::{VecDeque, hash_map};

use barrage_proto::log::{Entry, Record};
use smallvec::SmallVec;

use crate::hash::FastMap;

/// A run ends with its span of append time.
const SPAN_MS: i64 = 10_000;
/// Spans that are remembered behind the newest: a minute at least, because gateways refuse retries over 30 s old and a
/// producer gives up after 20 s.
const SPANS: i64 = 6;
/// How far back something may stand that is remembered, in append time.
pub(super) const REACH_MS: i64 = (SPANS + 1) * SPAN_MS;
/// Runs forgotten at the most for each danmaku, so that no danmaku waits for the end of a whole span: more than it makes.
const FORGET_MAX: usize = 2;

/// A danmaku across its retries.
type Identity = (u64, u64, u64);

/// A user and the session.
type Session = (u64, u64);

/// The danmaku of one partition's last minute.
#[derive(Default)]
pub(super) struct Dedupe {
    /// The newest span.
    newest: i64,
    /// Runs by their numbers; none overlap, but that a forgotten one may be there still.
    sessions: FastMap<Session, SmallVec<[Run; 1]>>,
    /// Where there is a run to forget when its span has passed.
    by_time: VecDeque<(i64, Session)>,
}

/// Sequence numbers that stand in one span of the log.
struct Run {
    first: u64,
    last: u64,
    span: i64,
}

impl Dedupe {
    /// Whether this is the first of its identity in what is remembered; then it is remembered.
    fn first(&mut self, append_ms: i64, (user, session, seq): Identity) -> bool {
        let span = append_ms.div_euclid(SPAN_MS);
        self.newest = span.max(self.newest);
        let oldest = self.newest - SPANS;
        self.forget(oldest);
        let runs = self.sessions.entry((user, session)).or_default();
        let mut at = runs.partition_point(|run| run.first <= seq);
        if let Some(run) = at.checked_sub(1).and_then(|before| runs.get(before))
            && seq <= run.last
        {
            if run.span >= oldest {
                return false;
            }
            runs.retain(|run| run.span >= oldest);
            at = runs.partition_point(|run| run.first <= seq);
        }
        let follows = at > 0 && runs[at - 1].span == span && seq.checked_sub(1) == Some(runs[at - 1].last);
        let precedes = runs.get(at).is_some_and(|next| next.span == span && seq.checked_add(1) == Some(next.first));
        match (follows, precedes) {
            (true, true) => runs[at - 1].last = runs.remove(at).last,
            (true, false) => runs[at - 1].last = seq,
            (false, true) => runs[at].first = seq,
            (false, false) => {
                runs.insert(at, Run { first: seq, last: seq, span });
                self.by_time.push_back((span, (user, session)));
            }
        }
        true
    }

    /// Blanks what repeats an earlier danmaku, and gives how many did. A blanked entry is one of user 0, who cannot send:
    /// the indexes of the others stay.
    pub(super) fn blank_repeats(&mut self, append_ms: i64, record: &mut Record) -> u64 {
        let mut repeats = 0;
        for entry in &mut record.entries {
            if !self.first(append_ms, (entry.user, entry.session, entry.seq)) {
                repeats += 1;
                *entry = Entry::default();
            }
        }
        repeats
    }

    fn forget(&mut self, oldest: i64) {
        for _ in 0..FORGET_MAX {
            let Some((_, session)) = self.by_time.pop_front_if(|(span, _)| *span < oldest) else { return };
            if let hash_map::Entry::Occupied(mut runs) = self.sessions.entry(session) {
                runs.get_mut().retain(|run| run.span >= oldest);
                if runs.get().is_empty() {
                    runs.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_first_of_an_identity_counts_until_its_span_is_forgotten() {
        let mut dedupe = Dedupe::default();
        assert!(dedupe.first(0, (1, 7, 1)));
        assert!(!dedupe.first(REACH_MS - 1, (1, 7, 1)));
        assert!(dedupe.first(REACH_MS - 1, (1, 7, 2)));
        assert!(dedupe.first(REACH_MS - 1, (2, 7, 1)));
        assert!(dedupe.first(REACH_MS, (1, 7, 1)));
    }

    #[test]
    fn what_a_session_counts_up_is_one_run_in_any_order() {
        let mut dedupe = Dedupe::default();
        for seq in (1..=1_000).chain(2_001..=3_000).chain((1_001..=2_000).rev()).chain([u64::MAX, 0, u64::MAX - 1]) {
            assert!(dedupe.first(5, (1, 7, seq)), "{seq}");
        }
        let runs: Vec<_> = dedupe.sessions[&(1, 7)].iter().map(|run| (run.first, run.last)).collect();
        assert_eq!(runs, [(0, 3_000), (u64::MAX - 1, u64::MAX)]);
    }

    #[test]
    fn sessions_that_say_nothing_more_are_forgotten() {
        let mut dedupe = Dedupe::default();
        for session in 0..1_000 {
            assert!(dedupe.first(0, (1, session, 1)));
        }
        for seq in 0..1_000 {
            assert!(dedupe.first(REACH_MS, (2, 1, seq)));
        }
        assert_eq!((dedupe.sessions.len(), dedupe.by_time.len()), (1, 1));
    }

    proptest! {
        /// Beside a memory of each danmaku alone, with append times that now and then go back.
        #[test]
        fn decides_as_a_memory_of_every_danmaku_does(
            all in vec((-500_i64..3_000, 0_u64..2, 0_u64..2, 0_u64..12), 1..400),
        ) {
            let (mut dedupe, mut known) = (Dedupe::default(), HashMap::new());
            let (mut append_ms, mut newest) = (0, 0);
            for (passed_ms, user, session, seq) in all {
                append_ms += passed_ms;
                let span = append_ms.div_euclid(SPAN_MS);
                newest = span.max(newest);
                let identity = (user, session, seq);
                let first = known.get(&identity).is_none_or(|then| *then < newest - SPANS);
                if first {
                    known.insert(identity, span);
                }
                prop_assert_eq!(dedupe.first(append_ms, identity), first);
            }
        }
    }
}
