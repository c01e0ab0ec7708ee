//! One room at its ranker: a pure state machine of candidates in, frames out.

use std::collections::BTreeMap;

use barrage_proto::{Cursor, Position};

use super::{
    board::Board,
    recent::RecentTexts,
    select::{Allowance, select},
};
use crate::{
    link::{Accounted, Candidates, Danmaku, LeftOut, RoomFrame},
    room::RoomId,
    store::{Books, Counts, Ranking},
};

/// Danmaku that reach the ranker later than this after their receipt are not shown any more.
const EXPIRED_MS: i64 = 5_000;
/// The leaderboard is looked over at most this often: twice a second reads as live.
const BOARD_EVERY_MS: i64 = 500;
/// Scores are read from the store again after this long: soon where the store named its best N and others may rise
/// among them, seldom where it named everybody, so that what is counted here is the whole.
const REFRESH_MS: i64 = 1_000;
const REFRESH_WHOLE_MS: i64 = 10_000;
/// A room with nothing to say for this long sleeps.
const ASLEEP_AFTER_MS: i64 = 3_000;

/// What became of offered candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offered {
    /// Waiting for the next tick.
    pub(super) taken: u64,
    /// At or below the watermark: seen before.
    pub(super) seen: u64,
    /// Too late to be shown.
    pub(super) expired: u64,
}

/// A room's state.
pub(super) struct RankedRoom {
    /// Kept by the ranker: whether the room is on its list of armed rooms.
    pub(super) awake: bool,
    epoch: u64,
    number: u64,
    counts: Counts,
    watermark: Cursor,
    /// The watermark's slices that moved since the last frame, and since the books were last saved.
    moved: Cursor,
    unsaved: Cursor,
    /// Receipt times within a slice never fall, whatever the gateways' clocks say.
    received_ms: BTreeMap<u32, i64>,
    pending: Vec<(u32, Danmaku)>,
    left_out: LeftOut,
    allowance: Allowance,
    recent: RecentTexts,
    board: Board,
    board_due_ms: i64,
    refresh_due_ms: i64,
    refreshing: bool,
    saving: bool,
    last_candidate_ms: i64,
}

impl RankedRoom {
    /// Takes a room over from its books, in the next epoch.
    pub(super) fn new(books: Books, budget_per_second: u32, now_ms: i64) -> Self {
        Self {
            awake: false,
            epoch: books.epoch + 1,
            number: 0,
            counts: books.counts,
            watermark: books.watermark,
            moved: Cursor::default(),
            unsaved: Cursor::default(),
            received_ms: BTreeMap::new(),
            pending: Vec::new(),
            left_out: LeftOut::default(),
            allowance: Allowance::new(budget_per_second, now_ms),
            recent: RecentTexts::default(),
            board: Board::default(),
            board_due_ms: now_ms,
            refresh_due_ms: now_ms,
            refreshing: false,
            saving: false,
            last_candidate_ms: now_ms,
        }
    }

    /// Takes one record's danmaku.
    pub(super) fn offer(&mut self, candidates: Candidates, now_ms: i64) -> Offered {
        self.last_candidate_ms = now_ms;
        let Candidates { shard, record, danmaku, .. } = candidates;
        let whole = Position { index: u32::MAX, ..record };
        self.unsaved.advance(shard, whole);
        let mut offered = Offered::default();
        if self.watermark.covers(shard, whole) {
            offered.seen = danmaku.len() as u64;
            return offered;
        }
        self.watermark.advance(shard, whole);
        self.moved.advance(shard, whole);
        for mut danmaku in danmaku {
            self.board.add(shard, danmaku.position, danmaku.user);
            if now_ms - danmaku.received_ms > EXPIRED_MS {
                offered.expired += 1;
                continue;
            }
            let latest = self.received_ms.entry(shard).or_insert(danmaku.received_ms);
            *latest = danmaku.received_ms.max(*latest);
            danmaku.received_ms = *latest;
            offered.taken += 1;
            self.pending.push((shard, danmaku));
        }
        self.left_out.expired += u32::try_from(offered.expired).unwrap_or(u32::MAX);
        offered
    }

    /// Decides the next frame; `None` when there is nothing to say.
    pub(super) fn tick(&mut self, now_ms: i64) -> Option<RoomFrame> {
        let board = if now_ms >= self.board_due_ms { self.board.change() } else { None };
        if board.is_some() {
            self.board_due_ms = now_ms + BOARD_EVERY_MS;
        }
        if self.moved.is_empty() && board.is_none() {
            return None;
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|(shard, danmaku)| (danmaku.received_ms, *shard, danmaku.position));
        let candidates = pending.into_iter().map(|(_, danmaku)| danmaku).collect();
        let selection =
            select(candidates, &mut self.allowance, &mut self.recent, |user| self.board.shows(user), now_ms);
        let left_out = LeftOut {
            merged: selection.merged,
            sampled_out: selection.sampled_out,
            expired: std::mem::take(&mut self.left_out).expired,
        };
        self.count(selection.shown.len(), left_out);
        self.number += 1;
        Some(RoomFrame {
            epoch: self.epoch,
            number: self.number,
            watermark: std::mem::take(&mut self.moved),
            danmaku: selection.shown,
            merges: selection.merges,
            left_out,
            board,
        })
    }

    fn count(&mut self, shown: usize, left_out: LeftOut) {
        self.counts.shown += shown as u64;
        self.counts.merged += u64::from(left_out.merged);
        self.counts.sampled_out += u64::from(left_out.sampled_out);
        self.counts.expired += u64::from(left_out.expired);
    }

    /// Whether the scores should be read again now; true once until [`Self::refreshed`].
    pub(super) fn wants_scores(&mut self, now_ms: i64) -> bool {
        if self.refreshing || now_ms < self.refresh_due_ms {
            return false;
        }
        self.refreshing = true;
        self.refresh_due_ms = now_ms + REFRESH_MS;
        true
    }

    /// Scores as the store has them, asked for the best `top`, or `None` when it could not say.
    pub(super) fn refreshed(&mut self, ranking: Option<Ranking>, top: u32) {
        self.refreshing = false;
        if let Some(ranking) = ranking {
            if ranking.scores.len() < top as usize {
                self.refresh_due_ms += REFRESH_WHOLE_MS - REFRESH_MS;
            }
            self.board.refresh(&ranking);
        }
    }

    /// Books to save, with the slices that they newly account for; `None` when nothing moved.
    ///
    /// Asked between ticks, when every danmaku up to the last frame's watermark is counted; candidates that wait for
    /// the next tick are not accounted for yet.
    pub(super) fn books(&mut self, id: &RoomId) -> Option<(Books, Vec<Accounted>)> {
        if self.unsaved.is_empty() || !self.moved.is_empty() {
            return None;
        }
        self.saving = true;
        let accounted = std::mem::take(&mut self.unsaved);
        let accounted = accounted.iter().map(|(shard, record)| Accounted { room: id.clone(), shard, record }).collect();
        let books = Books { epoch: self.epoch, counts: self.counts, watermark: self.watermark.clone() };
        Some((books, accounted))
    }

    /// The save of a slice's account is over; what could not be saved is due again.
    pub(super) fn saved(&mut self, slice: &Accounted, done: bool) {
        self.saving = false;
        if !done {
            self.unsaved.advance(slice.shard, slice.record);
        }
    }

    /// Viewers did not get the last frame: the leaderboard that they hold is no longer known.
    pub(super) fn frame_was_lost(&mut self) {
        self.board.forget_told();
    }

    /// Whether the room has nothing left to do; then it forgets what can be read again.
    pub(super) fn falls_asleep(&mut self, now_ms: i64) -> bool {
        let busy = !self.pending.is_empty() || !self.unsaved.is_empty() || self.refreshing || self.saving;
        if busy || now_ms - self.last_candidate_ms < ASLEEP_AFTER_MS {
            return false;
        }
        self.awake = false;
        self.board.forget();
        self.recent = RecentTexts::default();
        true
    }
}

#[cfg(test)]
mod tests;
