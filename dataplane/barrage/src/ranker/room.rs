//! One room at its ranker: a pure state machine of candidates in, frames out.

use std::collections::{BTreeMap, VecDeque};

use barrage_proto::{Cursor, Position};

use super::{
    board::Board,
    recent::RecentTexts,
    select::{Allowance, Candidate, select},
    waiting::Waiting,
};
use barrage_core::{
    link::{Accounted, Candidates, Danmaku, LeftOut, RoomFrame, role_of},
    moderation::{Act, RoomRules},
    room::RoomId,
    store::{Counts, Ledger, Ranking, Scored, block},
    trace::TraceParent,
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
/// A frame that is older than this is settled, whatever gateways say.
const SETTLED_AFTER_MS: i64 = 1_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offered {
    /// Waiting for the next tick.
    pub(super) taken: u64,
    /// At or below the watermark: seen before.
    pub(super) seen: u64,
    /// Too late to be shown.
    pub(super) expired: u64,
}

impl std::ops::AddAssign for Offered {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.seen += other.seen;
        self.expired += other.expired;
    }
}

/// A room's state.
pub(super) struct RankedRoom {
    /// Kept by the ranker: whether the room is on its list of armed rooms.
    pub(super) awake: bool,
    epoch: u64,
    number: u64,
    counts: Counts,
    watermark: Cursor,
    /// The watermark's slices that moved since the last frame.
    moved: Cursor,
    /// The ledger as of each frame that some gateway may lack, oldest first, and as of the last that all have.
    unsettled: VecDeque<Unsettled>,
    settled: Ledger,
    /// The last record of each slice that its consumer waits to hear of.
    owed: BTreeMap<u32, Position>,
    /// Receipt times within a slice never fall, whatever the gateways' clocks say.
    received_ms: BTreeMap<u32, i64>,
    waiting: Waiting,
    left_out: LeftOut,
    rules: RoomRules,
    /// Acts that gateways are to be told of with the next frame.
    acts: Vec<Act>,
    /// Likes that gateways know of.
    told_likes: u64,
    allowance: Allowance,
    recent: RecentTexts,
    board: Board,
    board_due_ms: i64,
    refresh_due_ms: i64,
    refreshing: bool,
    saving: bool,
    /// The last save failed.
    unsaved: bool,
    last_candidate_ms: i64,
    /// Traced records that came since the last frame, and when.
    traced: Vec<(TraceParent, i64)>,
}

/// The ledger as of a frame.
struct Unsettled {
    number: u64,
    at_ms: i64,
    counts: Counts,
    watermark: Cursor,
}

impl RankedRoom {
    /// Takes a room over with its ledger, in its epoch.
    pub(super) fn new(ledger: Ledger, rules: RoomRules, budget_per_second: u32, now_ms: i64) -> Self {
        Self {
            awake: false,
            epoch: ledger.epoch,
            number: 0,
            counts: ledger.counts,
            watermark: ledger.watermark.clone(),
            moved: Cursor::default(),
            unsettled: VecDeque::new(),
            settled: ledger,
            owed: BTreeMap::new(),
            received_ms: BTreeMap::new(),
            waiting: Waiting::default(),
            left_out: LeftOut::default(),
            rules,
            acts: Vec::new(),
            told_likes: 0,
            allowance: Allowance::new(budget_per_second, now_ms),
            recent: RecentTexts::default(),
            board: Board::default(),
            board_due_ms: now_ms,
            refresh_due_ms: now_ms,
            refreshing: false,
            saving: false,
            unsaved: false,
            last_candidate_ms: now_ms,
            traced: Vec::new(),
        }
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last record of each slice that was taken.
    pub(super) const fn watermark(&self) -> &Cursor {
        &self.watermark
    }

    /// Goes above an epoch that gateways have seen already; whether that changed it.
    pub(super) const fn raise_epoch(&mut self, wanted: u64) -> bool {
        let raised = wanted > self.epoch;
        if raised {
            (self.epoch, self.number) = (wanted, 0);
        }
        raised
    }

    /// Danmaku/s that a viewer is shown.
    pub(super) fn set_budget(&mut self, per_second: u32) {
        self.allowance.set(per_second);
    }

    /// Takes one record's danmaku.
    pub(super) fn offer(&mut self, candidates: Candidates, now_ms: i64) -> Offered {
        self.last_candidate_ms = now_ms;
        let &Candidates { shard, record, trace, .. } = &candidates;
        // Told where the rules did not have it, also where the rest was seen before: whoever had the room then may know
        // more than the store does. And told where it is new here: the rules are the store's, which may be ahead of the
        // gateways.
        let watermark = &self.watermark;
        let is_news = |act: &Act| self.rules.take(act) || !watermark.covers(shard, act.position);
        self.acts.extend(candidates.acts().filter(is_news));
        let whole = Position { index: u32::MAX, ..record };
        let owed = self.owed.entry(shard).or_insert(whole);
        *owed = whole.max(*owed);
        let mut offered = Offered::default();
        if self.watermark.covers(shard, whole) {
            offered.seen = candidates.count() as u64;
            return offered;
        }
        self.advance(shard, whole);
        self.counts.likes += candidates.likes();
        self.traced.extend(trace.map(|trace| (trace, now_ms)));
        let mut points = Vec::with_capacity(candidates.said.entries.len());
        let latest = self.received_ms.entry(shard).or_insert(i64::MIN);
        self.waiting.begin(record, &candidates.said);
        for (position, entry) in candidates.danmaku() {
            points.push(Scored { user: entry.user, score: block::points(entry) });
            let received_ms = candidates.received_ms(entry);
            if now_ms - received_ms > EXPIRED_MS {
                offered.expired += 1;
                continue;
            }
            *latest = received_ms.max(*latest);
            offered.taken += 1;
            // By the time that the log has, which is what the history goes by.
            if self.rules.hides(position, entry.user, role_of(entry), received_ms) {
                self.left_out.deleted += 1;
                continue;
            }
            self.waiting.add(shard, *latest, position.index);
        }
        self.board.add(shard, record, points);
        self.left_out.expired += u32::try_from(offered.expired).unwrap_or(u32::MAX);
        offered
    }

    fn advance(&mut self, shard: u32, to: Position) {
        self.watermark.advance(shard, to);
        self.moved.advance(shard, to);
    }

    /// Decides the next frame; `None` when there is nothing to say.
    pub(super) fn tick(&mut self, now_ms: i64) -> Option<RoomFrame> {
        let board = if now_ms >= self.board_due_ms { self.board.change() } else { None };
        if board.is_some() {
            self.board_due_ms = now_ms + BOARD_EVERY_MS;
        }
        if self.moved.is_empty() && board.is_none() && self.acts.is_empty() {
            return None;
        }
        let (mut waiting, mut left_out) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.left_out));
        let waited = waiting.len();
        let candidates: Vec<_> = waiting.sorted().filter(|one| self.is_visible(one)).collect();
        left_out.deleted += u32::try_from(waited - candidates.len()).unwrap_or(u32::MAX);
        let selection =
            select(candidates, &mut self.allowance, &mut self.recent, |user| self.board.shows(user), now_ms);
        (left_out.merged, left_out.sampled_out) = (selection.merged, selection.sampled_out);
        let shown: Vec<_> = selection.shown.iter().map(shown).collect();
        self.count(shown.len(), left_out);
        self.number += 1;
        let (number, counts, watermark) = (self.number, self.counts, self.watermark.clone());
        self.unsettled.push_back(Unsettled { number, at_ms: now_ms, counts, watermark });
        Some(RoomFrame {
            epoch: self.epoch,
            number: self.number,
            watermark: std::mem::take(&mut self.moved),
            danmaku: shown,
            merges: selection.merges,
            left_out,
            board,
            acts: std::mem::take(&mut self.acts),
            likes: if std::mem::replace(&mut self.told_likes, self.counts.likes) == self.counts.likes {
                0
            } else {
                self.counts.likes
            },
            traces: Vec::new(),
        })
    }

    /// Traced records that the last frame accounts for, and when they came.
    pub(super) fn take_traced(&mut self) -> Vec<(TraceParent, i64)> {
        std::mem::take(&mut self.traced)
    }

    /// Whether moderation lets it be seen, by what is known now.
    fn is_visible(&self, Candidate { position, received_ms, entry }: &Candidate<'_>) -> bool {
        !self.rules.hides(*position, entry.user, role_of(entry), *received_ms)
    }

    fn count(&mut self, shown: usize, left_out: LeftOut) {
        self.counts.shown += shown as u64;
        self.counts.merged += u64::from(left_out.merged);
        self.counts.sampled_out += u64::from(left_out.sampled_out);
        self.counts.expired += u64::from(left_out.expired);
        self.counts.deleted += u64::from(left_out.deleted);
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

    /// The ledger to save, with what it newly accounts for; `None` when there is nothing new.
    ///
    /// They are as of the last frame that every gateway has: `settled`, or any where nobody follows.
    pub(super) fn ledger(
        &mut self,
        id: &RoomId,
        settled: Option<u64>,
        now_ms: i64,
    ) -> Option<(Ledger, Vec<Accounted>)> {
        let settles = |frame: &mut Unsettled| {
            settled.is_none_or(|settled| frame.number <= settled) || now_ms - frame.at_ms > SETTLED_AFTER_MS
        };
        let mut moved = std::mem::take(&mut self.unsaved);
        while let Some(Unsettled { counts, watermark, .. }) = self.unsettled.pop_front_if(settles) {
            self.settled = Ledger { epoch: self.epoch, counts, watermark };
            moved = true;
        }
        self.settled.epoch = self.epoch;
        let settled = &self.settled.watermark;
        let done = self.owed.extract_if(.., |shard, record| settled.covers(*shard, *record));
        let accounted = |(shard, record)| Accounted { room: id.clone(), shard, record };
        let accounted: Vec<_> = done.map(accounted).collect();
        if !moved && accounted.is_empty() {
            return None;
        }
        self.saving = true;
        Some((self.settled.clone(), accounted))
    }

    /// The save of the ledger is over; what could not be saved is due again.
    pub(super) fn saved(&mut self, accounted: &[Accounted], done: bool) {
        self.saving = false;
        self.unsaved |= !done;
        for Accounted { shard, record, .. } in accounted.iter().filter(|_| !done) {
            let owed = self.owed.entry(*shard).or_insert(*record);
            *owed = (*record).max(*owed);
        }
    }

    /// Whether the room has nothing left to do; then it forgets what can be read again.
    pub(super) fn falls_asleep(&mut self, now_ms: i64) -> bool {
        let waits = !self.waiting.is_empty() || !self.acts.is_empty() || !self.owed.is_empty();
        let busy = waits || !self.unsettled.is_empty() || self.refreshing || self.saving || self.unsaved;
        if busy || now_ms - self.last_candidate_ms < ASLEEP_AFTER_MS {
            return false;
        }
        self.awake = false;
        self.board.forget();
        self.recent = RecentTexts::default();
        true
    }
}

/// A danmaku as it is shown.
fn shown(&Candidate { position, received_ms, entry }: &Candidate<'_>) -> Danmaku {
    // A copy: it is a part of its record, which may have a thousand times as much; somebody may keep it for minutes.
    // Gateways write UTF-8 alone, and take nothing else from here.
    let content = String::from_utf8_lossy(&entry.content).into_owned().into();
    Danmaku { content, ..Danmaku::of(position, entry, received_ms) }
}

#[cfg(test)]
mod tests;
