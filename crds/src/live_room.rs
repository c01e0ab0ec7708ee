//! `LiveRoom`: one room, as its owner declares it. What is not set takes the default that stands here, and
//! serde and the CRD's schema read that same default, so that a room means the same with and without an
//! API server.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ModerationSpec;

/// What a room ID looks like: it is a path segment of every viewer's URL and a part of every key.
pub(crate) const ROOM_ID_PATTERN: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

/// One room: who may say how much, what viewers get of it, and what is kept.
#[derive(CustomResource, Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "barrage.live",
    version = "v1alpha1",
    kind = "LiveRoom",
    plural = "liverooms",
    shortname = "lr",
    category = "barrage",
    namespaced,
    derive = "PartialEq",
    doc = "A live room: viewers join it, send danmaku and see those of all others.",
    printcolumn(
        name = "Room",
        type_ = "string",
        json_path = ".spec.roomId",
        description = "Room ID; empty when it is the name"
    ),
    printcolumn(
        name = "Rate",
        type_ = "integer",
        json_path = ".spec.rateLimit.messagesPerSecond",
        description = "Danmaku per second that one user may send"
    ),
    printcolumn(
        name = "Budget",
        type_ = "integer",
        json_path = ".spec.viewerBudget.danmakuPerSecond",
        description = "Danmaku per second that one viewer gets at most"
    ),
    printcolumn(
        name = "Priority",
        type_ = "integer",
        json_path = ".spec.priority",
        description = "Which rooms keep their quality when a pool is short of capacity"
    ),
    printcolumn(
        name = "Top",
        type_ = "integer",
        json_path = ".spec.ranking.top",
        description = "Places of the ranking that can be paged through",
        priority = 1
    ),
    printcolumn(
        name = "History",
        type_ = "integer",
        json_path = ".spec.history.length",
        description = "Danmaku kept",
        priority = 1
    ),
    printcolumn(
        name = "Anonymous",
        type_ = "boolean",
        json_path = ".spec.anonymousViewing",
        description = "Whether viewers without a token are let in",
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
)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveRoomSpec {
    /// The room's ID in URLs, tokens and keys, unique in its pool. Immutable. Absent: `metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    // As a plain string: `null` then means absent, instead of a value of its own that CEL would see.
    #[schemars(with = "String", regex(pattern = ROOM_ID_PATTERN))]
    pub room_id: Option<String>,
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
    /// Where capacity is short, rooms of a higher priority keep their quality longer.
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
}

impl Default for LiveRoomSpec {
    fn default() -> Self {
        Self {
            room_id: None,
            ranking: RankingSpec::default(),
            rate_limit: RateLimitSpec::default(),
            viewer_budget: ViewerBudgetSpec::default(),
            history: HistorySpec::default(),
            moderation: ModerationSpec::default(),
            anonymous_viewing: true,
            priority: 0,
        }
    }
}

// Kubernetes knows no unsigned formats and warns about them: every count below says int32, and its maximum
// is within it.

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

impl LiveRoom {
    /// The room `demo` with all defaults: what dev mode runs when it is given no manifest.
    #[must_use]
    pub fn demo() -> Self {
        Self::new("demo", LiveRoomSpec::default())
    }

    /// The ID by which viewers, tokens and keys name this room: `spec.roomId`, else `metadata.name`.
    /// Empty for an object that has neither, which no API server and no [`crate::manifest`] lets through.
    #[must_use]
    pub fn room_id(&self) -> String {
        let declared = self.spec.room_id.as_ref();
        declared.or(self.metadata.name.as_ref()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn what_is_left_out_has_its_default() {
        let spec: LiveRoomSpec = serde_json::from_value(json!({})).unwrap();
        assert_eq!(spec, LiveRoomSpec::default());
        let spec: LiveRoomSpec = serde_json::from_value(json!({"rateLimit": {"burst": 3}})).unwrap();
        assert_eq!(spec.rate_limit.burst, 3);
        assert_eq!(spec.rate_limit.messages_per_second, 10);
    }

    #[test]
    fn an_api_server_fills_in_the_same_defaults_as_serde() {
        let crd = serde_json::to_value(LiveRoom::crd()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let spec = &schema["properties"]["spec"];
        let ours = serde_json::to_value(LiveRoomSpec::default()).unwrap();
        assert_eq!(filled_in(spec), ours);
        // Each object's own default, and the one for when it is there but empty, are the same too.
        for (name, field) in spec["properties"].as_object().unwrap() {
            if field["type"] == "object" {
                assert_eq!(field["default"], filled_in(field), "{name}");
            }
        }
    }

    /// What an API server makes of `{}` by `schema`.
    fn filled_in(schema: &Value) -> Value {
        let fields = schema["properties"].as_object().unwrap().iter();
        let with_default = fields.filter_map(|(name, f)| Some((name.clone(), f.get("default")?)));
        Value::Object(with_default.map(|(n, v)| (n, v.clone())).collect::<Map<_, _>>())
    }

    #[test]
    fn the_room_id_is_the_declared_one_else_the_name() {
        assert_eq!(LiveRoom::demo().room_id(), "demo");
        let spec = LiveRoomSpec { room_id: Some("show".to_owned()), ..LiveRoomSpec::default() };
        assert_eq!(LiveRoom::new("demo", spec).room_id(), "show");
    }
}
