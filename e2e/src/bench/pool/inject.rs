//! Danmaku of 100,000 users, few of whom talk much, into the publisher of a gateway: as many lanes as it has shards, each
//! with one append under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use barrage::gateway::Injector;
use barrage_core::{
    log::{Log, LogError},
    room::RoomId,
    routes::Routes,
};
use barrage_proto::log::Entry;
use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Zipf};
use tokio::{task::JoinSet, time::sleep};

use crate::bench::{BenchError, sample::Sample};

/// Users, and how much the n-th talks: as much as 1 / n of the first.
pub(super) const USERS: u32 = 100_000;
const EXPONENT: f64 = 1.0;
/// Danmaku that are made up before; then they come again.
const MADE_UP: usize = 1 << 20;
/// User IDs begin behind this one.
const USER_BASE: u64 = 1_000_000;
/// Danmaku that a lane takes before it looks at its append.
const TURN: u64 = 2_048;
const BEAT: Duration = Duration::from_millis(1);

/// What everybody says, in turn, over and over.
pub(super) struct Chatter {
    turn: Vec<Said>,
    counts: Vec<u64>,
}

struct Said {
    user: u64,
    /// The how many-th of the user in the turn, from 0 on.
    nth: u64,
    content: Bytes,
}

impl Chatter {
    pub(super) fn new(sample: &Sample) -> Result<Self, BenchError> {
        let users = Zipf::new(f64::from(USERS), EXPONENT).map_err(BenchError::refused("making users up"))?;
        let mut random = StdRng::seed_from_u64(1);
        let texts: Vec<_> = sample.danmaku.iter().map(|one| Bytes::copy_from_slice(one.content.as_bytes())).collect();
        let said = texts.iter().cycle().take(MADE_UP);
        #[expect(clippy::cast_possible_truncation, reason = "a rank is a whole number up to the number of users")]
        let said = said.map(|text| (users.sample(&mut random) as usize, text.clone()));
        let mut counts = vec![0_u64; USERS as usize + 1];
        let turn = said.map(|(user, content)| {
            let nth = counts[user];
            counts[user] += 1;
            Said { user: USER_BASE + user as u64, nth, content }
        });
        Ok(Self { turn: turn.collect(), counts })
    }

    /// The danmaku of this number; everybody has one session, and counts up in it.
    pub(super) fn entry(&self, number: u64) -> Entry {
        let (turns, Said { user, nth, content }) = self.at(number);
        let seq = turns * self.counts[index_of(*user)] + nth + 1;
        // As a gateway does it: the text is a part of what came.
        let content = content.clone();
        Entry { user: *user, session: 1, seq, role: 1, sent_ms: 1_696_118_400_000, content, ..Entry::default() }
    }

    /// How much each user said in the first `count` danmaku.
    pub(super) fn scores(&self, count: u64) -> Vec<(u64, u64)> {
        let mut scores = vec![0_u64; USERS as usize + 1];
        for number in 0..count {
            scores[index_of(self.at(number).1.user)] += 1;
        }
        (USER_BASE..).zip(scores).filter(|(_, score)| *score > 0).collect()
    }

    /// Turns before it, and what is said.
    fn at(&self, number: u64) -> (u64, &Said) {
        let turn = self.turn.len() as u64;
        (number / turn, &self.turn[usize::try_from(number % turn).unwrap_or_default()])
    }
}

pub(super) fn room_of(user: u64, rooms: usize) -> usize {
    usize::try_from(user % rooms.max(1) as u64).unwrap_or_default()
}

fn index_of(user: u64) -> usize {
    usize::try_from(user - USER_BASE).unwrap_or_default()
}

/// Lanes at work.
pub(super) struct Injection {
    shared: Arc<Shared>,
    lanes: JoinSet<Result<(), LogError>>,
}

struct Shared {
    chatter: Arc<Chatter>,
    rooms: Vec<RoomId>,
    /// The number of the next danmaku.
    next: AtomicU64,
    /// Below this number danmaku may be published now.
    allowed: AtomicU64,
    acknowledged: AtomicU64,
    appends: AtomicU64,
    /// Danmaku in one append at the most.
    append_max: u64,
    ended: AtomicBool,
}

impl Injection {
    /// Starts `lanes` lanes into rooms, each user into [one](room_of). They publish what they are allowed to; nothing at first.
    pub(super) fn start(
        chatter: &Arc<Chatter>,
        (log, routes): (&Log, &Routes),
        rooms: &[RoomId],
        lanes: usize,
        append_max: u64,
    ) -> Self {
        let shared = Arc::new(Shared {
            chatter: Arc::clone(chatter),
            rooms: rooms.to_vec(),
            next: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            appends: AtomicU64::new(0),
            append_max,
            ended: AtomicBool::new(false),
        });
        let injectors = (0..lanes).map(|_| Injector::new(log.clone(), routes.clone()));
        let lanes = injectors.map(|injector| lane(Arc::clone(&shared), injector)).collect();
        Self { shared, lanes }
    }

    /// Danmaku below this number may be published.
    pub(super) fn allow(&self, below: u64) {
        self.shared.allowed.fetch_max(below, Ordering::Relaxed);
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Danmaku of an append, in the mean.
    pub(super) fn per_append(&self) -> f64 {
        self.acknowledged() as f64 / self.shared.appends.load(Ordering::Relaxed).max(1) as f64
    }

    /// Publishes what was begun; gives how many danmaku were acknowledged in all.
    pub(super) async fn end(mut self) -> Result<u64, BenchError> {
        self.shared.ended.store(true, Ordering::Relaxed);
        while let Some(lane) = self.lanes.join_next().await {
            let lane = lane.map_err(|_| BenchError::Meaningless("a lane panicked".to_owned()))?;
            lane.map_err(BenchError::refused("publishing"))?;
        }
        Ok(self.acknowledged())
    }
}

async fn lane(shared: Arc<Shared>, mut injector: Injector) -> Result<(), LogError> {
    let mut pushed = 0;
    loop {
        let (count, append) = injector.append();
        let mut append = std::pin::pin!(append);
        pushed -= count;
        let began = Instant::now();
        loop {
            pushed += shared.fill(&mut injector, shared.append_max.saturating_sub(pushed));
            if count == 0 {
                break;
            }
            tokio::select! {
                biased;
                appended = &mut append => {
                    appended?;
                    injector.settle();
                    shared.acknowledged.fetch_add(count, Ordering::Relaxed);
                    shared.appends.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                () = sleep(BEAT) => {}
            }
        }
        if pushed == 0 {
            if shared.ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            sleep(BEAT.saturating_sub(began.elapsed())).await;
        }
    }
}

impl Shared {
    /// Pushes what is allowed now, `most` at the most.
    fn fill(&self, injector: &mut Injector, most: u64) -> u64 {
        let mut pushed = 0;
        while pushed < most.min(TURN) && injector.has_room() && !self.ended.load(Ordering::Relaxed) {
            let allowed = self.allowed.load(Ordering::Relaxed);
            let taken = self
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < allowed).then_some(next + 1));
            let Ok(number) = taken else { break };
            let entry = self.chatter.entry(number);
            injector.push(&self.rooms[room_of(entry.user, self.rooms.len())], entry);
            pushed += 1;
        }
        pushed
    }
}
