//! From the entries of the routes topic to a table: what each key means, and what counts of two entries for one.
//! Pure; crate `barrage-cluster` reads and writes them.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
    sync::Arc,
};

use barrage_crds::RoomManifest;
use barrage_proto::routes::{self as pb, entry::Kind, head::Mode};
use prost::Message;
use thiserror::Error;

use super::{Owner, Table};
use crate::{
    link::Peer,
    room::{Placement, Room, RoomId, Rooms},
};

/// More partitions than any topic has; what is above is a mistake, and would only cost memory.
pub const PARTITIONS_MAX: u32 = 100_000;

/// What an entry of a slice that has moved begins with: earlier versions moved single slices between partitions.
const MOVED: &str = "slice/";

/// What an entry is about. Its text is the record's key: `head`, `partition/3`, `ranker/ranker-0`, `room/demo`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The end of a change.
    Head,
    Partition(u32),
    Ranker(Peer),
    /// A room that is served.
    Room(RoomId),
}

/// An entry that says nothing this process understands; the others count all the same.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The key is of no known kind.
    #[error("the key {0:?} names nothing that is known here; a newer barrage may have written it")]
    Key(String),
    /// The value is no entry.
    #[error("{key} holds no entry: {reason}")]
    Value { key: Key, reason: String },
    /// The room cannot be served.
    #[error("{key} is left out: {reason}. Write the room again with `barrage rooms apply`")]
    Room { key: Key, reason: String },
}

/// The table is of an earlier version, and means more than what is understood here: whoever went by the rest would read and
/// write slices where they are not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the route table has {count} slices that an earlier version of barrage moved to other partitions ({first} is one), which \
     this version cannot follow: go on with the earlier version, or make a new pool, under another name in the setting \
     `pool`, and serve the rooms there"
)]
pub struct MovedSlices {
    pub count: usize,
    /// The key of one.
    pub first: String,
}

/// A table while its entries come in.
#[derive(Debug, Default)]
pub struct Draft {
    /// All but the rooms.
    table: Table,
    rooms: HashMap<RoomId, Arc<Room>>,
    rooms_changed: bool,
    /// Rooms as they are written, for whoever writes them again.
    stored: Option<HashMap<RoomId, pb::Room>>,
    /// The change that wrote each entry.
    epochs: HashMap<Key, u64>,
    unreadable: BTreeSet<String>,
    /// Keys of slices that have moved.
    moved: BTreeSet<String>,
}

impl Draft {
    /// A draft that keeps the rooms' manifests, too, for whoever writes entries.
    #[must_use]
    pub fn with_manifests() -> Self {
        Self { stored: Some(HashMap::new()), ..Self::default() }
    }

    /// A draft that goes on from a table and its rooms as they are written.
    #[must_use]
    pub fn resume(table: &Table, stored: HashMap<RoomId, pb::Room>) -> Self {
        let rooms = table.rooms.all().into_iter().map(|room| (room.id.clone(), Arc::clone(room)));
        Self { table: table.clone(), rooms: rooms.collect(), stored: Some(stored), ..Self::default() }
    }

    /// Takes a record of the topic; a record without a value removes what its key names. Gives the table when the record
    /// was the last of a change.
    ///
    /// # Errors
    /// The record is not understood. What the key named before is gone: an older value is not what was meant.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Table>, EntryError> {
        let text = String::from_utf8_lossy(key).into_owned();
        let outcome = self.take(&text, value);
        match &outcome {
            Ok(_) => self.unreadable.remove(&text),
            Err(_) => self.unreadable.insert(text),
        };
        outcome
    }

    /// Keys whose entries are not understood.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable.len()
    }

    /// What keeps anybody from going by the table.
    ///
    /// # Errors
    /// There are slices that have moved.
    pub fn check(&self) -> Result<(), MovedSlices> {
        match self.moved.first() {
            None => Ok(()),
            Some(first) => Err(MovedSlices { count: self.moved.len(), first: first.clone() }),
        }
    }

    /// The rooms as they are written; empty unless made [`Self::with_manifests`].
    #[must_use]
    pub fn into_stored(self) -> HashMap<RoomId, pb::Room> {
        self.stored.unwrap_or_default()
    }

    fn take(&mut self, text: &str, value: Option<&[u8]>) -> Result<Option<Table>, EntryError> {
        if text.starts_with(MOVED) {
            match value {
                Some(_) => self.moved.insert(text.to_owned()),
                None => self.moved.remove(text),
            };
            return Ok(None);
        }
        let key: Key = text.parse()?;
        let Some(value) = value else {
            self.remove(&key);
            return Ok(None);
        };
        let wrong = |reason: &str| EntryError::Value { key: key.clone(), reason: reason.to_owned() };
        let entry = pb::Entry::decode(value).map_err(|error| wrong(&error.to_string()))?;
        if self.epochs.get(&key).is_some_and(|&newest| newest > entry.epoch) {
            return Ok(None);
        }
        match (&key, entry.kind) {
            (Key::Head, Some(Kind::Head(head))) => {
                let (partitions, spread) = head.spread.map_or((head.partitions, 1), |it| (it.partitions, it.over));
                if partitions == 0 || partitions > PARTITIONS_MAX {
                    return Err(wrong("a pool has 1 to 100000 partitions"));
                }
                Placement::new(partitions, spread).map_err(|error| wrong(&error.to_string()))?;
                self.table.partitions.resize(partitions as usize, Owner::default());
                self.table.spread = spread;
                self.epochs.insert(key, entry.epoch);
                return Ok(Some(self.table_at(entry.epoch, head.mode())));
            }
            (Key::Partition(number), Some(Kind::Partition(partition))) if *number == partition.partition => {
                let consumer = (!partition.consumer.is_empty()).then(|| partition.consumer.into());
                self.own(*number, Owner { consumer, epoch: entry.epoch });
            }
            (Key::Ranker(name), Some(Kind::Ranker(ranker))) if **name == *ranker.name => {
                self.table.rankers.insert(Peer::clone(name), ranker.address);
            }
            (Key::Room(id), Some(Kind::Room(room))) => self.serve(id, room, &key)?,
            (_, None) => return Err(wrong("a newer barrage may have written it")),
            (_, Some(_)) => return Err(wrong("the value is about something else")),
        }
        self.epochs.insert(key, entry.epoch);
        Ok(None)
    }

    fn remove(&mut self, key: &Key) {
        self.epochs.remove(key);
        match key {
            Key::Head => {}
            Key::Partition(number) => self.own(*number, Owner::default()),
            Key::Ranker(name) => _ = self.table.rankers.remove(name),
            Key::Room(id) => self.forget(id),
        }
    }

    fn forget(&mut self, id: &RoomId) {
        self.rooms_changed |= self.rooms.remove(id).is_some();
        self.table.room_rankers.remove(id);
        if let Some(stored) = &mut self.stored {
            stored.remove(id);
        }
    }

    /// The head that says how many partitions there are comes after them.
    fn own(&mut self, number: u32, owner: Owner) {
        let index = number as usize;
        if self.table.partitions.len() <= index {
            self.table.partitions.resize(index + 1, Owner::default());
        }
        self.table.partitions[index] = owner;
    }

    fn serve(&mut self, id: &RoomId, room: pb::Room, key: &Key) -> Result<(), EntryError> {
        self.forget(id);
        let parsed = serde_json::from_str::<RoomManifest>(&room.live_room).map_err(|error| error.to_string());
        let named = parsed.and_then(|manifest| match manifest.room_id() {
            same if same == id.as_str() => Ok(manifest),
            other => Err(format!("its manifest is of the room {other:?}")),
        });
        let manifest = named.map_err(|reason| EntryError::Room { key: key.clone(), reason })?;
        self.rooms.insert(id.clone(), Arc::new(Room::new(&manifest)));
        self.rooms_changed = true;
        if !room.ranker.is_empty() {
            self.table.room_rankers.insert(id.clone(), room.ranker.as_str().into());
        }
        if let Some(stored) = &mut self.stored {
            stored.insert(id.clone(), room);
        }
        Ok(())
    }

    fn table_at(&mut self, epoch: u64, mode: Mode) -> Table {
        if std::mem::take(&mut self.rooms_changed) {
            self.table.rooms = self.rooms.values().cloned().collect::<Rooms>();
        }
        self.table.epoch = epoch;
        self.table.manual = mode == Mode::Manual;
        self.table.clone()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Partition(number) => write!(f, "partition/{number}"),
            Self::Ranker(name) => write!(f, "ranker/{name}"),
            Self::Room(id) => write!(f, "room/{id}"),
        }
    }
}

impl FromStr for Key {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let number = |text: &str, below: u32| text.parse().ok().filter(|&number: &u32| number < below);
        let key = match (parts.next(), parts.next(), parts.next()) {
            (Some("head"), None, None) => Some(Self::Head),
            (Some("partition"), Some(text), None) => number(text, PARTITIONS_MAX).map(Self::Partition),
            (Some("ranker"), Some(name), None) if !name.is_empty() => Some(Self::Ranker(name.into())),
            (Some("room"), Some(id), None) if !id.is_empty() => Some(Self::Room(RoomId::from(id))),
            _ => None,
        };
        // One entry has one key: compaction knows no other.
        key.filter(|key| key.to_string() == text).ok_or_else(|| EntryError::Key(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
