//! What is different between two tables: as the entries that one transaction writes, and as lines that a person reads.
//! Pure; crate `barrage-cluster` writes it.

use std::collections::{BTreeMap, HashMap};

use barrage_crds::RoomManifest;
use barrage_proto::routes::{self as pb, entry::Kind, head::Mode};
use thiserror::Error;

use super::{Table, entry::Key};
use crate::{link::Peer, room::RoomId};

/// A change, planned on the table of one epoch; it makes the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Epoch of the table that it was planned on. It is refused on any other.
    pub planned_at: u64,
    /// Whether an engineer has taken over, from then on.
    pub manual: bool,
    /// Partitions of the pool; what they were, unless there was no table.
    pub partitions: u32,
    /// Partitions that a room is spread over; what they were, unless there was no table.
    pub spread: u32,
    /// New owners of partitions.
    pub owners: BTreeMap<u32, Option<Peer>>,
    /// New addresses of rankers; `None` takes one away.
    pub rankers: BTreeMap<Peer, Option<String>>,
    /// New exceptions from the ranker that the hash chooses; `None` ends one.
    pub room_rankers: BTreeMap<RoomId, Option<Peer>>,
    /// Rooms as they shall be served; `None` deletes one. What was kept of it stays in the store.
    pub rooms: BTreeMap<RoomId, Option<RoomManifest>>,
}

/// A change cannot be written.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// An exception for a room that there is not.
    #[error("room {0} has no entry, so it cannot be given to a ranker: add it with `barrage rooms apply` first")]
    NoRoom(RoomId),
    /// A manifest that no JSON can hold.
    #[error("room {room} cannot be written as JSON: {reason}")]
    Manifest { room: RoomId, reason: String },
}

impl Change {
    /// The change that changes nothing.
    #[must_use]
    pub fn on(table: &Table) -> Self {
        let (planned_at, manual, spread) = (table.epoch, table.manual, table.placement().spread());
        Self { planned_at, manual, partitions: table.partition_count(), spread, ..Self::default() }
    }

    /// What makes `new` of `old`; all but the rooms' manifests.
    #[must_use]
    pub fn between(old: &Table, new: &Table) -> Self {
        let owners = (0..).zip(&new.partitions).filter(|(number, owner)| {
            let before = old.partitions.get(*number as usize);
            before.is_none_or(|before| before.consumer != owner.consumer)
        });
        Self {
            planned_at: old.epoch,
            manual: new.manual,
            partitions: new.partition_count(),
            spread: new.placement().spread(),
            owners: owners.map(|(number, owner)| (number, owner.consumer.clone())).collect(),
            rankers: differing(&old.rankers, &new.rankers),
            room_rankers: differing(&old.room_rankers, &new.room_rankers),
            rooms: BTreeMap::new(),
        }
    }

    /// Whether nothing would be different.
    #[must_use]
    pub fn is_empty(&self, old: &Table) -> bool {
        *self == Self::on(old)
    }

    /// Epoch of the table that it makes.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.planned_at + 1
    }

    /// The entries to write, the head last; without a value where a key goes. `stored` are the rooms as they are written.
    ///
    /// # Errors
    /// A room's ranker changes, but there is no such room; or a manifest is not fit for JSON.
    pub fn entries(
        &self,
        stored: &HashMap<RoomId, pb::Room>,
        now_ms: i64,
        writer: &str,
    ) -> Result<Vec<(Key, Option<pb::Entry>)>, ChangeError> {
        let entry = |kind| Some(pb::Entry { epoch: self.epoch(), kind: Some(kind) });
        let mut entries = Vec::new();
        for (&partition, consumer) in &self.owners {
            let consumer = consumer.as_deref().unwrap_or_default().to_owned();
            entries.push((Key::Partition(partition), entry(Kind::Partition(pb::Partition { partition, consumer }))));
        }
        for (name, address) in &self.rankers {
            let ranker =
                address.as_ref().map(|address| pb::Ranker { name: name.to_string(), address: address.clone() });
            entries.push((Key::Ranker(name.clone()), ranker.and_then(|ranker| entry(Kind::Ranker(ranker)))));
        }
        for (id, room) in self.rooms_to_write(stored)? {
            entries.push((Key::Room(id), room.and_then(|room| entry(Kind::Room(room)))));
        }
        let mode = if self.manual { Mode::Manual } else { Mode::Auto };
        let spread = (self.spread > 1).then_some(pb::Spread { partitions: self.partitions, over: self.spread });
        let partitions = if spread.is_none() { self.partitions } else { 0 };
        let (mode, written_ms, writer) = (mode.into(), now_ms, writer.to_owned());
        entries.push((Key::Head, entry(Kind::Head(pb::Head { mode, partitions, written_ms, writer, spread }))));
        Ok(entries)
    }

    /// A room's entry holds its manifest and its ranker: who changes one writes the other again.
    fn rooms_to_write(
        &self,
        stored: &HashMap<RoomId, pb::Room>,
    ) -> Result<BTreeMap<RoomId, Option<pb::Room>>, ChangeError> {
        let mut rooms = BTreeMap::new();
        for (id, manifest) in &self.rooms {
            let room = manifest.as_ref().map(|manifest| {
                let wrong = |error: serde_json::Error| {
                    let (room, reason) = (id.clone(), error.to_string());
                    ChangeError::Manifest { room, reason }
                };
                let ranker = stored.get(id).map(|room| room.ranker.clone()).unwrap_or_default();
                Ok(pb::Room { ranker, live_room: serde_json::to_string(manifest).map_err(wrong)? })
            });
            rooms.insert(id.clone(), room.transpose()?);
        }
        for (id, ranker) in &self.room_rankers {
            let current = rooms.remove(id).unwrap_or_else(|| stored.get(id).cloned());
            let ranker = ranker.as_deref().unwrap_or_default().to_owned();
            let room = match current {
                Some(room) => Some(pb::Room { ranker, ..room }),
                None if ranker.is_empty() => None,
                None => return Err(ChangeError::NoRoom(id.clone())),
            };
            rooms.insert(id.clone(), room);
        }
        Ok(rooms)
    }

    /// A line for each thing that is different from `old`.
    #[must_use]
    pub fn describe(&self, old: &Table) -> Vec<String> {
        let nobody = |consumer: Option<&Peer>| consumer.map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let mut lines = Vec::new();
        if old.partitions.is_empty() && self.partitions > 0 {
            lines.push(format!("pool: new, {} partitions, each room on {}", self.partitions, self.spread));
        }
        if self.manual != old.manual {
            let mode = |manual| if manual { "manual" } else { "auto" };
            lines.push(format!("mode: {} → {}", mode(old.manual), mode(self.manual)));
        }
        for (number, consumer) in &self.owners {
            let before = old.partitions.get(*number as usize).and_then(|owner| owner.consumer.as_ref());
            lines.push(format!("partition {number}: {} → {}", nobody(before), nobody(consumer.as_ref())));
        }
        for (name, address) in &self.rankers {
            lines.push(match (old.rankers.get(name), address) {
                (None, Some(address)) => format!("ranker {name}: new at {address}"),
                (Some(before), Some(address)) => format!("ranker {name}: {before} → {address}"),
                (before, None) => format!("ranker {name}: gone (was at {})", before.map_or("?", String::as_str)),
            });
        }
        for (id, ranker) in &self.room_rankers {
            let by = |ranker: Option<&Peer>| ranker.map_or_else(|| "chosen by hash".to_owned(), ToString::to_string);
            lines.push(format!("room {id}: ranker {} → {}", by(old.room_rankers.get(id)), by(ranker.as_ref())));
        }
        for (id, manifest) in &self.rooms {
            let known = old.rooms.find(id.as_str()).is_some();
            lines.push(match (known, manifest) {
                (_, None) => format!("room {id}: deleted"),
                (true, Some(_)) => format!("room {id}: changed"),
                (false, Some(_)) => format!("room {id}: new"),
            });
        }
        lines
    }
}

/// The entries of `new` that `old` has not or has otherwise; `None` for those that only `old` has.
fn differing<'t, K, V>(
    old: impl IntoIterator<Item = (&'t K, &'t V)>,
    new: impl IntoIterator<Item = (&'t K, &'t V)>,
) -> BTreeMap<K, Option<V>>
where
    K: Clone + Ord + 't,
    V: Clone + PartialEq + 't,
{
    let old: BTreeMap<&K, &V> = old.into_iter().collect();
    let new: BTreeMap<&K, &V> = new.into_iter().collect();
    let gone = old.keys().filter(|key| !new.contains_key(**key)).map(|key| (K::clone(key), None));
    let other = new.iter().filter(|(key, value)| old.get(**key) != Some(*value));
    gone.chain(other.map(|(key, value)| (K::clone(key), Some(V::clone(value))))).collect()
}
