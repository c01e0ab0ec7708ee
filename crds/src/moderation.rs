//! What a room's owner says of moderation; its moderators change the rest while the room is live.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What keeps a room in order besides its moderators.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModerationSpec {
    /// Seconds that a viewer waits between two danmaku, until a moderator sets another; 0 is no slow mode.
    #[schemars(range(min = 0, max = 3_600), extend("format" = "int32"))]
    pub slow_mode_seconds: u32,
    /// Words that no danmaku of a viewer may have, however they are written. Moderators can add to them.
    #[schemars(length(max = 1_000), inner(length(min = 1, max = 64)))]
    pub blocked_words: Vec<String>,
    /// An outside moderator: a service that is asked about each danmaku of a viewer before it is kept or shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "VerdictSpec")]
    pub verdict: Option<VerdictSpec>,
}

/// Which service is asked, and what holds when it does not say.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictSpec {
    /// Where each danmaku is posted to, as JSON: an `http` or `https` URL that the gateways can reach.
    #[schemars(length(max = 512), regex(pattern = r"^https?://[^\s/?#@]+([/?][^\s#]*)?$"))]
    pub url: String,
    /// How long a danmaku waits for its verdict, ms.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 10, max = 2_000), extend("format" = "int32"))]
    pub timeout_milliseconds: u32,
    /// What becomes of a danmaku when there is no verdict in time: `Allow` lets it through, `Refuse` holds it back.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
}

const fn default_timeout() -> u32 {
    200
}

/// What becomes of a danmaku without a verdict.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum FailurePolicy {
    #[default]
    #[allow(missing_docs)]
    Allow,
    #[allow(missing_docs)]
    Refuse,
}
