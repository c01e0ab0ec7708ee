//! The route table: who owns what, and the rooms that are served. Pure; what carries it is elsewhere.
//!
//! It holds owners and exceptions, not every room's place: the partitions of a room are those that the hash of its ID
//! chooses, and its ranker is the one that rendezvous hashing chooses among those there are.
//!
//! [`entry`] makes it of the entries of a compacted topic, crate `barrage-cluster` follows that topic and writes it, [`plan`] says who
//! should own what, [`change`] what is different then, and [`mod@file`] is the table as an engineer edits it.

pub mod change;
pub mod entry;
pub mod file;
pub mod plan;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use crate::{
    link::Peer,
    room::{Placement, RoomId, Rooms, hash},
};

/// The newest table, for whoever follows it.
pub type Routes = watch::Receiver<Arc<Table>>;

/// The route table at one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Counts changes; every entry carries the epoch of the change that wrote it.
    pub epoch: u64,
    /// Whether an engineer has taken over, so that no operator changes anything.
    pub manual: bool,
    /// Owners by partition; as many as the pool was created with.
    pub partitions: Vec<Owner>,
    /// Partitions that a room is spread over, as the pool was created; 0 is 1.
    pub spread: u32,
    /// Where the links of each ranker are reached: host and port.
    pub rankers: BTreeMap<Peer, String>,
    /// Rooms whose ranker is not the one that the hash chooses.
    pub room_rankers: HashMap<RoomId, Peer>,
    /// The rooms that are served.
    pub rooms: Rooms,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The consumer; `None` when nobody does.
    pub consumer: Option<Peer>,
    /// Since which change.
    pub epoch: u64,
}

impl Table {
    /// One process owns everything: all of `partitions`, and every room.
    #[must_use]
    pub fn of_one(name: &Peer, partitions: u32, rooms: Rooms) -> Self {
        let owner = Owner { consumer: Some(Peer::clone(name)), epoch: 1 };
        Self {
            epoch: 1,
            partitions: vec![owner; partitions as usize],
            rankers: [(Peer::clone(name), String::new())].into(),
            rooms,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn placement(&self) -> Placement {
        // Who makes a table has checked it.
        Placement::new(self.partition_count(), self.spread.max(1)).unwrap_or_default()
    }

    /// The partition of a slice; the same for ever.
    #[must_use]
    pub fn partition_of(&self, room: &RoomId, shard: u32) -> u32 {
        self.placement().partition_of(room.as_str(), shard)
    }

    /// Partitions that the pool was created with.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// The partitions of a consumer, each with the epoch of its ownership.
    pub fn owned_by(&self, consumer: &str) -> impl Iterator<Item = (u32, u64)> {
        let owned = (0..).zip(&self.partitions);
        owned.filter(move |(_, owner)| owner.consumer.as_deref() == Some(consumer)).map(|(p, owner)| (p, owner.epoch))
    }

    /// Whether a room is served.
    #[must_use]
    pub fn serves(&self, room: &RoomId) -> bool {
        self.rooms.find(room.as_str()).is_some()
    }

    /// The ranker of a room; `None` when there is no ranker.
    #[must_use]
    pub fn ranker_of(&self, room: &RoomId) -> Option<&Peer> {
        if let Some(ranker) = self.room_rankers.get(room) {
            return Some(ranker);
        }
        // Rendezvous hashing (Thaler, Ravishankar: Using Name-Based Mappings to Increase Hit Rates, 1998): a ranker that
        // comes or goes moves only its own rooms.
        self.rankers.keys().max_by_key(|ranker| (hash(&[ranker.as_bytes(), b"/", room.as_str().as_bytes()]), *ranker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rankers: &[&str]) -> Table {
        let rankers = rankers.iter().map(|&name| (Peer::from(name), String::from("127.0.0.1:1"))).collect();
        Table { partitions: vec![Owner { consumer: Some("c".into()), epoch: 3 }; 8], rankers, ..Table::default() }
    }

    #[test]
    fn a_ranker_that_goes_moves_only_its_own_rooms() {
        let (three, two) = (table(&["a", "b", "c"]), table(&["a", "c"]));
        let rooms = (0..300).map(|i| RoomId::from(format!("room-{i}").as_str()));
        let mut of_b = 0;
        for room in rooms {
            let before = three.ranker_of(&room).unwrap();
            if &**before == "b" {
                of_b += 1;
            } else {
                assert_eq!(two.ranker_of(&room), Some(before));
            }
        }
        assert!((60..140).contains(&of_b), "{of_b} of 300 rooms at one of three rankers");
        let mut exception = three;
        exception.room_rankers.insert(RoomId::from("room-1"), "b".into());
        assert_eq!(exception.ranker_of(&RoomId::from("room-1")).map(|r| &**r), Some("b"));
    }
}
