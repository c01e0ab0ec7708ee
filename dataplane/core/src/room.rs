//! Rooms: their IDs, the settings that the data plane needs, and where their slices live.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use barrage_crds::{FailurePolicy, RoomManifest, VerdictSpec};
use thiserror::Error;

/// Users of a room are spread over this many slices, for ever.
pub const SHARDS: u32 = 16;
/// Partitions that a room is spread over in a pool that is made without saying so: with one, a danmaku is soonest in the
/// log (measured among 1, 4 and 16).
pub const SPREAD_DEFAULT: u32 = 1;

/// A room's ID, cheap to clone. Whoever makes one has checked it against the configured rooms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Arc<str>);

impl RoomId {
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub id: RoomId,
    /// Danmaku/s that one user may send, sustained.
    pub rate_per_second: u32,
    /// Danmaku that one user may send at once.
    pub burst: u32,
    /// Danmaku/s that a viewer is shown at the most.
    pub budget_per_second: u32,
    /// Danmaku that the history keeps.
    pub history_length: u64,
    /// How long the history keeps a danmaku, ms.
    pub history_age_ms: i64,
    /// Users that the ranking answers for.
    pub ranking_top: u32,
    /// Whether it can be watched without a token.
    pub anonymous_viewing: bool,
    /// Seconds that a viewer waits between two danmaku, unless moderators set another.
    pub slow_mode_s: u32,
    /// Words that no danmaku may have, besides those of its moderators.
    pub blocked_words: Arc<[String]>,
    pub verdict: Option<Arc<Hook>>,
}

/// An outside moderator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    pub url: String,
    pub timeout: Duration,
    /// Whether it is let through when nobody said.
    pub lets_through: bool,
}

impl From<&VerdictSpec> for Hook {
    fn from(spec: &VerdictSpec) -> Self {
        Self {
            url: spec.url.clone(),
            timeout: Duration::from_millis(spec.timeout_milliseconds.into()),
            lets_through: spec.failure_policy == FailurePolicy::Allow,
        }
    }
}

impl Room {
    #[must_use]
    pub fn new(manifest: &RoomManifest) -> Self {
        let spec = &manifest.spec;
        Self {
            id: RoomId::from(manifest.room_id()),
            rate_per_second: spec.rate_limit.messages_per_second,
            burst: spec.rate_limit.burst,
            budget_per_second: spec.viewer_budget.danmaku_per_second,
            history_length: spec.history.length.into(),
            history_age_ms: i64::MAX,
            ranking_top: spec.ranking.top,
            anonymous_viewing: spec.anonymous_viewing,
            slow_mode_s: spec.moderation.slow_mode_seconds,
            blocked_words: spec.moderation.blocked_words.clone().into(),
            verdict: spec.moderation.verdict.as_ref().map(|spec| Arc::new(Hook::from(spec))),
        }
    }
}

/// The rooms that are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms(Arc<HashMap<RoomId, Arc<Room>>>);

impl Rooms {
    /// The rooms of these manifests.
    #[must_use]
    pub fn new(manifests: &[RoomManifest]) -> Self {
        manifests.iter().map(Room::new).collect()
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

impl FromIterator<Room> for Rooms {
    fn from_iter<I: IntoIterator<Item = Room>>(rooms: I) -> Self {
        rooms.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Room>> for Rooms {
    fn from_iter<I: IntoIterator<Item = Arc<Room>>>(rooms: I) -> Self {
        let rooms = rooms.into_iter().map(|room| (room.id.clone(), room));
        Self(Arc::new(rooms.collect()))
    }
}

/// The shard of a user; the same for ever, so that a slice's users are disjoint from every other's.
#[must_use]
pub fn shard_of(user: u64) -> u32 {
    u32::try_from(mix(user) % u64::from(SHARDS)).unwrap_or_default()
}

/// Where the slices of rooms live; the same for ever in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    partitions: u32,
    spread: u32,
}

/// There is no such placement.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("a room cannot be spread over {spread} of {partitions} partitions: allowed are 1 to {most}")]
pub struct SpreadError {
    spread: u32,
    partitions: u32,
    most: u32,
}

impl Placement {
    /// Each room on `spread` of `partitions` partitions.
    ///
    /// # Errors
    /// That are more than there are, or than a room has slices; or none.
    pub fn new(partitions: u32, spread: u32) -> Result<Self, SpreadError> {
        let most = SHARDS.min(partitions);
        if (1..=most).contains(&spread) {
            Ok(Self { partitions, spread })
        } else {
            Err(SpreadError { spread, partitions, most })
        }
    }

    /// Partitions that a room lives on.
    #[must_use]
    pub const fn spread(&self) -> u32 {
        self.spread
    }

    /// The partition of a slice.
    ///
    /// The room's hash chooses the first one, and its others are as far apart as they can be: a consumer is given
    /// partitions in a row when work is shared out, so a room's fall to different consumers.
    #[must_use]
    pub fn partition_of(&self, room: &str, shard: u32) -> u32 {
        let partitions = u64::from(self.partitions.max(1));
        let first = hash(&[room.as_bytes()]) % partitions;
        let step = u64::from(shard % self.spread) * partitions / u64::from(self.spread);
        u32::try_from((first + step) % partitions).unwrap_or_default()
    }

    /// All partitions of a room.
    #[must_use]
    pub fn partitions_of(&self, room: &str) -> BTreeSet<u32> {
        (0..self.spread).map(|shard| self.partition_of(room, shard)).collect()
    }
}

impl Default for Placement {
    /// All on one partition.
    fn default() -> Self {
        Self { partitions: 1, spread: 1 }
    }
}

/// A hash that is the same for ever: FNV-1a, 64 bit (<http://www.isthe.com/chongo/tech/comp/fnv/>), then mixed so that
/// the low bits depend on all.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_before(room: &str, partitions: u32) -> u32 {
        u32::try_from(hash(&[room.as_bytes()]) % u64::from(partitions)).unwrap()
    }

    fn rooms() -> impl Iterator<Item = String> {
        (0..200).map(|number| format!("room-{number}"))
    }

    #[test]
    fn with_a_spread_of_one_all_slices_are_where_the_room_was_before() {
        for (partitions, room) in [1, 3, 12, 48, 10_000].into_iter().flat_map(|n| rooms().map(move |room| (n, room))) {
            let placement = Placement::new(partitions, 1).unwrap();
            let home = of_before(&room, partitions);
            assert!((0..SHARDS).all(|shard| placement.partition_of(&room, shard) == home));
        }
        // For ever: these numbers were read from a program of before.
        let one = Placement::new(12, 1).unwrap();
        assert_eq!(["demo", "room-1", "弹幕"].map(|room| one.partition_of(room, 5)), [2, 0, 9]);
    }

    #[test]
    fn a_room_has_so_many_partitions_and_its_slices_are_even_over_them() {
        for (partitions, spread) in (1..=40).flat_map(|n| (1..=SHARDS.min(n)).map(move |spread| (n, spread))) {
            let placement = Placement::new(partitions, spread).unwrap();
            for room in rooms().take(20) {
                let mut slices = HashMap::<u32, u32>::new();
                for shard in 0..SHARDS {
                    *slices.entry(placement.partition_of(&room, shard)).or_default() += 1;
                }
                assert_eq!(slices.len(), spread as usize, "{spread} of {partitions}");
                assert!(slices.keys().all(|partition| *partition < partitions));
                assert!(slices.values().max().unwrap() - slices.values().min().unwrap() <= 1);
                assert_eq!(slices.keys().copied().collect::<BTreeSet<_>>(), placement.partitions_of(&room));
                assert!(slices.contains_key(&of_before(&room, partitions)));
            }
        }
    }

    #[test]
    fn where_slices_are_never_changes() {
        let placement = Placement::new(12, 4).unwrap();
        let demo: Vec<_> = (0..SHARDS).map(|shard| placement.partition_of("demo", shard)).collect();
        assert_eq!(demo, [2, 5, 8, 11].repeat(4));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (partitions, spread) in [(12, 0), (12, 13), (48, 17), (3, 4)] {
            assert!(Placement::new(partitions, spread).is_err(), "{spread} of {partitions}");
        }
        assert!(Placement::new(1, SPREAD_DEFAULT).is_ok(), "every pool can have it");
    }
}
