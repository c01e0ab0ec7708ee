//! The search for a slice's last minute in the partitions that it came from. Pure: [`super::windows`] reads them.

use std::collections::{BTreeMap, HashMap};

use barrage_proto::log::{Record, mark};

use super::{
    super::{dedupe::Identity, poll::Slice},
    judge::identity,
};
use barrage_core::routes::Table;

/// Danmaku by append time.
pub(super) type Window = Vec<(i64, Identity)>;

/// Moves remembered of a slice: more than there are in a minute.
const MOVES_MAX: usize = 16;

/// Where slices came from by each move, as far as the tables said that were seen here.
#[derive(Default)]
pub(super) struct Origins {
    epoch: u64,
    moves: HashMap<Slice, BTreeMap<u32, u32>>,
    newest: HashMap<Slice, u32>,
}

/// Where a move is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    From(u32),
    /// The table that says so has not come yet.
    NotYet,
    /// A move that a later one has replaced in the table before this process looked.
    Unknown,
}

impl Origins {
    pub(super) fn learn(&mut self, table: &Table) {
        if table.epoch == self.epoch {
            return;
        }
        for (slice, moved) in table.slices.iter().filter(|(_, moved)| moved.epoch > self.epoch) {
            let moves = self.moves.entry(slice.clone()).or_default();
            moves.insert(moved.number, moved.from);
            while moves.len() > MOVES_MAX {
                moves.pop_first();
            }
            self.newest.insert(slice.clone(), moved.number);
        }
        self.epoch = table.epoch;
    }

    pub(super) fn find(&self, slice: &Slice, number: u32) -> Origin {
        match self.moves.get(slice).and_then(|moves| moves.get(&number)) {
            Some(&from) => Origin::From(from),
            None if self.newest.get(slice).is_none_or(|&newest| newest < number) => Origin::NotYet,
            None => Origin::Unknown,
        }
    }
}

/// One search.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) slice: Slice,
    /// The move whose closing is looked for, and then the one before it where the slice came from fast.
    pub(super) number: u32,
    /// Append time from which on danmaku matter, ms.
    pub(super) since_ms: i64,
    /// The partition that is read, once it is known.
    pub(super) partition: Option<u32>,
    /// The next offset to read there.
    pub(super) next: Option<u64>,
    /// Records of earlier moves than this do not count there any more.
    lowest: u32,
    found: Window,
    /// The move was closed before what is read.
    pub(super) closed_before: bool,
}

/// What a record means for a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is known yet.
    On,
    /// Another partition is to be read.
    Elsewhere,
    /// All is found.
    Done,
}

impl Search {
    pub(super) const fn new(slice: Slice, number: u32, since_ms: i64) -> Self {
        Self {
            slice,
            number,
            since_ms,
            partition: None,
            next: None,
            lowest: 0,
            found: Vec::new(),
            closed_before: false,
        }
    }

    /// Takes the partition's next record of the slice.
    pub(super) fn take(&mut self, append_ms: i64, record: &Record, origins: &Origins) -> Step {
        if record.moved < self.lowest || record.moved >= self.number {
            return Step::On;
        }
        self.found.extend(record.entries.iter().map(|entry| (append_ms, identity(entry))));
        let Some(mark) = record.mark.as_ref().filter(|mark| mark.kind() == mark::Kind::Closed) else { return Step::On };
        self.lowest = mark.r#move;
        if mark.r#move < self.number {
            return Step::On;
        }
        let before = mark.from.map_or_else(|| origins.find(&self.slice, self.number - 1), Origin::From);
        match before {
            Origin::From(partition) if self.number > 1 => {
                self.number -= 1;
                (self.partition, self.next, self.lowest, self.closed_before) = (Some(partition), None, 0, false);
                Step::Elsewhere
            }
            _ => Step::Done,
        }
    }

    /// The danmaku, by time.
    pub(super) fn into_window(mut self) -> Window {
        self.found.sort_by_key(|(append_ms, _)| *append_ms);
        self.found
    }
}

#[cfg(test)]
mod tests;
