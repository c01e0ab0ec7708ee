//! A room's leaderboard: scores from the store, what has come since, and what viewers were told.
//!
//! The store's best N and the offsets that they include are read now and then; danmaku behind those offsets are added
//! here. So the shown order is exact for everyone the store named, and for all once it is read again.

use std::collections::{BTreeMap, VecDeque};

use barrage_proto::{Cursor, Position};

use barrage_core::{
    hash::FastMap,
    link::BoardChange,
    store::{Ranking, Scored},
};

/// Users that viewers are shown.
pub(crate) const BOARD_USERS: usize = 100;

#[derive(Default)]
pub(super) struct Board {
    scores: FastMap<u64, u64>,
    /// By shard, in log order: records counted in `scores` that the store had not applied when it was read, each with who
    /// got how many points by it.
    since: BTreeMap<u32, VecDeque<(Position, Vec<Scored>)>>,
    /// What the scores include: a store that fell behind this (a failover took writes back) is waited for.
    included: Cursor,
    /// Whether the store has been read.
    known: bool,
    dirty: bool,
    told: FastMap<u64, u64>,
    told_any: bool,
}

impl Board {
    /// Counts a record's danmaku: who gets how many points for each.
    pub(super) fn add(&mut self, shard: u32, record: Position, points: Vec<Scored>) {
        for Scored { user, score } in &points {
            *self.scores.entry(*user).or_default() += score;
        }
        if !points.is_empty() {
            self.dirty = true;
            self.since.entry(shard).or_default().push_back((record, points));
        }
    }

    /// Takes the store's scores; what they include is no longer added.
    pub(super) fn refresh(&mut self, ranking: &Ranking) {
        if !ranking.applied.covers_all(&self.included) {
            return;
        }
        self.known = true;
        self.dirty = true;
        self.included = ranking.applied.clone();
        self.scores = ranking.scores.iter().map(|scored| (scored.user, scored.score)).collect();
        for (shard, records) in &mut self.since {
            while records.pop_front_if(|(record, _)| ranking.applied.covers(*shard, *record)).is_some() {}
            for Scored { user, score } in records.iter().flat_map(|(_, points)| points) {
                *self.scores.entry(*user).or_default() += score;
            }
        }
    }

    /// Whether viewers see this user on the board.
    pub(super) fn shows(&self, user: u64) -> bool {
        self.told.contains_key(&user)
    }

    /// What changed for viewers; `None` when nothing did or the store has not been read yet.
    pub(super) fn change(&mut self) -> Option<BoardChange> {
        if !self.known || !std::mem::take(&mut self.dirty) {
            return None;
        }
        let best = best(&self.scores);
        let told: FastMap<u64, u64> = best.iter().map(|scored| (scored.user, scored.score)).collect();
        let scores = best.into_iter().filter(|new| self.told.get(&new.user) != Some(&new.score)).collect::<Vec<_>>();
        let removed = self.told.keys().filter(|user| !told.contains_key(user)).copied().collect::<Vec<_>>();
        let reset = !std::mem::replace(&mut self.told_any, true);
        self.told = told;
        let change = BoardChange { reset, scores, removed };
        (change.reset || !change.scores.is_empty() || !change.removed.is_empty()).then_some(change)
    }

    /// Forgets what the store can say again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The best [`BOARD_USERS`], best first: by score, then the lower user ID.
fn best(scores: &FastMap<u64, u64>) -> Vec<Scored> {
    let mut all: Vec<Scored> = scores.iter().map(|(&user, &score)| Scored { user, score }).collect();
    let order = |scored: &Scored| (std::cmp::Reverse(scored.score), scored.user);
    if all.len() > BOARD_USERS {
        all.select_nth_unstable_by_key(BOARD_USERS, order);
        all.truncate(BOARD_USERS);
    }
    all.sort_unstable_by_key(order);
    all
}

#[cfg(test)]
mod tests;
