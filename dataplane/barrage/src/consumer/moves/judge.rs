//! Which danmaku of a partition count, for whoever reads it in order. Everybody who begins far enough before what he
//! judges decides alike.

use std::{collections::HashMap, sync::Arc};

use barrage_proto::log::{Entry, Record};

use super::{
    super::{
        dedupe::{Dedupe, Identity, REACH_MS},
        poll::{Slice, closes},
    },
    windows::{Arrivals, Wait},
};

/// What is known of a partition's past.
pub(in super::super) struct Judge {
    partition: u32,
    dedupe: Dedupe,
    /// Of slices that have moved.
    places: HashMap<Slice, Place>,
    arrivals: Arc<Arrivals>,
}

/// A slice that has moved.
#[derive(Default)]
struct Place {
    /// The move that was closed out of here last: records of earlier ones behind that do not count.
    closed: u32,
    /// The move to here whose past is known.
    known: u32,
    waits: Option<(Wait, Vec<(i64, Identity)>)>,
}

/// What is decided of a record.
pub(in super::super) enum Verdict {
    /// Entries that do not count are blanked; so many were.
    Judged(u64),
    /// Not before it is known what stands where the slice came from.
    Waits(Wait),
}

impl Judge {
    pub(in super::super) fn new(partition: u32, arrivals: Arc<Arrivals>) -> Self {
        Self { partition, dedupe: Dedupe::default(), places: HashMap::new(), arrivals }
    }

    /// Decides of the partition's next record.
    pub(in super::super) fn judge(&mut self, slice: &Slice, record: &mut Record, append_ms: i64) -> Verdict {
        let closes = closes(record);
        if record.moved == 0 && closes.is_none() && !self.places.contains_key(slice) {
            return Verdict::Judged(blank_repeats(record, append_ms, &mut self.dedupe));
        }
        let place = self.places.entry(slice.clone()).or_default();
        if record.moved < place.closed {
            // Its gateway was given up: the sender was not acknowledged, and what he sends again is elsewhere.
            return Verdict::Judged(blank_all(record));
        }
        if let Some(number) = closes {
            place.closed = number.max(place.closed);
        }
        if record.moved > place.known
            && let Some(wait) = place.arrive(slice, record, append_ms, self.partition, &self.arrivals, &mut self.dedupe)
        {
            return Verdict::Waits(wait);
        }
        Verdict::Judged(blank_repeats(record, append_ms, &mut self.dedupe))
    }
}

impl Place {
    /// What to wait for; `None` when the slice's past is known from now on.
    fn arrive(
        &mut self,
        slice: &Slice,
        record: &Record,
        append_ms: i64,
        partition: u32,
        arrivals: &Arrivals,
        dedupe: &mut Dedupe,
    ) -> Option<Wait> {
        let of_another = |(wait, _): &mut (Wait, _)| wait.number != record.moved;
        let (wait, passed) = match self.waits.take_if(|waits| !of_another(waits)) {
            Some(waits) => waits,
            None => (arrivals.wait_for(slice, record.moved, partition, append_ms - REACH_MS), Vec::new()),
        };
        let Some(window) = wait.window() else {
            let waits = self.waits.insert((wait, passed));
            waits.1.extend(record.entries.iter().map(|entry| (append_ms, identity(entry))));
            return Some(waits.0.clone());
        };
        for (append_ms, identity) in window.iter().copied().chain(passed) {
            dedupe.first(append_ms, identity);
        }
        self.known = record.moved;
        self.waits = None;
        None
    }
}

pub(super) const fn identity(entry: &Entry) -> Identity {
    (entry.user, entry.session, entry.seq)
}

/// An entry that does not count becomes one of user 0, who cannot send: the indexes of the others stay.
pub(super) fn blank_repeats(record: &mut Record, append_ms: i64, dedupe: &mut Dedupe) -> u64 {
    let mut repeats = 0;
    for entry in &mut record.entries {
        if !dedupe.first(append_ms, identity(entry)) {
            repeats += 1;
            *entry = Entry::default();
        }
    }
    repeats
}

fn blank_all(record: &mut Record) -> u64 {
    record.entries.fill(Entry::default());
    record.entries.len() as u64
}

#[cfg(test)]
mod tests;
