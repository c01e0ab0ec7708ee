//! A room as the hub follows it: what came from its rankers, and what of it viewers have.

use std::{collections::VecDeque, sync::atomic::Ordering};

use barrage_proto::{Cursor, Position, v2::pb};
use tokio::time::Instant;

use crate::gateway::{encode::Content, metrics::Metrics, state::RoomState};
use barrage_core::link::{BoardChange, RoomFrame, Snapshot};

/// Seconds that messages/s is averaged over.
const RATE_WINDOW_S: usize = 3;

/// Seconds that heat is smoothed over.
const HEAT_SMOOTHED_S: f64 = 30.0;
/// Acts that somebody may wait for.
const ACTED_MAX: usize = 1_024;

/// A room's state at this gateway.
pub(super) struct RoomSubscription {
    /// Epoch and number of the last frame taken.
    pub(super) last: (u64, u64),
    /// What was taken, by any ranker: nothing at or below it is shown again.
    pub(super) watermark: Cursor,
    pub(super) cursor_due: bool,
    /// Danmaku of the last seconds, the current one first.
    rate: VecDeque<u32>,
    /// Viewers and messages/s as viewers know them.
    pub(super) state: pb::RoomState,
    /// Viewers here as the ranker knows them.
    pub(super) told_viewers: u32,
    /// Something was lost on the way: the next flush carries the leaderboard and the state whole.
    pub(super) resync: bool,
    pub(super) wanted: Instant,
    /// When its next flush may come, or a moment before, together with those of other rooms.
    pub(super) flush_due: Instant,
    /// The session that it is followed on.
    pub(super) session: Option<u64>,
    /// Acts of late, each with the frame that it came in.
    acted: VecDeque<(u32, Position, (u64, u64))>,
    /// The last frame with acts that every gateway has.
    settled: (u64, u64),
    /// Gifts of this second.
    gifts: u32,
    heat: f64,
    told_heat: u32,
}

impl Default for RoomSubscription {
    fn default() -> Self {
        Self {
            last: (0, 0),
            watermark: Cursor::default(),
            cursor_due: false,
            rate: VecDeque::new(),
            state: pb::RoomState::default(),
            told_viewers: 0,
            resync: false,
            wanted: Instant::now(),
            flush_due: Instant::now(),
            session: None,
            acted: VecDeque::new(),
            settled: (0, 0),
            gifts: 0,
            heat: 0.0,
            told_heat: 0,
        }
    }
}

impl RoomSubscription {
    /// Takes what a ranker goes on from.
    ///
    /// A new ranker begins at or below what this gateway has; what it decides again is not shown again. If it begins
    /// above, what lies between is missed. Either way acts of moderation may be: gives whether that can be.
    pub(super) fn take_snapshot(&mut self, snapshot: Snapshot, room: Option<&RoomState>, metrics: &Metrics) -> bool {
        let Snapshot { epoch, number, watermark, board } = snapshot;
        if epoch < self.last.0 {
            metrics.stale_frames.inc();
            return false;
        }
        let begins = self.last == (0, 0);
        if !begins && !self.watermark.covers_all(&watermark) {
            metrics.missed_frames.inc();
            self.resync = true;
        }
        if epoch > self.last.0 || number > self.last.1 {
            self.last = (epoch, number);
        }
        self.watermark.merge(&watermark);
        if let (Some(room), false) = (room, board.is_empty()) {
            room.change_board(&BoardChange { reset: true, scores: board, removed: Vec::new() });
            self.resync |= !begins;
        }
        !begins
    }

    /// Takes a frame into what is flushed next.
    pub(super) fn take_frame(
        &mut self,
        frame: &RoomFrame,
        room: Option<&RoomState>,
        content: &mut Content,
        metrics: &Metrics,
    ) {
        if (frame.epoch, frame.number) <= self.last {
            metrics.stale_frames.inc();
            return;
        }
        if frame.epoch == self.last.0 && frame.number > self.last.1 + 1 {
            metrics.missed_frames.inc_by(frame.number - self.last.1 - 1);
            self.resync = true;
        }
        self.last = (frame.epoch, frame.number);
        if let Some(oldest_ms) = frame.danmaku.iter().map(|shown| shown.received_ms).min() {
            metrics.frame_age.observe(oldest_ms);
        }
        self.cursor_due |= !frame.watermark.is_empty();
        let left_out = frame.left_out;
        let count = u32::try_from(frame.danmaku.len()).unwrap_or(u32::MAX);
        let count = count + left_out.merged + left_out.sampled_out + left_out.expired;
        self.rate.resize(RATE_WINDOW_S.max(self.rate.len()), 0);
        self.rate[0] += count;
        let gifts = frame.danmaku.iter().filter(|danmaku| danmaku.gift().is_some()).count();
        self.gifts += u32::try_from(gifts).unwrap_or(u32::MAX);
        if let (Some(room), Some(change)) = (room, &frame.board) {
            room.change_board(change);
        }
        // A ranker that took the room over decides anew about what the one before had shown.
        let shard = |user| barrage_core::room::shard_of(user);
        let fresh = frame.danmaku.iter().filter(|shown| !self.watermark.covers(shard(shown.user), shown.position));
        let from = content.danmaku.len();
        content.danmaku.extend(fresh.cloned());
        if let Some(room) = room {
            room.moderation.take_frame(&room.room(), &frame.acts, from, content);
            if frame.likes > 0 {
                room.likes_in_all.store(frame.likes, Ordering::Relaxed);
            }
        }
        let over = (self.acted.len() + frame.acts.len()).saturating_sub(ACTED_MAX);
        self.acted.drain(..over.min(self.acted.len()));
        self.acted.extend(frame.acts.iter().map(|act| (act.shard, act.position, self.last)));
        self.watermark.merge(&frame.watermark);
        content.watermark.merge(&frame.watermark);
        content.merges.extend_from_slice(&frame.merges);
        content.left_out.merged += left_out.merged;
        content.left_out.sampled_out += left_out.sampled_out;
        content.left_out.expired += left_out.expired;
        content.board.extend(frame.board.clone());
    }

    /// Every gateway has the frames up to this one.
    pub(super) fn settle(&mut self, frame: (u64, u64)) {
        self.settled = frame.max(self.settled);
    }

    /// Whether every gateway that follows the room has been told of an act.
    pub(super) fn is_settled(&self, shard: u32, position: Position) -> bool {
        self.acted.iter().any(|&(of, at, frame)| of == shard && at == position && frame <= self.settled)
    }

    /// How much goes on: danmaku a minute, a gift as ten; asked once a second, before [`Self::messages_per_second`].
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn heat(&mut self) -> u32 {
        let events = self.rate.front().copied().unwrap_or_default() + 9 * std::mem::take(&mut self.gifts);
        self.heat += (f64::from(events) * 60.0 - self.heat) / HEAT_SMOOTHED_S;
        let now = self.heat.round() as u32;
        // What moves by less than a tenth is no news: viewers are told when anything of the state changes.
        if now == 0 || now.abs_diff(self.told_heat) * 10 > self.told_heat {
            self.told_heat = now;
        }
        self.told_heat
    }

    /// The mean of the last seconds, rounded up so that a lone danmaku shows; begins the next second.
    pub(super) fn messages_per_second(&mut self) -> u32 {
        let sum: u32 = self.rate.iter().sum();
        self.rate.push_front(0);
        self.rate.truncate(RATE_WINDOW_S);
        sum.div_ceil(u32::try_from(RATE_WINDOW_S).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use barrage_proto::{Position, v2::pb::Role};

    use super::*;
    use barrage_core::{link::Danmaku, room::shard_of};

    const USER: u64 = 7;

    fn at(offset: u64) -> Position {
        Position { partition: 1, offset, index: u32::MAX }
    }

    fn frame(epoch: u64, number: u64, offsets: &[u64]) -> RoomFrame {
        let danmaku = offsets.iter().map(|&offset| Danmaku {
            position: Position { index: 0, ..at(offset) },
            user: USER,
            session: 1,
            seq: offset,
            role: Role::Viewer,
            sent_ms: 0,
            received_ms: 0,
            content: b"x".as_slice().into(),
            ..Danmaku::default()
        });
        let watermark = offsets.iter().map(|&offset| (shard_of(USER), at(offset))).collect();
        RoomFrame { epoch, number, danmaku: danmaku.collect(), watermark, ..RoomFrame::default() }
    }

    fn shown(subscription: &mut RoomSubscription, frame: &RoomFrame) -> Vec<u64> {
        let mut content = Content::default();
        subscription.take_frame(frame, None, &mut content, &Metrics::default());
        content.danmaku.iter().map(|danmaku| danmaku.position.offset).collect()
    }

    #[test]
    fn a_takeover_repeats_nothing_and_a_lower_epoch_shows_nothing() {
        let mut subscription = RoomSubscription::default();
        assert_eq!(shown(&mut subscription, &frame(3, 1, &[1, 2])), [1, 2]);
        assert_eq!(shown(&mut subscription, &frame(3, 1, &[1, 2])), Vec::<u64>::new(), "seen before");
        let base =
            Snapshot { epoch: 4, watermark: [(shard_of(USER), at(1))].into_iter().collect(), ..Snapshot::default() };
        subscription.take_snapshot(base, None, &Metrics::default());
        assert!(!subscription.resync);
        assert_eq!(shown(&mut subscription, &frame(4, 1, &[2, 3])), [3]);
        assert_eq!(shown(&mut subscription, &frame(3, 2, &[3, 4])), Vec::<u64>::new(), "a former ranker");
        assert_eq!(subscription.last, (4, 1));
    }

    #[test]
    fn a_takeover_above_what_was_shown_is_a_hole() {
        let mut subscription = RoomSubscription::default();
        shown(&mut subscription, &frame(3, 1, &[1]));
        let base =
            Snapshot { epoch: 4, watermark: [(shard_of(USER), at(5))].into_iter().collect(), ..Snapshot::default() };
        subscription.take_snapshot(base, None, &Metrics::default());
        assert!(subscription.resync);
        assert_eq!(shown(&mut subscription, &frame(4, 1, &[6])), [6]);
    }
}
