//! What all shards of a gateway share: settings, the log and the store, and the rooms' counters.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use barrage_proto::v2::pb;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};

use super::{Config, Metrics, admission::Admission};
use crate::{
    link::BoardChange,
    log::Log,
    room::{Room, RoomId, Rooms},
    store::{Scored, Store},
    token::Keys,
};

/// A gateway, as its shards see it.
pub(super) struct Served {
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) keys: Arc<Keys>,
    pub(super) metrics: Metrics,
    pub(super) admission: Admission,
    rooms: HashMap<RoomId, Arc<ServedRoom>>,
    /// Longest recent broadcast of any shard, µs: what the flush interval follows.
    pub(super) broadcast_us: AtomicU64,
}

impl Served {
    pub(super) fn new(
        config: Config,
        log: Log,
        store: Store,
        rooms: &Rooms,
        keys: Arc<Keys>,
        metrics: Metrics,
    ) -> Self {
        let rooms = rooms.all().into_iter().map(|room| (room.id.clone(), Arc::new(ServedRoom::new(room))));
        Self {
            admission: Admission::new(config.connections_max, config.connections_per_address_max),
            rooms: rooms.collect(),
            config,
            log,
            store,
            keys,
            metrics,
            broadcast_us: AtomicU64::new(0),
        }
    }

    pub(super) fn room(&self, id: &str) -> Option<&Arc<ServedRoom>> {
        self.rooms.get(id)
    }

    pub(super) fn rooms(&self) -> impl Iterator<Item = &Arc<ServedRoom>> {
        self.rooms.values()
    }
}

/// A room at this gateway.
pub(super) struct ServedRoom {
    pub(super) room: Arc<Room>,
    /// Viewers at all shards.
    pub(super) viewers: AtomicU32,
    /// Danmaku/s sent to the room.
    pub(super) messages_per_second: AtomicU32,
    limiter: DefaultKeyedRateLimiter<u64>,
    board: Mutex<Option<HashMap<u64, u64>>>,
}

impl ServedRoom {
    fn new(room: &Arc<Room>) -> Self {
        let positive = |value: u32| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        // GCRA: a user may send `burst` at once and then one each 1/rate.
        let quota = Quota::per_second(positive(room.rate_per_second)).allow_burst(positive(room.burst));
        Self {
            room: Arc::clone(room),
            viewers: AtomicU32::new(0),
            messages_per_second: AtomicU32::new(0),
            limiter: RateLimiter::keyed(quota),
            board: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> &RoomId {
        &self.room.id
    }

    pub(super) fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Who watches and how much is said.
    pub(super) fn state(&self) -> pb::RoomState {
        pb::RoomState { viewers: self.viewers(), messages_per_second: self.messages_per_second.load(Ordering::Relaxed) }
    }

    /// Takes one of the user's sends from the room's limit.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub(super) fn take_send(&self, user: u64) -> Result<(), Duration> {
        self.limiter.check_key(&user).map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// Forgets users whose limit is untouched again.
    pub(super) fn forget_limits(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Follows the ranker's leaderboard.
    pub(super) fn change_board(&self, change: &BoardChange) {
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

    /// The leaderboard as viewers hold it, best first; `None` before the ranker said anything.
    pub(super) fn board(&self) -> Option<Vec<Scored>> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scores: Vec<_> = board.as_ref()?.iter().map(|(&user, &score)| Scored { user, score }).collect();
        scores.sort_unstable_by_key(|scored| (std::cmp::Reverse(scored.score), scored.user));
        Some(scores)
    }
}
