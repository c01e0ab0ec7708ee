//! The rooms of a worker, each made when its first viewer comes.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use barrage_proto::v2::Encoder;

use super::{local_room::LocalRoom, subscriber::Subscriber};
use crate::gateway::{metrics::Metrics, state::RoomState};

/// The rooms of a worker.
pub(crate) struct LocalRooms<V> {
    rooms: RefCell<HashMap<String, Rc<LocalRoom<V>>>>,
    encoder: Rc<RefCell<Encoder>>,
    metrics: Metrics,
}

impl<V: Subscriber> LocalRooms<V> {
    /// None yet; all of them encode with the worker's encoder.
    pub(crate) fn new(encoder: Rc<RefCell<Encoder>>, metrics: Metrics) -> Self {
        Self { rooms: RefCell::default(), encoder, metrics }
    }

    /// A room here.
    pub(crate) fn get(&self, state: &Arc<RoomState>) -> Rc<LocalRoom<V>> {
        let id = state.id().as_str();
        // One that was deleted and made again is another.
        if let Some(room) = self.rooms.borrow().get(id).filter(|room| Arc::ptr_eq(&room.state, state)) {
            return Rc::clone(room);
        }
        let room = LocalRoom::new(Arc::clone(state), Rc::clone(&self.encoder), self.metrics.clone());
        let room = Rc::new(room);
        self.rooms.borrow_mut().insert(id.to_owned(), Rc::clone(&room));
        room
    }

    /// Visits every viewer here.
    pub(crate) fn for_each_viewer(&self, mut visit: impl FnMut(&V)) {
        self.for_each(|room| room.for_each(&mut visit));
    }

    /// Lets go of what nobody needs any more; `close` is called for every viewer of a room that is gone.
    pub(crate) fn tidy(&self, now: Instant, close: impl Fn(&V)) {
        self.for_each(|room| {
            if room.state.closed.load(Ordering::Relaxed) {
                room.for_each(&close);
            }
            room.tidy(now);
        });
    }

    fn for_each(&self, mut visit: impl FnMut(&LocalRoom<V>)) {
        let rooms: Vec<_> = self.rooms.borrow().values().cloned().collect();
        rooms.iter().for_each(|room| visit(room));
    }
}
