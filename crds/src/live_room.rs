//! `LiveRoom`: one room, as its owner declares it. What is not set takes the default that stands here, and
//! serde and the CRD's schema read that same default, so that a room means the same with and without an
//! API server.

#[cfg(feature = "kube")]
mod status;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ModerationSpec;

#[cfg(feature = "kube")]
pub use status::{Endpoints, HeatTier, LiveRoomStatus};

/// The pool that a room runs in when it names none.
pub const DEFAULT_POOL: &str = "default";

/// What a room ID looks like: it is a path segment of every viewer's URL and a part of every key.
pub(crate) const ROOM_ID_PATTERN: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

/// One room: who may say how much, what viewers get of it, and what is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[cfg_attr(
    feature = "kube",
    derive(kube::CustomResource),
    kube(
        group = "barrage.live",
        version = "v1alpha1",
        kind = "LiveRoom",
        plural = "liverooms",
        shortname = "lr",
        category = "barrage",
        namespaced,
        derive = "PartialEq",
        doc = "A live room: viewers join it, send danmaku and see those of all others.",
        status = "LiveRoomStatus",
        printcolumn(
            name = "Room",
            type_ = "string",
            json_path = ".status.roomId",
            description = "Room ID in URLs and tokens"
        ),
        printcolumn(
            name = "Heat",
            type_ = "string",
            json_path = ".status.heat",
            description = "How much work the room makes: Cold, Warm or Hot"
        ),
        printcolumn(
            name = "Viewers",
            type_ = "integer",
            json_path = ".status.viewers",
            description = "Viewers connected now, rounded"
        ),
        printcolumn(
            name = "Msg/s",
            type_ = "integer",
            json_path = ".status.messagesPerSecond",
            description = "Danmaku per second that viewers send, rounded"
        ),
        printcolumn(
            name = "Lag",
            type_ = "integer",
            json_path = ".status.lag",
            description = "Records that wait for the consumers of the room's partitions"
        ),
        printcolumn(
            name = "P99",
            type_ = "integer",
            json_path = ".status.latencyMsP99",
            description = "99th percentile of ms from a gateway's receipt of a danmaku to its way to viewers"
        ),
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].status",
            description = "Whether viewers are served as the spec says"
        ),
        printcolumn(
            name = "Reason",
            type_ = "string",
            json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
            description = "Why it is ready or not; the condition's message says what to do",
            priority = 1
        ),
        printcolumn(
            name = "Pool",
            type_ = "string",
            json_path = ".status.pool",
            description = "Namespace and name of the pool that serves the room",
            priority = 1
        ),
        printcolumn(
            name = "Ranker",
            type_ = "string",
            json_path = ".status.ranker",
            description = "The pod that decides what viewers are shown",
            priority = 1
        ),
        printcolumn(
            name = "Age",
            type_ = "date",
            json_path = ".metadata.creationTimestamp"
        ),
        validation = Rule::new(
            "(has(self.spec.roomId) ? self.spec.roomId : self.metadata.name) == \
             (has(oldSelf.spec.roomId) ? oldSelf.spec.roomId : oldSelf.metadata.name)"
        )
        .message(
            "spec.roomId is immutable, because history and ranking are kept under it: \
             set it back, or create another LiveRoom for the new ID"
        )
        .field_path(".spec.roomId"),
        validation = Rule::new(format!(
            "has(self.spec.roomId) || self.metadata.name.matches('{ROOM_ID_PATTERN}')"
        ))
        .message(
            "without spec.roomId the name is the room ID, and this name cannot be one: \
             set spec.roomId, or take a name of at most 63 of a-z, 0-9 and '-'"
        )
        .field_path(".spec.roomId"),
        validation = Rule::new(
            "has(self.spec.poolRef) == has(oldSelf.spec.poolRef) && \
             (!has(self.spec.poolRef) || self.spec.poolRef == oldSelf.spec.poolRef)"
        )
        .message(
            "spec.poolRef is immutable, because history and ranking are kept in the pool's store: \
             set it back, or create another LiveRoom for the other pool"
        )
        .field_path(".spec.poolRef"),
        validation = Rule::new("self.spec.placement == oldSelf.spec.placement")
            .message(
                "spec.placement is immutable, because a dedicated room has a pool of its own: \
                 set it back, or create another LiveRoom with the other placement"
            )
            .field_path(".spec.placement"),
    )
)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveRoomSpec {
    /// The room's ID in URLs, tokens and keys, unique in its pool. Immutable. Absent: `metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    // As a plain string: `null` then means absent, instead of a value of its own that CEL would see.
    #[schemars(with = "String", regex(pattern = ROOM_ID_PATTERN))]
    pub room_id: Option<String>,
    /// The pool that serves the room. Immutable. Absent: the operator's default pool, else the pool `default` of this
    /// namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PoolRef")]
    pub pool_ref: Option<PoolRef>,
    /// `Shared`: the room runs in the pool beside others. `Dedicated`: it gets a pool of its own, made like the one
    /// that it refers to. Immutable.
    pub placement: Placement,
    /// Most viewers that are expected at once. A dedicated room gets gateways for as many; a shared room's pool is
    /// sized by whoever runs the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 0, max = 10_000_000), extend("format" = "int32"))]
    pub expected_peak_viewers: Option<u32>,
    /// Stops changes, not service: while it is true, edits of this object reach nobody. Deleting it still does.
    pub paused: bool,
    /// The ranking of users by score.
    pub ranking: RankingSpec,
    /// What one user may send.
    pub rate_limit: RateLimitSpec,
    /// What one viewer gets.
    pub viewer_budget: ViewerBudgetSpec,
    /// What is kept to be read later.
    pub history: HistorySpec,
    /// What keeps the room in order besides its moderators.
    pub moderation: ModerationSpec,
    /// Whether viewers without a token may watch. They can never send.
    pub anonymous_viewing: bool,
    /// Reserved: nothing goes by it yet. Where capacity is short, rooms of a higher priority are to keep their quality
    /// longer.
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// What becomes of history, ranking and moderation when this object is deleted.
    pub deletion_policy: DeletionPolicy,
}

impl Default for LiveRoomSpec {
    fn default() -> Self {
        Self {
            room_id: None,
            pool_ref: None,
            placement: Placement::Shared,
            expected_peak_viewers: None,
            paused: false,
            ranking: RankingSpec::default(),
            rate_limit: RateLimitSpec::default(),
            viewer_budget: ViewerBudgetSpec::default(),
            history: HistorySpec::default(),
            moderation: ModerationSpec::default(),
            anonymous_viewing: true,
            priority: 0,
            deletion_policy: DeletionPolicy::Retain,
        }
    }
}

// Kubernetes knows no unsigned formats and warns about them: every count below says int32, and its maximum
// is within it.

/// Which pool serves a room.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolRef {
    /// Name of the `RoomPool`.
    #[schemars(length(max = 36))]
    pub name: String,
    /// Its namespace, where it is another one than the room's; the pool has to allow that with `roomsFrom: All`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub namespace: Option<String>,
}

/// Where a room runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Placement {
    /// In a pool beside other rooms.
    #[default]
    Shared,
    /// In a pool of its own.
    Dedicated,
}

/// What becomes of a room's data when the room is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// It stays in the store: another room with the same ID goes on with it.
    #[default]
    Retain,
    /// It is removed from the store. In the log it stays as long as all that is said, and nobody reads it there.
    Delete,
}

/// The ranking of users by score.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RankingSpec {
    /// Places that are kept to be paged through; viewers are sent the first 100 of them.
    #[schemars(range(min = 1, max = 10_000), extend("format" = "int32"))]
    pub top: u32,
}

impl Default for RankingSpec {
    fn default() -> Self {
        Self { top: 10_000 }
    }
}

/// What one user may send to the room, over all connections together.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimitSpec {
    /// Danmaku per second in the long run.
    #[schemars(range(min = 1, max = 1_000), extend("format" = "int32"))]
    pub messages_per_second: u32,
    /// Danmaku that may come at once after a pause.
    #[schemars(range(min = 1, max = 1_000), extend("format" = "int32"))]
    pub burst: u32,
}

impl Default for RateLimitSpec {
    fn default() -> Self {
        Self { messages_per_second: 10, burst: 10 }
    }
}

/// What one viewer gets. Over it, repeats are merged and the rest is sampled; both are counted.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ViewerBudgetSpec {
    /// Danmaku per second that a viewer gets at most; about 200 is what can be read.
    #[schemars(range(min = 1, max = 10_000), extend("format" = "int32"))]
    pub danmaku_per_second: u32,
}

impl Default for ViewerBudgetSpec {
    fn default() -> Self {
        Self { danmaku_per_second: 200 }
    }
}

/// What is kept to be read later.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistorySpec {
    /// Newest danmaku that are kept; 0 keeps none.
    #[schemars(range(min = 0, max = 10_000_000), extend("format" = "int32"))]
    pub length: u32,
}

impl Default for HistorySpec {
    fn default() -> Self {
        Self { length: 10_000 }
    }
}

impl LiveRoomSpec {
    /// The ID by which viewers, tokens and keys name the room whose object is called `name`: `roomId`, else the name.
    #[must_use]
    pub fn room_id<'a>(&'a self, name: &'a str) -> &'a str {
        self.room_id.as_deref().unwrap_or(name)
    }
}

#[cfg(feature = "kube")]
impl LiveRoom {
    /// The ID by which viewers, tokens and keys name this room: `spec.roomId`, else `metadata.name`.
    /// Empty for an object that has neither, which no API server lets through.
    #[must_use]
    pub fn room_id(&self) -> &str {
        self.spec.room_id(self.metadata.name.as_deref().unwrap_or_default())
    }
}

#[cfg(all(test, feature = "kube"))]
mod tests;
