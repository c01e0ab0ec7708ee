//! Slices that move away from a partition, until their move is closed. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use barrage_proto::log::{Mark, mark};
use tokio::time::Instant;

use super::super::poll::Slice;
use barrage_core::{link::Peer, routes::Table};

/// How long gateways have to end a move. One that has not can acknowledge nothing any more that it writes here: it
/// knows the table of five seconds ago, or it is silent.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Changes of the table whose moves may not be closed yet when a partition is taken; an older one that is not is closed
/// by who waits for it.
const RECENT_CHANGES: u64 = 8;

/// See the module.
pub(super) struct Departures {
    partition: u32,
    moves: BTreeMap<Slice, Departure>,
    /// The last move of each slice that was closed here.
    closed: HashMap<Slice, u32>,
}

struct Departure {
    number: u32,
    learnt: Instant,
    /// Gateways to wait for; `None` until they were heard.
    members: Option<Arc<BTreeSet<Peer>>>,
    ended: BTreeSet<String>,
    /// Its closing is on its way.
    closing: bool,
}

impl Departures {
    pub(super) fn new(partition: u32) -> Self {
        Self { partition, moves: BTreeMap::new(), closed: HashMap::new() }
    }

    /// Takes in a partition that has just been taken: moves that may be on their way.
    pub(super) fn begin(&mut self, table: &Table, now: Instant) {
        let recent = table.slices.iter().filter(|(_, moved)| moved.epoch + RECENT_CHANGES > table.epoch);
        for (slice, moved) in recent {
            if moved.from == self.partition {
                self.learn(slice, moved.number, now);
            }
        }
    }

    /// Takes in a change of the table.
    pub(super) fn follow(&mut self, old: &Table, new: &Table, now: Instant) {
        for (slice, moved) in &new.slices {
            let home = old.home(&slice.0, slice.1);
            if moved.number <= home.moved {
                continue;
            }
            // A table between was not seen here: that move is not the last one.
            if home.partition == self.partition {
                self.learn(slice, home.moved + 1, now);
            }
            if moved.from == self.partition {
                self.learn(slice, moved.number, now);
            }
        }
    }

    /// Takes in a mark that stands in the partition.
    pub(super) fn hear(&mut self, slice: &Slice, mark: &Mark, now: Instant) {
        match mark.kind() {
            mark::Kind::End => {
                self.learn(slice, mark.r#move, now);
                if let Some(departure) = self.moves.get_mut(slice).filter(|one| one.number == mark.r#move) {
                    departure.ended.insert(mark.member.clone());
                }
            }
            mark::Kind::Closed => {
                let closed = self.closed.entry(slice.clone()).or_default();
                *closed = mark.r#move.max(*closed);
                if self.moves.get(slice).is_some_and(|one| one.number <= mark.r#move) {
                    self.moves.remove(slice);
                }
            }
            mark::Kind::Unspecified => {}
        }
    }

    fn learn(&mut self, slice: &Slice, number: u32, now: Instant) {
        let known = self.moves.get(slice).map(|one| one.number).max(self.closed.get(slice).copied());
        if Some(number) > known {
            let (members, ended) = (None, BTreeSet::new());
            self.moves.insert(slice.clone(), Departure { number, learnt: now, members, ended, closing: false });
        }
    }

    /// Whether gateways are to be heard for a move.
    pub(super) fn wants_members(&self) -> bool {
        self.moves.values().any(|one| one.members.is_none())
    }

    /// Gateways that were asked for at a moment are those that moves wait for which were known then.
    pub(super) fn heard(&mut self, members: BTreeSet<Peer>, asked: Instant) {
        let members = Arc::new(members);
        for one in self.moves.values_mut().filter(|one| one.members.is_none() && one.learnt <= asked) {
            one.members = Some(Arc::clone(&members));
        }
    }

    /// Moves to be closed now, once each unless it fails.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Slice, u32)> {
        let due = self.moves.iter_mut().filter(|(_, one)| !one.closing && one.is_due(now));
        let close = |(slice, one): (&Slice, &mut Departure)| {
            one.closing = true;
            (slice.clone(), one.number)
        };
        due.map(close).collect()
    }

    /// Whether moves are open that nobody has closed.
    pub(super) fn is_empty(&self) -> bool {
        self.moves.values().all(|one| one.closing)
    }

    /// Closing these has failed.
    pub(super) fn failed(&mut self, moves: &[(Slice, u32)]) {
        for (slice, number) in moves {
            if let Some(one) = self.moves.get_mut(slice).filter(|one| one.number == *number) {
                one.closing = false;
            }
        }
    }
}

impl Departure {
    fn is_due(&self, now: Instant) -> bool {
        let ended = |members: &BTreeSet<Peer>| members.iter().all(|member| self.ended.contains(&**member));
        self.members.as_deref().is_some_and(ended) || now.saturating_duration_since(self.learnt) >= END_WITHIN
    }
}

#[cfg(test)]
mod tests;
