//! What an engineer on call sees of a room. Figures are rounded; exact ones are metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition;

/// How the room is. Written by the operator only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveRoomStatus {
    /// Generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// `Ready`: viewers are served as the spec says. `Degraded`: they are served, but not as they should be.
    /// `Backlogged`: what they send waits too long.
    #[schemars(schema_with = "condition::schema")]
    pub conditions: Vec<Condition>,
    /// The room's ID in URLs, tokens and keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub room_id: Option<String>,
    /// Namespace and name of the pool that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub pool: Option<String>,
    /// How much work it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HeatTier")]
    pub heat: Option<HeatTier>,
    /// Viewers connected, two digits exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub viewers: Option<i64>,
    /// Danmaku per second that viewers send, two digits exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub messages_per_second: Option<i64>,
    /// Records that wait for the consumers of its partitions, those of other rooms there included; two digits exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub lag: Option<i64>,
    /// 99th percentile of the time from a gateway's receipt of a danmaku to its way to viewers, ms. Absent where
    /// nobody measures it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub latency_ms_p99: Option<i64>,
    /// Partitions that its slices live on, like `3` or `3, 7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub partitions: Option<String>,
    /// The pod that decides what its viewers are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub ranker: Option<String>,
    /// Where viewers connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Endpoints")]
    pub endpoints: Option<Endpoints>,
}

/// Where viewers connect.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The WebSocket.
    pub web_socket: String,
    /// WebTransport, where the pool's gateways have a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub web_transport: Option<String>,
    /// History, ranking and state over HTTP.
    pub http: String,
}

/// How much work a room makes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum HeatTier {
    /// Fewer than 10 danmaku/s and 100 viewers.
    Cold,
    /// More than a cold room, less than a hot one.
    Warm,
    /// From 1,000 danmaku/s or 10,000 viewers.
    Hot,
}
