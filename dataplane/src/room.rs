//! Rooms: their IDs, the settings that the data plane needs, and where their slices live.

use std::{collections::HashMap, sync::Arc};

use barrage_crds::LiveRoom;

/// Users of a room are spread over this many slices, for ever.
pub const SHARDS: u32 = 16;

/// A room's ID, cheap to clone. Whoever makes one has checked it against the configured rooms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RoomId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl std::borrow::Borrow<str> for RoomId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RoomId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the data plane knows of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its ID.
    pub id: RoomId,
    /// Its partition: every slice of the room lives there.
    pub partition: u32,
    /// Danmaku/s that one user may send, sustained.
    pub rate_per_second: u32,
    /// Danmaku that one user may send at once.
    pub burst: u32,
    /// Danmaku/s that a viewer is shown at the most.
    pub budget_per_second: u32,
    /// Danmaku that the history keeps.
    pub history_length: u64,
    /// Users that the ranking answers for.
    pub ranking_top: u32,
    /// Whether it can be watched without a token.
    pub anonymous_viewing: bool,
}

impl Room {
    /// What a manifest says, in a log of `partitions`.
    #[must_use]
    pub fn new(manifest: &LiveRoom, partitions: u32) -> Self {
        let id = manifest.room_id();
        let spec = &manifest.spec;
        Self {
            partition: partition_of(&id, partitions),
            id: RoomId::from(id.as_str()),
            rate_per_second: spec.rate_limit.messages_per_second,
            burst: spec.rate_limit.burst,
            budget_per_second: spec.viewer_budget.danmaku_per_second,
            history_length: spec.history.length.into(),
            ranking_top: spec.ranking.top,
            anonymous_viewing: spec.anonymous_viewing,
        }
    }
}

/// The rooms that are served.
#[derive(Debug, Clone, Default)]
pub struct Rooms(Arc<HashMap<RoomId, Arc<Room>>>);

impl Rooms {
    /// The rooms of these manifests, in a log of `partitions`.
    #[must_use]
    pub fn new(manifests: &[LiveRoom], partitions: u32) -> Self {
        let rooms = manifests.iter().map(|manifest| {
            let room = Room::new(manifest, partitions);
            (room.id.clone(), Arc::new(room))
        });
        Self(Arc::new(rooms.collect()))
    }

    /// A room by its ID.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Arc<Room>> {
        self.0.get(id)
    }

    /// All rooms, by ID.
    #[must_use]
    pub fn all(&self) -> Vec<&Arc<Room>> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

/// The shard of a user; the same for ever, so that a slice's users are disjoint from every other's.
#[must_use]
pub fn shard_of(user: u64) -> u32 {
    u32::try_from(mix(user) % u64::from(SHARDS)).unwrap_or_default()
}

/// The partition of a room; the same for ever for a number of partitions.
#[must_use]
pub fn partition_of(room: &str, partitions: u32) -> u32 {
    // FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/), then mixed so that the low bits depend on all.
    let hash = room
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    u32::try_from(mix(hash) % u64::from(partitions.max(1))).unwrap_or_default()
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
