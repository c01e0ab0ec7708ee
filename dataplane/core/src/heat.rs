//! How much work every room makes. Stages feed a [`Heat`]; what is worth saying of 100,000 rooms once a second is decided
//! by [`Rounds`].

mod latency;
mod round;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::room::{RoomId, SHARDS};
use latency::Latency;
pub use round::Rounds;

/// What a process counts of its work. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Heat(Arc<Process>);

#[derive(Debug, Default)]
struct Process {
    rooms: Mutex<HashMap<RoomId, Arc<Counters>>>,
    lag: AtomicU64,
    processing_us: AtomicU64,
    shed: AtomicU32,
    routes_epoch: AtomicU64,
}

/// One room's part, kept by whoever works for the room: feeding it takes no lock.
#[derive(Debug, Clone)]
pub struct RoomHeat(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    messages: AtomicU32,
    bytes: AtomicU64,
    connections: AtomicU32,
    processing_us: AtomicU64,
    shed: AtomicU32,
    slices: OnceLock<Box<[SliceCounters; SHARDS as usize]>>,
    latency: OnceLock<Box<Latency>>,
}

#[derive(Debug, Default)]
struct SliceCounters {
    messages: AtomicU32,
    bytes: AtomicU64,
}

impl Heat {
    /// The part of a room.
    #[must_use]
    pub fn room(&self, id: &RoomId) -> RoomHeat {
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        RoomHeat(Arc::clone(rooms.entry(id.clone()).or_default()))
    }

    /// Records that wait for this process.
    pub fn lag(&self, records: u64) {
        self.0.lag.store(records, Relaxed);
    }

    /// Time that was worked, of no one room.
    pub fn processed(&self, took: Duration) {
        self.0.processing_us.fetch_add(micros(took), Relaxed);
    }

    /// Messages that were refused or left out, of no one room.
    pub fn shed(&self, messages: u32) {
        self.0.shed.fetch_add(messages, Relaxed);
    }

    /// Epoch of the route table that the process goes by from now on.
    pub fn goes_by(&self, epoch: u64) {
        self.0.routes_epoch.store(epoch, Relaxed);
    }

    pub fn take(&self) -> Taken {
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = rooms.iter().filter_map(|(id, counters)| Some((id.clone(), counters.take()?))).collect();
        // Nobody works for the others any more: only then is the count of owners one.
        rooms.retain(|_, counters| Arc::strong_count(counters) > 1);
        let process = &self.0;
        Taken {
            rooms: taken,
            lag: process.lag.load(Relaxed),
            processing_us: process.processing_us.swap(0, Relaxed),
            shed: process.shed.swap(0, Relaxed),
            routes_epoch: process.routes_epoch.load(Relaxed),
        }
    }
}

impl RoomHeat {
    /// Messages of one slice went through, with so many bytes.
    pub fn messages(&self, shard: u32, messages: u32, bytes: u64) {
        self.0.messages.fetch_add(messages, Relaxed);
        self.0.bytes.fetch_add(bytes, Relaxed);
        let slices = self.0.slices.get_or_init(Box::default);
        if let Some(slice) = slices.get(shard as usize) {
            slice.messages.fetch_add(messages, Relaxed);
            slice.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// Messages of no one slice went through: frames to viewers.
    pub fn frames(&self, messages: u32, bytes: u64) {
        self.0.messages.fetch_add(messages, Relaxed);
        self.0.bytes.fetch_add(bytes, Relaxed);
    }

    /// A danmaku is on its way to viewers, so long after a gateway received it.
    pub fn shown_after(&self, ms: u32) {
        self.0.latency.get_or_init(Box::default).took(ms);
    }

    /// A connection more.
    pub fn connected(&self) {
        self.0.connections.fetch_add(1, Relaxed);
    }

    /// A connection less; each must have been counted by [`Self::connected`].
    pub fn disconnected(&self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }

    /// Time that was worked for the room.
    pub fn processed(&self, took: Duration) {
        self.0.processing_us.fetch_add(micros(took), Relaxed);
    }

    /// Messages of the room that were refused or left out.
    pub fn shed(&self, messages: u32) {
        self.0.shed.fetch_add(messages, Relaxed);
    }
}

#[derive(Debug, Default)]
pub struct Taken {
    /// Rooms that are not silent.
    pub rooms: Vec<(RoomId, RoomTaken)>,
    pub lag: u64,
    pub processing_us: u64,
    pub shed: u32,
    pub routes_epoch: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomTaken {
    pub messages: u32,
    pub bytes: u64,
    pub connections: u32,
    pub processing_us: u64,
    pub shed: u32,
    pub latency_ms_p99: u32,
    /// By shard: messages and bytes. Empty when nothing was counted by slice.
    pub slices: Vec<(u32, u64)>,
}

impl Counters {
    /// `None` when there is nothing.
    fn take(&self) -> Option<RoomTaken> {
        let slice = |slice: &SliceCounters| (slice.messages.swap(0, Relaxed), slice.bytes.swap(0, Relaxed));
        let mut taken = RoomTaken {
            messages: self.messages.swap(0, Relaxed),
            bytes: self.bytes.swap(0, Relaxed),
            connections: self.connections.load(Relaxed),
            processing_us: self.processing_us.swap(0, Relaxed),
            shed: self.shed.swap(0, Relaxed),
            latency_ms_p99: self.latency.get().map_or(0, |latency| latency.take_p99()),
            slices: Vec::new(),
        };
        if taken == RoomTaken::default() {
            return None;
        }
        if let Some(slices) = self.slices.get().filter(|_| taken.messages > 0) {
            taken.slices = slices.iter().map(slice).collect();
        }
        Some(taken)
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_fed_is_taken_once_and_rooms_that_nobody_holds_are_forgotten() {
        let heat = Heat::default();
        let (demo, silent) = (heat.room(&"demo".into()), heat.room(&"silent".into()));
        demo.messages(3, 5, 100);
        demo.messages(4, 1, 10);
        demo.connected();
        demo.connected();
        demo.disconnected();
        demo.shed(2);
        heat.goes_by(7);
        let taken = heat.take();
        let [(id, room)] = &taken.rooms[..] else { panic!("{taken:?}") };
        assert_eq!((id.as_str(), room.messages, room.bytes, room.connections, room.shed), ("demo", 6, 110, 1, 2));
        assert_eq!((room.slices[3], room.slices[4], taken.routes_epoch), ((5, 100), (1, 10), 7));
        let again = heat.take();
        assert_eq!((again.rooms[0].1.messages, again.rooms[0].1.connections), (0, 1));
        drop((demo, silent));
        heat.take();
        assert!(heat.0.rooms.lock().unwrap().is_empty());
    }
}
