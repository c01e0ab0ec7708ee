//! Saves the books of rooms that moved, then tells the consumer what is accounted for.

use std::collections::HashMap;

use tokio::{sync::mpsc, task::JoinHandle};

use super::room::RankedRoom;
use crate::{
    link::Accounted,
    room::RoomId,
    store::{Books, Store},
};

type Outcome = (bool, Vec<Accounted>);

/// At most one save is under way, beside the beat.
pub(super) struct Saver {
    store: Store,
    accounted: mpsc::Sender<Accounted>,
    under_way: Option<JoinHandle<Outcome>>,
}

impl Saver {
    pub(super) const fn new(store: Store, accounted: mpsc::Sender<Accounted>) -> Self {
        Self { store, accounted, under_way: None }
    }

    /// Begins a save, unless one is still under way.
    pub(super) async fn save(&mut self, rooms: &mut HashMap<RoomId, RankedRoom>) {
        if self.under_way.as_ref().is_some_and(|save| !save.is_finished()) {
            return;
        }
        self.settle(rooms).await;
        let mut books: Vec<(RoomId, Books)> = Vec::new();
        let mut slices = Vec::new();
        for (id, room) in rooms.iter_mut().filter(|(_, room)| room.awake) {
            if let Some((of_room, accounted)) = room.books(id) {
                books.push((id.clone(), of_room));
                slices.extend(accounted);
            }
        }
        if !books.is_empty() {
            self.under_way = Some(tokio::spawn(save(self.store.clone(), self.accounted.clone(), books, slices)));
        }
    }

    /// Saves what is left and waits for it.
    pub(super) async fn finish(&mut self, rooms: &mut HashMap<RoomId, RankedRoom>) {
        self.settle(rooms).await;
        self.save(rooms).await;
        self.settle(rooms).await;
    }

    /// Takes in how the last save ended: what it could not do is due again.
    async fn settle(&mut self, rooms: &mut HashMap<RoomId, RankedRoom>) {
        let Some(save) = self.under_way.take() else { return };
        let Ok((done, slices)) = save.await else { return };
        for slice in slices {
            if let Some(room) = rooms.get_mut(&slice.room) {
                room.saved(&slice, done);
            }
        }
    }
}

async fn save(
    store: Store,
    accounted: mpsc::Sender<Accounted>,
    books: Vec<(RoomId, Books)>,
    slices: Vec<Accounted>,
) -> Outcome {
    if let Err(error) = store.save_books(books).await {
        tracing::warn!(%error, "books are saved later");
        return (false, slices);
    }
    for slice in &slices {
        // A consumer that is gone reads these records again; they are below the watermark then.
        let _ = accounted.send(slice.clone()).await;
    }
    (true, slices)
}
