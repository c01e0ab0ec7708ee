//! The ranker: every 10 ms decides what the viewers of each awake room are shown.
//!
//! What it decides is pure ([`room`], [`select`], [`board`]); this file does the waiting. A room is armed by its first
//! candidate and asleep again when nothing is left to say: a silent room costs nothing. Gateways pull what was decided
//! from a room's [`frame_buffer`], each at its own pace.

mod board;
mod follow;
mod frame_buffer;
mod metrics;
mod recent;
mod room;
mod saver;
mod select;
mod sessions;
mod takeover;
mod waiting;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use barrage_core::{
    clock::unix_ms,
    health::Health,
    heat::Heat,
    link::{Caller, Candidates, FromConsumer, Peer},
    moderation::RoomRules,
    room::RoomId,
    routes::{Routes, Table},
    store::{Ledger, Ranking, Store},
    trace::{Stage, TraceParent, Tracer},
};
use frame_buffer::FrameBuffers;
use room::RankedRoom;
use saver::Saver;
use sessions::Sessions;
use takeover::Arriving;

pub use metrics::Metrics;

/// Names of the ranker's checks in [`Health`].
pub mod checks {
    /// Ledgers and scores can be read and written.
    pub const STORE: &str = "ledger";
}

/// The beat while candidates come.
const TICK: Duration = Duration::from_millis(10);
/// The beat of rooms that are awake but have no candidate: for their leaderboards, scores and ledgers.
const REST: Duration = Duration::from_millis(100);
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// How often what no longer serves anybody is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// Candidates taken at once, and those that wait to be taken.
const RECEIVE_MAX: usize = 1_024;
/// Answers of the store in the background, not yet taken.
const ANSWERS_QUEUE: usize = 64;

pub struct Deps {
    pub name: Peer,
    /// Ledgers and scores.
    pub store: Store,
    /// Which rooms are its own, and their settings.
    pub routes: Routes,
    /// Consumers and gateways that dial it.
    pub callers: mpsc::Receiver<Caller>,
    pub health: Health,
    pub heat: Heat,
    /// Goes on with the traces of candidates.
    pub tracer: Tracer,
    pub metrics: Metrics,
}

enum Answer {
    Scores(RoomId, Option<Ranking>),
    Ledger(RoomId, Ledger, RoomRules),
}

/// Candidates of a session, by the session's number.
type Offer = (u64, Candidates);

/// Runs until `shutdown` or until nobody can call any more and the last consumer has gone; then the last frames go out
/// and the ledgers are saved.
pub async fn run(deps: Deps, shutdown: CancellationToken) {
    let Deps { name, store, routes, callers, health, heat, tracer, metrics } = deps;
    let (answers, answered) = mpsc::channel(ANSWERS_QUEUE);
    let (offers, offered) = mpsc::channel(RECEIVE_MAX);
    let ranker = Ranker {
        name,
        saver: Saver::new(store.clone(), health.clone()),
        store,
        table: Arc::clone(&routes.borrow()),
        health,
        heat,
        tracer,
        metrics,
        frame_buffers: FrameBuffers::default(),
        rooms: HashMap::new(),
        arriving: HashMap::new(),
        awake: Vec::new(),
        answers,
        offers,
        sessions: Sessions::default(),
    };
    ranker.run(routes, callers, offered, answered, shutdown).await;
}

struct Ranker {
    name: Peer,
    store: Store,
    saver: Saver,
    table: Arc<Table>,
    health: Health,
    heat: Heat,
    tracer: Tracer,
    metrics: Metrics,
    frame_buffers: FrameBuffers,
    rooms: HashMap<RoomId, RankedRoom>,
    arriving: HashMap<RoomId, Arriving>,
    /// Rooms with something to do at the next tick.
    awake: Vec<RoomId>,
    answers: mpsc::Sender<Answer>,
    offers: mpsc::Sender<Offer>,
    sessions: Sessions,
}

impl Ranker {
    async fn run(
        mut self,
        mut routes: Routes,
        mut callers: mpsc::Receiver<Caller>,
        mut offered: mpsc::Receiver<Offer>,
        mut answered: mpsc::Receiver<Answer>,
        shutdown: CancellationToken,
    ) {
        let mut received = Vec::with_capacity(RECEIVE_MAX);
        let now = Instant::now();
        let (mut last_tick, mut next_tick, mut next_save, mut next_tidy) = (now, now, now, now + TIDY_EVERY);
        let mut may_be_called = true;
        while may_be_called || !self.sessions.open.is_empty() {
            tokio::select! {
                biased;
                () = sleep_until(next_tick), if !self.awake.is_empty() => {
                    self.tick();
                    last_tick = Instant::now();
                    next_tick = last_tick + REST;
                    if next_save <= last_tick {
                        next_save = last_tick + SAVE_EVERY;
                        self.save().await;
                    }
                }
                count = offered.recv_many(&mut received, RECEIVE_MAX) => {
                    // The first candidate after a rest does not wait for a beat, later ones for the next.
                    if count > 0 {
                        next_tick = next_tick.min(last_tick + TICK);
                    }
                    for (session, candidates) in received.drain(..) {
                        self.offer(session, candidates);
                    }
                }
                Some(answer) = answered.recv() => self.take_answer(answer),
                caller = callers.recv(), if may_be_called => match caller {
                    Some(Caller::Consumer(session)) => self.begin(session),
                    Some(Caller::Gateway(session)) => {
                        self.sessions.begun += 1;
                        let serving = follow::serve(session, self.sessions.begun, self.frame_buffers.clone());
                        self.sessions.gateways.spawn(serving);
                    }
                    None => may_be_called = false,
                },
                Some(ended) = self.sessions.tasks.join_next() => self.end(ended.ok()),
                Some(_) = self.sessions.gateways.join_next() => {}
                Ok(()) = routes.changed() => self.regroup(&Arc::clone(&routes.borrow_and_update())),
                () = sleep_until(next_tidy) => {
                    next_tidy = Instant::now() + TIDY_EVERY;
                    // Those that are gone have saved their ledgers when they sleep.
                    let table = &self.table;
                    self.rooms.retain(|id, room| room.awake || is_served(table, id));
                    self.frame_buffers.tidy(unix_ms(), |room| self.rooms.contains_key(room));
                }
                () = shutdown.cancelled() => break,
            }
        }
        while let Ok((session, candidates)) = offered.try_recv() {
            self.offer(session, candidates);
        }
        self.tick();
        self.saver.finish(&mut self.rooms, &self.frame_buffers, &self.sessions).await;
    }

    fn begin(&mut self, session: FromConsumer) {
        self.sessions.begun += 1;
        let id = self.sessions.begun;
        let FromConsumer { consumer, mut candidates, accounted } = session;
        tracing::info!(%consumer, "linked");
        let open = CancellationToken::new();
        self.sessions.open.insert(id, open.clone());
        self.sessions.accounted.insert(id, accounted);
        let offers = self.offers.clone();
        self.sessions.tasks.spawn(async move {
            let forward = async {
                while let Some(offer) = candidates.recv().await {
                    if offers.send((id, offer)).await.is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                () = forward => {}
                () = open.cancelled() => {}
            }
            id
        });
    }

    fn end(&mut self, id: Option<u64>) {
        let Some(id) = id else { return };
        self.sessions.open.remove(&id);
        self.sessions.accounted.remove(&id);
    }

    fn offer(&mut self, session: u64, candidates: Candidates) {
        if !self.sessions.takes(session, &candidates) {
            self.metrics.stale.inc_by(candidates.count() as u64);
            return;
        }
        self.metrics.arrived(&candidates);
        let id = candidates.room.clone();
        let Some(room) = self.rooms.get_mut(&id) else { return self.arrive(id, candidates) };
        if !room.awake {
            room.awake = true;
            self.awake.push(id);
        }
        self.metrics.offered(room.offer(candidates, unix_ms()));
    }

    /// A room that is not here yet: its candidates wait for its ledger.
    fn arrive(&mut self, id: RoomId, candidates: Candidates) {
        let arriving = self.arriving.entry(id.clone()).or_default();
        let mine = self.table.ranker_of(&id) == Some(&self.name);
        if mine && arriving.takes_over() {
            takeover::read_ledger(self.store.clone(), id.clone(), self.health.clone(), self.answers.clone());
        }
        if !arriving.hold(candidates) {
            tracing::warn!(room = %id, "too much waits for the room's ledger; consumers send it again");
            self.arriving.remove(&id);
            self.sessions.send_again();
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Scores(room, ranking) => {
                let top = users_ranked(&self.table, &room);
                if let Some(room) = self.rooms.get_mut(&room) {
                    room.refreshed(ranking, top);
                }
            }
            Answer::Ledger(id, ledger, rules) => self.take_over(&id, ledger, rules),
        }
    }

    fn take_over(&mut self, id: &RoomId, mut ledger: Ledger, rules: RoomRules) {
        // Given up meanwhile: whoever has it now takes a higher epoch.
        let Some(arriving) = self.arriving.remove(id) else { return };
        let frame_buffer = self.frame_buffers.find_or_make(id);
        ledger.epoch = ledger.epoch.max(frame_buffer.epoch_wanted());
        tracing::debug!(room = %id, epoch = ledger.epoch, "room taken over");
        frame_buffer.begin(ledger.epoch, &ledger.watermark);
        let budget = self.table.rooms.find(id.as_str()).map_or(0, |room| room.budget_per_second);
        let mut room = RankedRoom::new(ledger, rules, budget, unix_ms());
        for candidates in arriving.into_candidates() {
            self.metrics.offered(room.offer(candidates, unix_ms()));
        }
        room.awake = true;
        self.awake.push(id.clone());
        self.rooms.insert(id.clone(), room);
    }

    /// Follows the table: rooms that went to another ranker are let go, what waited for the table goes on.
    fn regroup(&mut self, table: &Arc<Table>) {
        let before = std::mem::replace(&mut self.table, Arc::clone(table));
        let mine = |id: &RoomId| table.ranker_of(id) == Some(&self.name);
        // One that was gone and is back begins anew: its data may have been removed meanwhile.
        let is_back = |id: &RoomId| is_served(table, id) && !is_served(&before, id);
        self.rooms.retain(|id, _| mine(id) && !is_back(id));
        self.frame_buffers.empty(is_back);
        for (id, arriving) in &mut self.arriving {
            if mine(id) && arriving.takes_over() {
                takeover::read_ledger(self.store.clone(), id.clone(), self.health.clone(), self.answers.clone());
            }
        }
        for (id, room) in &mut self.rooms {
            if let Some(settings) = table.rooms.find(id.as_str()) {
                room.set_budget(settings.budget_per_second);
            }
        }
    }

    fn tick(&mut self) {
        let began = Instant::now();
        let now_ms = unix_ms();
        for id in &self.awake {
            let Some(room) = self.rooms.get_mut(id) else { continue };
            let frame_buffer = self.frame_buffers.find_or_make(id);
            if room.raise_epoch(frame_buffer.epoch_wanted()) {
                frame_buffer.begin(room.epoch(), room.watermark());
            }
            if room.wants_scores(now_ms) {
                refresh(self.store.clone(), id.clone(), users_ranked(&self.table, id), self.answers.clone());
            }
            if let Some(mut frame) = room.tick(now_ms) {
                frame.traces = decided(&self.tracer, room.take_traced());
                self.metrics.emitted(&frame);
                let heat = self.heat.room(id);
                let bytes = frame.danmaku.iter().map(|danmaku| danmaku.content.len() as u64).sum();
                heat.frames(u32::try_from(frame.danmaku.len()).unwrap_or(u32::MAX), bytes);
                heat.shed(frame.left_out.sampled_out + frame.left_out.expired);
                frame_buffer.emit(frame, now_ms);
            }
        }
        let rooms = &mut self.rooms;
        self.awake.retain(|id| rooms.get_mut(id).is_some_and(|room| !room.falls_asleep(now_ms)));
        self.give_up_strangers(now_ms);
        self.heat.processed(began.elapsed());
        self.metrics.ticked(self.awake.len(), began.elapsed());
    }

    /// Rooms that a consumer says are here and the table does not: one of them is behind. If it is this one, what was
    /// held must come again, to whoever ranks the room.
    fn give_up_strangers(&mut self, now_ms: i64) {
        let before = self.arriving.len();
        self.arriving.retain(|_, arriving| !arriving.is_stranger(now_ms));
        if self.arriving.len() < before {
            self.sessions.send_again();
        }
    }

    async fn save(&mut self) {
        let taken = self.saver.save(&mut self.rooms, &self.frame_buffers, &self.sessions).await;
        for id in taken {
            tracing::warn!(room = %id, "another ranker has taken the room over");
            self.metrics.fenced.inc();
            self.rooms.remove(&id);
            // Should the table still say that it is here, it is taken back, from what the other has saved.
            self.sessions.send_again();
        }
    }
}

fn is_served(table: &Table, room: &RoomId) -> bool {
    table.serves(room)
}

/// Ends the decision about traced records; what gateways follow.
fn decided(tracer: &Tracer, traced: Vec<(TraceParent, i64)>) -> Vec<TraceParent> {
    let span = |(parent, since_ms): (TraceParent, i64)| {
        let since = UNIX_EPOCH + Duration::from_millis(since_ms.unsigned_abs());
        Some(tracer.follow_since(Stage::Decide, &parent, since)?.parent())
    };
    traced.into_iter().filter_map(span).collect()
}

/// Users that a room ranks.
fn users_ranked(table: &Table, id: &RoomId) -> u32 {
    table.rooms.find(id.as_str()).map_or(0, |room| room.ranking_top)
}

/// Reads a room's scores beside the beat.
fn refresh(store: Store, room: RoomId, top: u32, answers: mpsc::Sender<Answer>) {
    tokio::spawn(async move {
        let ranking = store.ranking(&room, top).await;
        if let Err(error) = &ranking {
            tracing::warn!(%room, %error, "the leaderboard goes on from the scores it has");
        }
        // The ranker that asked is gone: nobody wants to know.
        let _ = answers.send(Answer::Scores(room, ranking.ok())).await;
    });
}
