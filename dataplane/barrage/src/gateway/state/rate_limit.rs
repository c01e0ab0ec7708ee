//! The rate limit across gateways: who sends through several at once is held back by all of them.
//!
//! What this gateway's own bucket let through is told to the pool's limit beside the way to the log, so it costs no danmaku
//! any time, and for some flushes at once, one question a slice; whom the limit refuses has to wait from then on. So a user
//! can be over the limit by what this gateway's bucket lets through within [`GATHER`], not by more.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use barrage_proto::log::Record;
use tokio::{runtime::Handle, sync::Semaphore, time::sleep};

use super::room_state::RoomState;
use barrage_core::rate_limit::SharedRateLimit;
use barrage_core::room::RoomId;

/// Questions under way; more would only queue at a Redis that is behind.
const QUESTIONS_MAX: usize = 64;

const GATHER: Duration = Duration::from_millis(50);

/// Asks the pool's limit.
pub(crate) struct SharedLimit {
    limiter: Arc<dyn SharedRateLimit>,
    /// Where Redis is spoken to; workers have better things to do.
    runtime: Handle,
    questions: Arc<Semaphore>,
    told: Arc<Mutex<Told>>,
}

/// What users of each slice sent since the limit was asked.
type Told = HashMap<(RoomId, u32), (Arc<RoomState>, HashMap<u64, u32>)>;

impl SharedLimit {
    /// Asks on this runtime.
    pub(crate) fn new(limiter: Arc<dyn SharedRateLimit>) -> Self {
        Self {
            limiter,
            runtime: Handle::current(),
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            told: Arc::default(),
        }
    }

    /// Tells the limit what a record brought; its answer comes to the room.
    pub(crate) fn tell(&self, room: &Arc<RoomState>, record: &Record) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_empty() {
            self.runtime.spawn(ask_soon(
                Arc::clone(&self.limiter),
                Arc::clone(&self.questions),
                Arc::clone(&self.told),
            ));
        }
        let new = || (Arc::clone(room), HashMap::new());
        let (_, sent) = told.entry((room.id().clone(), record.shard)).or_insert_with(new);
        for entry in record.entries.iter().filter(|entry| entry.gift.is_none()) {
            *sent.entry(entry.user).or_default() += 1;
        }
    }
}

/// Lets what is told gather, then asks the limit about each slice.
async fn ask_soon(limiter: Arc<dyn SharedRateLimit>, questions: Arc<Semaphore>, told: Arc<Mutex<Told>>) {
    sleep(GATHER).await;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    for ((_, shard), (room, sent)) in told {
        // The limit that is not asked refuses nobody.
        let Ok(question) = Arc::clone(&questions).try_acquire_owned() else { return };
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move {
            ask(&*limiter, &room, shard, sent).await;
            drop(question);
        });
    }
}

async fn ask(limiter: &dyn SharedRateLimit, room: &RoomState, shard: u32, sent: HashMap<u64, u32>) {
    let sent: Vec<(u64, u32)> = sent.into_iter().collect();
    let settings = room.room();
    let allowed = limiter.take(room.id(), shard, &sent, settings.rate_per_second, settings.burst).await;
    for ((user, count), allowed) in sent.into_iter().zip(allowed) {
        if allowed.count < count {
            room.throttle(user, Duration::from_millis(allowed.wait_ms.into()));
        }
    }
}
