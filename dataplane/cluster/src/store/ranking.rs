//! Rankings in Redis: slices have no user in common, so the best of a room are among the best of its slices.
//!
//! Users are spread over slices by hash, so each slice has about the same share of a room's best: so many and some more
//! are read of each, and of one whose last is among the best still, twice as many, until none is (the threshold algorithm
//! of Fagin, Lotem and Naor, 2001, in rounds).

use std::{array::from_fn, cmp::Reverse, sync::Arc};

use barrage_proto::{Cursor, Position};
use tokio::task::JoinSet;

use super::{apply, config::failed, shared::Shared};
use barrage_core::{
    room::{RoomId, SHARDS},
    store::{
        StoreError,
        ranking::{Ranking, Scored},
    },
};

/// Partition and offset of the last record that was applied; -1 where none was.
type Fields = (Option<u32>, Option<i64>);
/// Members of the sorted set with their scores.
type Members = Vec<(Vec<u8>, f64)>;

/// What is known of a room's slices.
struct Slices {
    limit: u32,
    slices: [Slice; SHARDS as usize],
}

#[derive(Default)]
struct Slice {
    /// How many users were asked for, and those that there are, best first.
    asked: u32,
    best: Vec<Scored>,
    applied: Option<Position>,
}

/// The best of a room, at most `limit`.
pub(super) async fn best(shared: &Arc<Shared>, room: &RoomId, limit: u32) -> Result<Ranking, StoreError> {
    let mut slices = Slices { limit, slices: from_fn(|_| Slice::default()) };
    loop {
        let mut tasks = JoinSet::new();
        for (shard, asked) in slices.wanted() {
            let (shared, keys) = (Arc::clone(shared), shared.keys.slice(room, shard));
            tasks.spawn(async move {
                let (script, keys) = (&shared.scripts.ranking, [keys.applied, keys.rank]);
                let answer = shared.calls.script::<(Fields, Members)>(script, &keys, &[asked]).await;
                answer.map(|answer| (shard, asked, answer))
            });
        }
        if tasks.is_empty() {
            return Ok(slices.end());
        }
        while let Some(done) = tasks.join_next().await {
            let done = done.map_err(|error| error.to_string()).and_then(|done| done.map_err(|error| error.to_string()));
            let (shard, asked, (applied, members)) =
                done.map_err(|error| failed("read", format!("the ranking of {room}: {error}")))?;
            let best = members.iter().filter_map(scored).collect();
            slices.slices[shard as usize] = Slice { asked, best, applied: position(applied) };
        }
    }
}

impl Slices {
    /// Which slices have to be read, and how many users of each.
    fn wanted(&self) -> Vec<(u32, u32)> {
        let all = self.merged();
        // The last of the best so far: who comes after it is not among them, whatever else there is.
        let last = self.limit.checked_sub(1).and_then(|last| all.get(last as usize)).map(order);
        let wanted = |(shard, slice): (u32, &Slice)| {
            if slice.asked == 0 {
                return (self.limit > 0).then_some((shard, share(self.limit)));
            }
            let more = slice.best.len() >= slice.asked as usize && slice.asked < self.limit;
            let may_be_best = slice.best.last().is_some_and(|worst| last.is_none_or(|last| order(worst) <= last));
            (more && may_be_best).then_some((shard, (2 * slice.asked).min(self.limit)))
        };
        (0..).zip(&self.slices).filter_map(wanted).collect()
    }

    fn merged(&self) -> Vec<Scored> {
        let mut all: Vec<Scored> = self.slices.iter().flat_map(|slice| slice.best.iter().copied()).collect();
        all.sort_unstable_by_key(order);
        all
    }

    fn end(self) -> Ranking {
        let mut scores = self.merged();
        scores.truncate(self.limit as usize);
        let applied = (0..).zip(&self.slices).filter_map(|(shard, slice)| Some((shard, slice.applied?)));
        Ranking { scores, applied: applied.collect::<Cursor>() }
    }
}

/// How many of a room's `limit` best a slice has at the most, by all likelihood: the mean and four standard deviations.
fn share(limit: u32) -> u32 {
    let mean = limit.div_ceil(SHARDS);
    (mean + 4 * mean.isqrt() + 4).min(limit)
}

fn order(scored: &Scored) -> (Reverse<u64>, u64) {
    (Reverse(scored.score), scored.user)
}

/// The last record that is included.
fn position((partition, offset): Fields) -> Option<Position> {
    Some(Position { partition: partition?, offset: u64::try_from(offset?).ok()?, index: u32::MAX })
}

/// Scores are counts, far below where a double skips whole numbers (2⁵³).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scored((member, score): &(Vec<u8>, f64)) -> Option<Scored> {
    Some(Scored { user: apply::user_of(member)?, score: *score as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads slices, given whole, as Redis would be asked; the ranking, and how many users were read for it.
    fn read(slices: &[Vec<(u64, u64)>], limit: u32) -> (Vec<u64>, usize) {
        let whole: Vec<Vec<Scored>> = slices
            .iter()
            .map(|slice| {
                let mut slice: Vec<_> = slice.iter().map(|&(user, score)| Scored { user, score }).collect();
                slice.sort_unstable_by_key(order);
                slice
            })
            .collect();
        let (mut known, mut users) = (Slices { limit, slices: from_fn(|_| Slice::default()) }, 0);
        loop {
            let wanted = known.wanted();
            if wanted.is_empty() {
                return (known.end().scores.iter().map(|scored| scored.user).collect(), users);
            }
            for (shard, asked) in wanted {
                let best: Vec<Scored> = whole[shard as usize].iter().copied().take(asked as usize).collect();
                users += best.len();
                known.slices[shard as usize] = Slice { asked, best, applied: None };
            }
        }
    }

    fn spread(users: u64, score: impl Fn(u64) -> u64) -> Vec<Vec<(u64, u64)>> {
        let slice = |shard| (0..users).filter(|user| user % 16 == shard).map(|user| (user, score(user))).collect();
        (0..16).map(slice).collect()
    }

    #[test]
    fn of_two_with_one_score_the_lower_user_is_first() {
        let mut slices = vec![Vec::new(); 16];
        slices[0] = vec![(5, 1), (9, 7)];
        slices[7] = vec![(3, 9), (1, 7), (2, 2)];
        assert_eq!(read(&slices, 4).0, [3, 1, 9, 2]);
        assert_eq!(read(&slices, 1).0, [3]);
    }

    #[test]
    fn little_more_is_read_than_was_asked_for() {
        let slices = spread(100_000, |user| user * 7919 % 100_003);
        let (best, users) = read(&slices, 10_000);
        assert_eq!(best.len(), 10_000);
        assert!(users < 12_000, "{users}");
        assert_eq!(read(&slices, 0), (vec![], 0));
    }

    #[test]
    fn slices_that_have_nearly_all_of_the_best_are_read_to_their_end() {
        // The best are the lowest users of one slice.
        let slices = spread(100_000, |user| if user % 16 == 3 { 1_000_000 - user } else { user % 5 });
        let (best, users) = read(&slices, 1_000);
        assert_eq!(best, (0..1_000).map(|number| number * 16 + 3).collect::<Vec<_>>());
        assert!(users < 5_000, "{users}");
    }

    #[test]
    fn what_is_merged_is_what_sorting_everything_gives() {
        for (users, limit) in [(1, 1), (16, 5), (40, 100), (1_000, 16), (5_000, 4_999), (5_000, 20_000)] {
            let slices = spread(users, |user| user * 31 % 17);
            let mut all: Vec<_> = slices.concat();
            all.sort_unstable_by_key(|&(user, score)| (Reverse(score), user));
            let expected: Vec<u64> = all.iter().map(|&(user, _)| user).take(limit as usize).collect();
            assert_eq!(read(&slices, limit).0, expected, "{users} users, {limit}");
        }
    }

    #[test]
    fn a_slice_of_which_nothing_is_applied_includes_nothing() {
        let at = Position { partition: 5, offset: 0, index: u32::MAX };
        assert_eq!(position((Some(5), Some(0))), Some(at));
        assert_eq!([position((Some(5), Some(-1))), position((None, None))], [None, None]);
    }
}
