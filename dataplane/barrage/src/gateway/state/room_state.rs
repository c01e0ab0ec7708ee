//! A room at this gateway: its settings, its counters, its leaderboard, and what moderators did.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use barrage_proto::v2::{Encoder, pb};
use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use super::{
    moderation_hook::{HookCalls, ModerationClient, Question, Verdict},
    moderation_state::ModerationState,
    throttled::ThrottledUsers,
};
use crate::gateway::encode::{message, ranking_snapshot};
use barrage_core::{
    heat::RoomHeat,
    link::BoardChange,
    room::{Hook, Room, RoomId},
    store::Scored,
};

/// A room at this gateway.
pub(crate) struct RoomState {
    id: RoomId,
    pub(crate) heat: RoomHeat,
    throttled: ThrottledUsers,
    settings: ArcSwap<Settings>,
    /// The table has it no more.
    pub(crate) closed: AtomicBool,
    /// Viewers at all shards.
    pub(crate) viewers: AtomicU32,
    /// Viewers at all gateways, as the ranker counts them.
    viewers_in_all: AtomicU32,
    /// Danmaku/s sent to the room.
    pub(crate) messages_per_second: AtomicU32,
    /// What moderation came to, and what else decides whether a danmaku is taken.
    pub(crate) moderation: ModerationState,
    /// Calls of its outside moderator.
    hook_calls: HookCalls,
    /// Likes of viewers here that the log does not have yet.
    pub(crate) likes: AtomicU64,
    /// Likes of all viewers, since the room exists.
    pub(crate) likes_in_all: AtomicU64,
    /// How much goes on, as viewers are told.
    pub(crate) heat_now: AtomicU32,
    board: Mutex<Option<HashMap<u64, u64>>>,
}

struct Settings {
    room: Arc<Room>,
    limiter: DefaultKeyedRateLimiter<u64>,
}

impl Settings {
    fn new(room: &Arc<Room>) -> Self {
        let positive = |value: u32| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        // GCRA: a user may send `burst` at once and then one each 1/rate.
        let quota = Quota::per_second(positive(room.rate_per_second)).allow_burst(positive(room.burst));
        Self { room: Arc::clone(room), limiter: RateLimiter::keyed(quota) }
    }
}

impl RoomState {
    pub(crate) fn new(room: &Arc<Room>, heat: RoomHeat) -> Self {
        Self {
            heat,
            throttled: ThrottledUsers::default(),
            id: room.id.clone(),
            settings: ArcSwap::from_pointee(Settings::new(room)),
            closed: AtomicBool::new(false),
            viewers: AtomicU32::new(0),
            viewers_in_all: AtomicU32::new(0),
            messages_per_second: AtomicU32::new(0),
            moderation: ModerationState::new(room),
            hook_calls: HookCalls::default(),
            likes: AtomicU64::new(0),
            likes_in_all: AtomicU64::new(0),
            heat_now: AtomicU32::new(0),
            board: Mutex::new(None),
        }
    }

    pub(crate) const fn id(&self) -> &RoomId {
        &self.id
    }

    /// Its settings now.
    pub(crate) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.settings.load().room)
    }

    /// Takes up new settings.
    pub(super) fn change(&self, room: &Arc<Room>) {
        if self.settings.load().room != *room {
            self.settings.store(Arc::new(Settings::new(room)));
            self.moderation.change(room);
        }
    }

    pub(crate) fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Viewers at all gateways; those here are never missing.
    pub(crate) fn viewers_in_all(&self) -> u32 {
        self.viewers_in_all.load(Ordering::Relaxed).max(self.viewers())
    }

    /// The ranker has counted.
    pub(crate) fn watched_by(&self, viewers: u32) {
        self.viewers_in_all.store(viewers, Ordering::Relaxed);
    }

    pub(crate) fn summary(&self) -> pb::RoomState {
        pb::RoomState {
            viewers: self.viewers_in_all(),
            messages_per_second: self.messages_per_second.load(Ordering::Relaxed),
            likes: self.likes_in_all.load(Ordering::Relaxed),
            heat: self.heat_now.load(Ordering::Relaxed),
        }
    }

    /// A version 2 message of all that flushes change: for a viewer that skipped some.
    pub(crate) fn encode_whole(&self, encoder: &mut Encoder) -> Bytes {
        let mut frames = Vec::new();
        encoder.encode(&ranking_snapshot(&self.board().unwrap_or_default()), &mut frames);
        encoder.encode(&self.summary(), &mut frames);
        encoder.encode(&self.moderation.settings(&self.room()), &mut frames);
        encoder.encode(&self.moderation.highlights(), &mut frames);
        message(&frames)
    }

    /// Asks the room's outside moderator.
    pub(crate) async fn ask(&self, client: &ModerationClient, hook: &Arc<Hook>, question: Question) -> Option<Verdict> {
        client.ask(&self.id, &self.hook_calls, hook, question).await
    }

    /// The limit that gateways share holds a user back.
    pub(super) fn throttle(&self, user: u64, wait: Duration) {
        self.throttled.hold(user, wait);
    }

    /// Takes one of the user's sends from the room's limit.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub(crate) fn take_send(&self, user: u64) -> Result<(), Duration> {
        if let Some(wait) = self.throttled.wait(user) {
            return Err(wait);
        }
        let limiter = &self.settings.load().limiter;
        limiter.check_key(&user).map_err(|not_until| not_until.wait_time_from(limiter.clock().now()))
    }

    /// Forgets users whose limit is untouched again.
    pub(crate) fn forget_limits(&self) {
        let limiter = &self.settings.load().limiter;
        limiter.retain_recent();
        limiter.shrink_to_fit();
        self.throttled.forget();
        self.moderation.forget_slow();
    }

    /// Follows the ranker's leaderboard.
    pub(crate) fn change_board(&self, change: &BoardChange) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let board = board.get_or_insert_default();
        if change.reset {
            board.clear();
        }
        for user in &change.removed {
            board.remove(user);
        }
        board.extend(change.scores.iter().map(|scored| (scored.user, scored.score)));
    }

    /// Nobody follows the ranker any more: what it said grows old.
    pub(crate) fn unfollowed(&self) {
        self.moderation.forget();
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The leaderboard as viewers hold it, best first; `None` before the ranker said anything.
    pub(crate) fn board(&self) -> Option<Vec<Scored>> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scores: Vec<_> = board.as_ref()?.iter().map(|(&user, &score)| Scored { user, score }).collect();
        scores.sort_unstable_by_key(|scored| (std::cmp::Reverse(scored.score), scored.user));
        Some(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::{find, room, room_state, types};

    fn scores(change: &[(u64, u64)]) -> Vec<Scored> {
        change.iter().map(|&(user, score)| Scored { user, score }).collect()
    }

    #[test]
    fn a_user_may_send_a_burst_and_then_waits() {
        let state = room_state(|manifest| {
            manifest.spec.rate_limit.messages_per_second = 1;
            manifest.spec.rate_limit.burst = 3;
        });
        let sent: Vec<_> = (0..5).map(|_| state.take_send(7).is_ok()).collect();
        assert_eq!(sent, [true, true, true, false, false]);
        assert!(state.take_send(7).is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(state.take_send(8), Ok(()), "another user has a limit of its own");
    }

    #[test]
    fn the_limit_of_all_gateways_holds_back_whom_this_one_would_let_send() {
        let state = room_state(|_| {});
        state.throttle(7, Duration::from_secs(60));
        assert!(state.take_send(7).is_err_and(|wait| wait > Duration::from_secs(50)));
        assert_eq!(state.take_send(8), Ok(()));
        state.throttle(7, Duration::ZERO);
        state.forget_limits();
        assert_eq!(state.take_send(7), Ok(()));
    }

    #[test]
    fn settings_change_under_a_room() {
        let state = room_state(|manifest| {
            manifest.spec.rate_limit.messages_per_second = 1;
            manifest.spec.rate_limit.burst = 1;
        });
        assert!(state.take_send(7).is_ok() && state.take_send(7).is_err());
        state.change(&state.room());
        assert!(state.take_send(7).is_err(), "the same settings change nothing");
        state.change(&room(|manifest| manifest.spec.moderation.slow_mode_seconds = 9));
        assert_eq!((state.take_send(7), state.room().slow_mode_s), (Ok(()), 9));
    }

    #[test]
    fn viewers_here_are_never_missing_from_all_viewers() {
        let state = room_state(|_| {});
        state.viewers.store(5, Ordering::Relaxed);
        state.watched_by(3);
        assert_eq!(state.viewers_in_all(), 5, "the ranker has not counted yet");
        state.watched_by(9);
        state.likes_in_all.store(4, Ordering::Relaxed);
        let summary = state.summary();
        assert_eq!((state.viewers(), summary.viewers, summary.likes), (5, 9, 4));
    }

    #[test]
    fn the_leaderboard_follows_its_ranker() {
        let state = room_state(|_| {});
        assert!(state.board().is_none());
        let change = |reset, change: &[_], removed: &[_]| {
            state.change_board(&BoardChange { reset, scores: scores(change), removed: removed.to_vec() });
            let board = state.board().unwrap_or_default();
            board.into_iter().map(|scored| (scored.user, scored.score)).collect::<Vec<_>>()
        };
        assert_eq!(change(true, &[(1, 5), (2, 9), (3, 5)], &[]), [(2, 9), (1, 5), (3, 5)], "best first, then by user");
        assert_eq!(change(false, &[(1, 10)], &[2]), [(1, 10), (3, 5)]);
        assert_eq!(change(true, &[(4, 1)], &[]), [(4, 1)]);
        state.unfollowed();
        assert!(state.board().is_none());
    }

    #[test]
    fn a_viewer_that_skipped_flushes_is_told_all_that_they_change() {
        let state = room_state(|manifest| manifest.spec.moderation.slow_mode_seconds = 3);
        state.change_board(&BoardChange { reset: true, scores: scores(&[(1, 5)]), removed: Vec::new() });
        let message = state.encode_whole(&mut Encoder::plain());
        assert_eq!(types(&message).len(), 4);
        assert_eq!(find::<pb::RankingSnapshot>(&message)[0].score, [5]);
        assert_eq!(find::<pb::RoomSettings>(&message)[0].slow_mode_s, 3);
    }
}
