//! What a process says of its rooms in one second. Pure.
//!
//! A room is said when its heat has changed by more than a tenth, else once a minute, at a second of its own: 100,000
//! rooms do not come at once. A room of which nothing was said for a minute is silent. What is said is an average of the
//! last seconds, because one message a second would else change by 100 % every second.

use std::collections::HashMap;

use barrage_proto::heat::{Load, RoomLoad};
use prost::Message;

use super::{RoomTaken, Taken};
use crate::room::{RoomId, hash};

/// Weight of the newest second: an average over about its inverse, 4 s.
const NEWEST: f64 = 0.25;
/// Below so little an average is silence.
const SILENCE: f64 = 0.05;
/// All rooms are said within this, s.
const WHOLE_S: u64 = 60;
/// What arrives by chance at 30 messages/s makes an average of this weight differ by ± 2 (√(30 × 0.25 / 1.75)) most of
/// the time, which is no news.
const MESSAGES_LEAST: f64 = 3.0;
/// Three messages of some length.
const BYTES_LEAST: f64 = 1_024.0;
/// Below so much a change of the latency is no news.
const LATENCY_LEAST_MS: u32 = 50;
/// A report is one record; a broker takes records of 1 MiB.
const REPORT_BYTES_MAX: usize = 256 * 1024;
/// A room of so many messages/s may need its slices spread, so they are said too.
const SLICES_FROM: f64 = 100.0;

#[derive(Debug, Default)]
pub struct Rounds {
    rooms: HashMap<RoomId, Course>,
}

/// A room's averages, and what was said last.
#[derive(Debug, Default)]
struct Course {
    messages: f64,
    bytes: f64,
    processing_us: f64,
    shed: f64,
    connections: u32,
    latency_ms_p99: u32,
    slices: Vec<(f64, f64)>,
    said: Option<Load>,
}

impl Rounds {
    /// The process's total of the second that ended, and what to say of its rooms, in records of bounded size.
    /// `second` counts seconds of any start.
    pub fn round(&mut self, second: u64, taken: Taken) -> (Load, Vec<Vec<RoomLoad>>) {
        let mut total =
            Load { lag: taken.lag, processing_us: taken.processing_us, shed: taken.shed, ..Load::default() };
        let mut now: HashMap<RoomId, RoomTaken> = HashMap::with_capacity(taken.rooms.len());
        for (id, room) in taken.rooms {
            total.messages = total.messages.saturating_add(room.messages);
            total.bytes += room.bytes;
            total.connections += room.connections;
            total.processing_us += room.processing_us;
            total.shed = total.shed.saturating_add(room.shed);
            self.rooms.entry(id.clone()).or_default();
            now.insert(id, room);
        }
        let mut said = Vec::new();
        self.rooms.retain(|id, course| {
            course.feed(&now.remove(id).unwrap_or_default());
            let (load, silent) = (course.load(), course.is_silent());
            let turn = hash(&[id.as_str().as_bytes()]) % WHOLE_S == second % WHOLE_S;
            if turn && !silent || course.has_changed(&load) {
                said.push(course.say(id, load));
            }
            !silent
        });
        (total, bounded(said))
    }
}

impl Course {
    fn feed(&mut self, now: &RoomTaken) {
        let first = self.said.is_none() && self.messages == 0.0;
        // A new room has no past to be averaged with.
        let weight = if first { 1.0 } else { NEWEST };
        let feed = |average: &mut f64, now: f64| *average += weight * (now - *average);
        feed(&mut self.messages, now.messages.into());
        feed(&mut self.bytes, float(now.bytes));
        feed(&mut self.processing_us, float(now.processing_us));
        feed(&mut self.shed, now.shed.into());
        self.connections = now.connections;
        // The highest, which fades: a spike is seen by who looks a few seconds later.
        self.latency_ms_p99 = now.latency_ms_p99.max(self.latency_ms_p99 - self.latency_ms_p99.div_ceil(4));
        if self.messages < SLICES_FROM {
            return self.slices.clear();
        }
        self.slices.resize(self.slices.len().max(now.slices.len()), (0.0, 0.0));
        for (shard, slice) in self.slices.iter_mut().enumerate() {
            let (messages, bytes) = now.slices.get(shard).copied().unwrap_or_default();
            feed(&mut slice.0, messages.into());
            feed(&mut slice.1, float(bytes));
        }
    }

    fn load(&self) -> Load {
        Load {
            messages: rounded(self.messages),
            bytes: rounded(self.bytes).into(),
            connections: self.connections,
            lag: 0,
            processing_us: rounded(self.processing_us).into(),
            shed: rounded(self.shed),
            latency_ms_p99: self.latency_ms_p99,
        }
    }

    fn is_silent(&self) -> bool {
        self.connections == 0 && self.messages < SILENCE && self.shed < SILENCE
    }

    /// By more than a tenth, and by more than chance makes of it.
    fn has_changed(&self, load: &Load) -> bool {
        let Some(said) = self.said else { return !self.is_silent() };
        let changed = |now: f64, said: f64, least: f64| (now - said).abs() >= least && (now - said).abs() * 10.0 > said;
        self.is_silent()
            || changed(self.messages, said.messages.into(), MESSAGES_LEAST)
            || changed(self.bytes, float(said.bytes), BYTES_LEAST)
            || changed(load.connections.into(), said.connections.into(), 1.0)
            || changed(self.shed, said.shed.into(), MESSAGES_LEAST)
            // Who promises 100 ms wants to know when it is twice that, and when it is over.
            || load.latency_ms_p99 > 2 * said.latency_ms_p99.max(LATENCY_LEAST_MS)
            || said.latency_ms_p99 > 2 * load.latency_ms_p99.max(LATENCY_LEAST_MS)
    }

    fn say(&mut self, id: &RoomId, load: Load) -> RoomLoad {
        self.said = Some(load);
        let slices = (0..).zip(&self.slices).filter(|(_, slice)| slice.0 >= SILENCE);
        let mut room = RoomLoad { room: id.to_string(), load: Some(load), ..RoomLoad::default() };
        for (shard, (messages, bytes)) in slices {
            room.shard.push(shard);
            room.slice_messages.push(rounded(*messages));
            room.slice_bytes.push(rounded(*bytes).into());
        }
        room
    }
}

/// In parts that each fit in one record; one part at least, which may be empty.
fn bounded(rooms: Vec<RoomLoad>) -> Vec<Vec<RoomLoad>> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0);
    for room in rooms {
        // With the tag and the length before it.
        let cost = room.encoded_len() + 4;
        if bytes + cost > REPORT_BYTES_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += cost;
        parts.last_mut().expect("parts begin with one and only grow").push(room);
    }
    parts
}

/// Exact up to 2⁵³, which no second holds.
#[allow(clippy::cast_precision_loss)]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Saturates, as `as` does for floats.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const fn rounded(average: f64) -> u32 {
    average.round() as u32
}

#[cfg(test)]
mod tests;
