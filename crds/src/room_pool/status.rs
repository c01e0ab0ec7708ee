//! What an engineer on call sees of a pool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition;

/// How the pool is. Written by the operator only.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoomPoolStatus {
    /// Generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// `Ready`: rooms are served. `Progressing`: pods are being started or replaced. `Degraded`: something is wrong
    /// that viewers may not notice yet. `Rebalancing`: work is changing hands.
    #[schemars(schema_with = "condition::schema")]
    pub conditions: Vec<Condition>,
    /// Image that the pods run; kept where the spec names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub image: Option<String>,
    /// Partitions of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub partitions: Option<i64>,
    /// Partitions that each room is spread over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub spread: Option<i64>,
    /// Epoch of the route table.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub routes_epoch: Option<i64>,
    /// Rooms that are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub rooms: Option<i64>,
    /// Viewers connected, two digits exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub viewers: Option<i64>,
    /// Where viewers connect, as a URL without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub address: Option<String>,
    /// Where viewers connect by WebTransport, as a URL without a path; only where gateways have a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub web_transport_address: Option<String>,
    /// When the certificate of the links between pods ends, RFC 3339; it is replaced long before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub certificate_not_after: Option<String>,
    /// The gateways.
    pub gateway: RoleStatus,
    /// The consumers.
    pub consumer: RoleStatus,
    /// The rankers.
    pub ranker: RoleStatus,
}

/// The pods of one role.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleStatus {
    /// How many there are.
    #[schemars(extend("format" = "int32"))]
    pub replicas: i32,
    /// How many of them are ready.
    #[schemars(extend("format" = "int32"))]
    pub ready: i32,
    /// Labels that select them.
    pub selector: String,
}
