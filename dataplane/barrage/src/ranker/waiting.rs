//! Danmaku that wait for their room's next tick: a few numbers each, beside the records that they stand in.

use std::sync::Arc;

use barrage_proto::{Position, log::Record};

use super::select::Candidate;

#[derive(Default)]
pub(super) struct Waiting {
    danmaku: Vec<Place>,
    records: Vec<(Position, Arc<Record>)>,
}

/// One danmaku, ordered as viewers get them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    received_ms: i64,
    shard: u32,
    /// Which of the records; a slice's come in its order.
    record: u32,
    index: u32,
}

impl Waiting {
    pub(super) fn begin(&mut self, record: Position, said: &Arc<Record>) {
        self.records.push((record, Arc::clone(said)));
    }

    /// Adds an entry of the record that was begun last.
    pub(super) fn add(&mut self, shard: u32, received_ms: i64, index: u32) {
        let record = u32::try_from(self.records.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.danmaku.push(Place { received_ms, shard, record, index });
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.danmaku.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.danmaku.len()
    }

    /// All of them, in the order to show them.
    pub(super) fn sorted(&mut self) -> impl Iterator<Item = Candidate<'_>> {
        // Each record's are in order already, which this sort makes use of.
        self.danmaku.sort();
        self.danmaku.iter().filter_map(|&Place { received_ms, record, index, .. }| {
            let (position, said) = self.records.get(record as usize)?;
            let entry = said.entries.get(index as usize)?;
            Some(Candidate { position: Position { index, ..*position }, received_ms, entry })
        })
    }
}
