//! The ranker: every 10 ms decides what the viewers of each awake room are shown.
//!
//! What it decides is pure ([`room`], [`select`], [`board`]); this file does the waiting. A room is armed by its first
//! candidate and asleep again when nothing is left to say: a silent room costs nothing.

mod board;
mod metrics;
mod recent;
mod room;
mod saver;
mod select;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::unix_ms,
    link::{Candidates, Frame, FromConsumer},
    room::{RoomId, Rooms},
    store::{Ranking, Store},
};
use room::RankedRoom;
use saver::Saver;

pub use metrics::Metrics;

/// The beat while candidates come.
const TICK: Duration = Duration::from_millis(10);
/// The beat of rooms that are awake but have no candidate: for their leaderboards, scores and books.
const REST: Duration = Duration::from_millis(100);
/// How often books of rooms that moved are saved.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// How long to wait before a read of the store that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Candidates taken at once.
const RECEIVE_MAX: usize = 1_024;
/// Scores read in the background, not yet taken.
const REFRESHED_QUEUE: usize = 64;

/// What a ranker works with.
pub struct Deps {
    /// Books and scores.
    pub store: Store,
    /// Rooms that are served.
    pub rooms: Rooms,
    /// Where candidates come from.
    pub consumer: FromConsumer,
    /// The gateway that follows every room.
    pub gateway: mpsc::Sender<Frame>,
    /// What is counted.
    pub metrics: Metrics,
}

/// Runs until `shutdown` or until no consumer is left; then the last frames go out and the books are saved.
pub async fn run(deps: Deps, shutdown: CancellationToken) {
    let Deps { store, rooms, consumer, gateway, metrics } = deps;
    let (refreshed, refreshes) = mpsc::channel(REFRESHED_QUEUE);
    let ranker = Ranker {
        saver: Saver::new(store.clone(), consumer.accounted),
        store,
        configured: rooms,
        gateway,
        metrics,
        rooms: HashMap::new(),
        awake: Vec::new(),
        refreshed,
    };
    ranker.run(consumer.candidates, refreshes, shutdown).await
}

struct Ranker {
    store: Store,
    saver: Saver,
    configured: Rooms,
    gateway: mpsc::Sender<Frame>,
    metrics: Metrics,
    rooms: HashMap<RoomId, RankedRoom>,
    /// Rooms with something to do at the next tick.
    awake: Vec<RoomId>,
    refreshed: mpsc::Sender<(RoomId, Option<Ranking>)>,
}

impl Ranker {
    async fn run(
        mut self,
        mut candidates: mpsc::Receiver<Candidates>,
        mut refreshes: mpsc::Receiver<(RoomId, Option<Ranking>)>,
        shutdown: CancellationToken,
    ) {
        let mut received = Vec::with_capacity(RECEIVE_MAX);
        let (mut last_tick, mut next_tick, mut next_save) = (Instant::now(), Instant::now(), Instant::now());
        loop {
            tokio::select! {
                biased;
                () = sleep_until(next_tick), if !self.awake.is_empty() => {
                    self.tick();
                    last_tick = Instant::now();
                    next_tick = last_tick + REST;
                    if next_save <= last_tick {
                        next_save = last_tick + SAVE_EVERY;
                        self.saver.save(&mut self.rooms).await;
                    }
                }
                count = candidates.recv_many(&mut received, RECEIVE_MAX) => {
                    if count == 0 {
                        break;
                    }
                    // The first candidate after a rest does not wait for a beat, later ones for the next.
                    next_tick = next_tick.min(last_tick + TICK);
                    for batch in received.drain(..) {
                        self.offer(batch).await;
                    }
                }
                Some((room, ranking)) = refreshes.recv() => {
                    let top = users_ranked(&self.configured, &room);
                    if let Some(room) = self.rooms.get_mut(&room) {
                        room.refreshed(ranking, top);
                    }
                }
                () = shutdown.cancelled() => break,
            }
        }
        self.tick();
        self.saver.finish(&mut self.rooms).await;
    }

    async fn offer(&mut self, candidates: Candidates) {
        let id = candidates.room.clone();
        if !self.rooms.contains_key(&id) {
            let room = self.take_over(&id).await;
            self.rooms.insert(id.clone(), room);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if !room.awake {
            room.awake = true;
            self.awake.push(id);
        }
        let outcome = room.offer(candidates, unix_ms());
        self.metrics.offered(outcome);
    }

    async fn take_over(&self, id: &RoomId) -> RankedRoom {
        // Without its books a room would count and show again what it has; its candidates wait.
        let books = loop {
            match self.store.books(id).await {
                Ok((books, _)) => break books,
                Err(error) => tracing::warn!(room = %id, %error, "taking the room over is tried again"),
            }
            sleep(RETRY_AFTER).await;
        };
        let budget = self.configured.find(id.as_str()).map_or(0, |room| room.budget_per_second);
        tracing::debug!(room = %id, epoch = books.epoch + 1, "room taken over");
        RankedRoom::new(books, budget, unix_ms())
    }

    fn tick(&mut self) {
        let began = Instant::now();
        let now_ms = unix_ms();
        for id in &self.awake {
            let Some(room) = self.rooms.get_mut(id) else { continue };
            if room.wants_scores(now_ms) {
                let top = users_ranked(&self.configured, id);
                refresh(self.store.clone(), id.clone(), top, self.refreshed.clone());
            }
            if let Some(frame) = room.tick(now_ms) {
                self.metrics.emitted(&frame);
                if self.gateway.try_send((id.clone(), Arc::new(frame))).is_err() {
                    self.metrics.dropped_frames.inc();
                    room.frame_was_lost();
                }
            }
        }
        let rooms = &mut self.rooms;
        self.awake.retain(|id| rooms.get_mut(id).is_some_and(|room| !room.falls_asleep(now_ms)));
        self.metrics.ticked(self.awake.len(), began.elapsed());
    }
}

/// Users that a room ranks.
fn users_ranked(rooms: &Rooms, id: &RoomId) -> u32 {
    rooms.find(id.as_str()).map_or(0, |room| room.ranking_top)
}

/// Reads a room's scores beside the beat.
fn refresh(store: Store, room: RoomId, top: u32, refreshed: mpsc::Sender<(RoomId, Option<Ranking>)>) {
    tokio::spawn(async move {
        let ranking = store.ranking(&room, top, 0).await;
        if let Err(error) = &ranking {
            tracing::warn!(%room, %error, "the leaderboard goes on from the scores it has");
        }
        // The ranker that asked is gone: nobody wants to know.
        let _ = refreshed.send((room, ranking.ok())).await;
    });
}
