//! Saves the ledgers of rooms that moved, then tells the consumers what is accounted for.
//!
//! Ledgers are saved up to the last frame that every gateway has (or that is over a second old): so whoever takes a room
//! over begins at or below what any gateway has shown, and no gateway misses a frame in between.

use std::collections::HashMap;

use tokio::{sync::mpsc, task::JoinHandle};

use super::{Sessions, checks, frame_buffer::FrameBuffers, room::RankedRoom};
use barrage_core::{
    clock::unix_ms,
    health::Health,
    link::Accounted,
    room::RoomId,
    store::{Ledger, Store},
};

type Accounts = Vec<(RoomId, Vec<Accounted>)>;

type Ways = HashMap<u32, mpsc::Sender<Accounted>>;

struct Outcome {
    saved: bool,
    accounts: Accounts,
    /// Rooms that somebody else has taken over.
    taken: Vec<RoomId>,
}

/// At most one save is under way, beside the beat.
pub(super) struct Saver {
    store: Store,
    health: Health,
    under_way: Option<JoinHandle<Outcome>>,
}

impl Saver {
    pub(super) const fn new(store: Store, health: Health) -> Self {
        Self { store, health, under_way: None }
    }

    /// Begins a save, unless one is still under way. Returns the rooms that the last one found taken over.
    pub(super) async fn save(
        &mut self,
        rooms: &mut HashMap<RoomId, RankedRoom>,
        frame_buffers: &FrameBuffers,
        sessions: &Sessions,
    ) -> Vec<RoomId> {
        if self.under_way.as_ref().is_some_and(|save| !save.is_finished()) {
            return Vec::new();
        }
        let taken = self.settle(rooms).await;
        let now_ms = unix_ms();
        let mut ledgers: Vec<(RoomId, Ledger)> = Vec::new();
        let mut accounts: Accounts = Vec::new();
        for (id, room) in rooms.iter_mut().filter(|(_, room)| room.awake) {
            let settled = frame_buffers.find_or_make(id).settled(room.epoch());
            if let Some((of_room, accounted)) = room.ledger(id, settled, now_ms) {
                ledgers.push((id.clone(), of_room));
                accounts.push((id.clone(), accounted));
            }
        }
        if !ledgers.is_empty() {
            let partitions = accounts.iter().flat_map(|(_, of_room)| of_room).map(|done| done.record.partition);
            let ways: Ways = partitions.filter_map(|p| Some((p, sessions.accounted(p)?.clone()))).collect();
            self.under_way = Some(tokio::spawn(save(self.store.clone(), self.health.clone(), ledgers, accounts, ways)));
        }
        taken
    }

    /// Saves what is left and waits for it.
    pub(super) async fn finish(
        &mut self,
        rooms: &mut HashMap<RoomId, RankedRoom>,
        frame_buffers: &FrameBuffers,
        sessions: &Sessions,
    ) {
        self.settle(rooms).await;
        self.save(rooms, frame_buffers, sessions).await;
        self.settle(rooms).await;
    }

    /// Takes in how the last save ended: what it could not do is due again.
    async fn settle(&mut self, rooms: &mut HashMap<RoomId, RankedRoom>) -> Vec<RoomId> {
        let Some(save) = self.under_way.take() else { return Vec::new() };
        let Ok(Outcome { saved, accounts, taken }) = save.await else { return Vec::new() };
        for (id, accounted) in accounts {
            if let Some(room) = rooms.get_mut(&id) {
                room.saved(&accounted, saved);
            }
        }
        taken
    }
}

async fn save(store: Store, health: Health, ledgers: Vec<(RoomId, Ledger)>, accounts: Accounts, ways: Ways) -> Outcome {
    match store.save_ledgers(ledgers).await {
        Err(error) => {
            health.degraded(checks::STORE, format!("{error}; rooms go on, their ledgers wait"));
            tracing::warn!(%error, "the ledgers are saved later");
            Outcome { saved: false, accounts, taken: Vec::new() }
        }
        Ok(taken) => {
            health.ok(checks::STORE);
            let of_saved = accounts.iter().filter(|(id, _)| !taken.contains(id)).flat_map(|(_, of_room)| of_room);
            for done in of_saved {
                if let Some(way) = ways.get(&done.record.partition) {
                    // A consumer that is gone reads these records again; they are below the watermark then.
                    let _ = way.send(done.clone()).await;
                }
            }
            Outcome { saved: true, accounts, taken }
        }
    }
}
