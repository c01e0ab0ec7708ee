//! What all shards of a gateway share: settings, the log and the store, and the rooms' counters.

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
use barrage_proto::v2::pb;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use tokio::sync::mpsc;

use super::{
    Config, Metrics,
    acts::Awaited,
    admission::Admission,
    limit::{HeldBack, SharedLimit},
    moderated::Moderated,
    verdict::{Caller, Judge},
};
use barrage_core::{
    health::Health,
    heat::{Heat, RoomHeat},
    link::BoardChange,
    log::Log,
    rate_limit::SharedRateLimit,
    room::{Room, RoomId},
    routes::Routes,
    store::{Scored, Store},
    token::LiveKeys,
    trace::Tracer,
};

/// What a gateway serves from.
pub(super) struct Backing {
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) routes: Routes,
    pub(super) keys: LiveKeys,
    pub(super) heat: Heat,
    pub(super) limiter: Option<Arc<dyn SharedRateLimit>>,
    pub(super) tracer: Tracer,
}

/// Ways to the hub.
pub(super) struct Wishes {
    /// Rooms that have their first viewer at a shard.
    pub(super) wanted: mpsc::Sender<RoomId>,
    /// Acts that somebody waits for.
    pub(super) acts: mpsc::Sender<Awaited>,
}

/// A gateway, as its shards see it.
pub(super) struct Served {
    pub(super) config: Config,
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) keys: LiveKeys,
    pub(super) metrics: Metrics,
    pub(super) admission: Admission,
    /// Calls of outside moderators.
    pub(super) verdicts: Caller,
    pub(super) routes: Routes,
    pub(super) health: Health,
    heat: Heat,
    pub(super) tracer: Tracer,
    /// Where there are other gateways.
    pub(super) limit: Option<SharedLimit>,
    rooms: ArcSwap<HashMap<RoomId, Arc<ServedRoom>>>,
    wanted: mpsc::Sender<RoomId>,
    /// Acts that somebody waits for.
    pub(super) acts: mpsc::Sender<Awaited>,
}

impl Served {
    pub(super) fn new(config: Config, backing: Backing, health: Health, metrics: Metrics, wishes: Wishes) -> Self {
        let Wishes { wanted, acts } = wishes;
        let Backing { log, store, routes, keys, heat, limiter, tracer } = backing;
        let served = Self {
            verdicts: Caller::default(),
            admission: Admission::new(config.connections_max, config.connections_per_address_max),
            config,
            log,
            store,
            keys,
            metrics,
            routes,
            health,
            heat,
            tracer,
            limit: limiter.map(SharedLimit::new),
            rooms: ArcSwap::default(),
            wanted,
            acts,
        };
        served.follow_routes();
        served
    }

    pub(super) fn room(&self, id: &str) -> Option<Arc<ServedRoom>> {
        self.rooms.load().get(id).cloned()
    }

    pub(super) fn rooms(&self) -> Vec<Arc<ServedRoom>> {
        self.rooms.load().values().cloned().collect()
    }

    /// Takes in the rooms of the newest table: their settings change under their viewers, and who watches a room that
    /// is gone is sent away.
    pub(super) fn follow_routes(&self) {
        let table = Arc::clone(&self.routes.borrow());
        let old = self.rooms.load();
        let rooms = table.rooms.all().into_iter().map(|room| {
            let served = match old.get(&room.id) {
                Some(served) => {
                    served.change(room);
                    Arc::clone(served)
                }
                None => Arc::new(ServedRoom::new(room, self.heat.room(&room.id))),
            };
            (room.id.clone(), served)
        });
        let rooms: HashMap<_, _> = rooms.collect();
        for (_, gone) in old.iter().filter(|(id, _)| !rooms.contains_key(*id)) {
            gone.closed.store(true, Ordering::Relaxed);
        }
        self.rooms.store(Arc::new(rooms));
    }

    /// A room has its first viewer at a shard: its ranker is to be followed.
    pub(super) fn want(&self, room: &RoomId) {
        // Full: the hub looks for itself once a second.
        let _ = self.wanted.try_send(room.clone());
    }
}

/// A room at this gateway.
pub(super) struct ServedRoom {
    id: RoomId,
    pub(super) heat: RoomHeat,
    pub(super) held_back: HeldBack,
    settings: ArcSwap<Settings>,
    /// The table has it no more.
    pub(super) closed: AtomicBool,
    /// Viewers at all shards.
    pub(super) viewers: AtomicU32,
    /// Viewers at all gateways, as the ranker counts them.
    viewers_in_all: AtomicU32,
    /// Danmaku/s sent to the room.
    pub(super) messages_per_second: AtomicU32,
    /// What moderation came to, and what else decides whether a danmaku is taken.
    pub(super) moderated: Moderated,
    /// Its outside moderator, if it has one.
    pub(super) judge: Judge,
    /// Likes of viewers here that the log does not have yet.
    pub(super) likes: AtomicU64,
    /// Likes of all viewers, since the room exists.
    pub(super) likes_in_all: AtomicU64,
    /// How much goes on, as viewers are told.
    pub(super) heat_now: AtomicU32,
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

impl ServedRoom {
    fn new(room: &Arc<Room>, heat: RoomHeat) -> Self {
        Self {
            heat,
            held_back: HeldBack::default(),
            id: room.id.clone(),
            settings: ArcSwap::from_pointee(Settings::new(room)),
            closed: AtomicBool::new(false),
            viewers: AtomicU32::new(0),
            viewers_in_all: AtomicU32::new(0),
            messages_per_second: AtomicU32::new(0),
            moderated: Moderated::new(room),
            judge: Judge::default(),
            likes: AtomicU64::new(0),
            likes_in_all: AtomicU64::new(0),
            heat_now: AtomicU32::new(0),
            board: Mutex::new(None),
        }
    }

    pub(super) const fn id(&self) -> &RoomId {
        &self.id
    }

    /// Its settings now.
    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.settings.load().room)
    }

    fn change(&self, room: &Arc<Room>) {
        if self.settings.load().room != *room {
            self.settings.store(Arc::new(Settings::new(room)));
            self.moderated.change(room);
        }
    }

    pub(super) fn viewers(&self) -> u32 {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Viewers at all gateways; those here are never missing.
    pub(super) fn viewers_in_all(&self) -> u32 {
        self.viewers_in_all.load(Ordering::Relaxed).max(self.viewers())
    }

    /// The ranker has counted.
    pub(super) fn watched_by(&self, viewers: u32) {
        self.viewers_in_all.store(viewers, Ordering::Relaxed);
    }

    /// Who watches and how much is said.
    pub(super) fn state(&self) -> pb::RoomState {
        pb::RoomState {
            viewers: self.viewers_in_all(),
            messages_per_second: self.messages_per_second.load(Ordering::Relaxed),
            likes: self.likes_in_all.load(Ordering::Relaxed),
            heat: self.heat_now.load(Ordering::Relaxed),
        }
    }

    /// Takes one of the user's sends from the room's limit.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub(super) fn take_send(&self, user: u64) -> Result<(), Duration> {
        if let Some(wait) = self.held_back.wait(user) {
            return Err(wait);
        }
        let limiter = &self.settings.load().limiter;
        limiter.check_key(&user).map_err(|not_until| not_until.wait_time_from(limiter.clock().now()))
    }

    /// Forgets users whose limit is untouched again.
    pub(super) fn forget_limits(&self) {
        let limiter = &self.settings.load().limiter;
        limiter.retain_recent();
        limiter.shrink_to_fit();
        self.held_back.forget();
        self.moderated.forget_slow();
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

    /// Nobody follows the ranker any more: what it said grows old.
    pub(super) fn unfollowed(&self) {
        self.moderated.forget();
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The leaderboard as viewers hold it, best first; `None` before the ranker said anything.
    pub(super) fn board(&self) -> Option<Vec<Scored>> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scores: Vec<_> = board.as_ref()?.iter().map(|(&user, &score)| Scored { user, score }).collect();
        scores.sort_unstable_by_key(|scored| (std::cmp::Reverse(scored.score), scored.user));
        Some(scores)
    }
}
