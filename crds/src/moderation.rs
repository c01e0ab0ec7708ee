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
}
