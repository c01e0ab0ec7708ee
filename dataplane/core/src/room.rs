//! Rooms: their IDs, the settings that the data plane needs, and where their slices live.

use std::{collections::HashMap, sync::Arc, time::Duration};

use barrage_crds::{FailurePolicy, RoomManifest, VerdictSpec};

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
    /// Who else is asked about danmaku.
    pub verdict: Option<Arc<Hook>>,
}

/// An outside moderator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Where danmaku are posted to.
    pub url: String,
    /// How long one waits.
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
    /// What a manifest says.
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

/// The partition of a room; the same for ever for a number of partitions.
#[must_use]
pub fn partition_of(room: &str, partitions: u32) -> u32 {
    u32::try_from(hash(&[room.as_bytes()]) % u64::from(partitions.max(1))).unwrap_or_default()
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
