//! `RoomPool`: what rooms run in, as the platform's team declares it. Gateways, consumers and rankers, the Kafka and
//! Redis Cluster behind them, and the way by which viewers come in.

mod dependencies;
mod role;
mod status;
mod viewers;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use dependencies::{
    KafkaSpec, KafkaTlsSpec, RedisAuthSpec, RedisSpec, RedisTlsSpec, SaslMechanism, SaslSpec, SecretKeyRef, TokensSpec,
};
pub use role::{
    AutoscalingSpec, DisruptionBudgetSpec, Engine, PodSpec, ResourcesSpec, RoleSpec, TolerationSpec, TopologySpread,
};
pub use status::{RoleStatus, RoomPoolStatus};
pub use viewers::{IngressSpec, ServiceSpec, ServiceType, ViewersSpec};

/// Names of pools and pool IDs: with what is appended, they have to be labels of DNS and names of topics.
const NAME_PATTERN: &str = "^[a-z]([-a-z0-9]{0,34}[a-z0-9])?$";

/// A pool: the pods that rooms share, and what is behind them.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "barrage.live",
    version = "v1alpha1",
    kind = "RoomPool",
    plural = "roompools",
    shortname = "rp",
    category = "barrage",
    namespaced,
    derive = "PartialEq",
    status = "RoomPoolStatus",
    doc = "A pool of gateways, consumers and rankers, in which rooms run.",
    scale(
        spec_replicas_path = ".spec.gateway.replicas",
        status_replicas_path = ".status.gateway.replicas",
        label_selector_path = ".status.gateway.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether rooms are served"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is ready or not; the condition's message says what to do"
    ),
    printcolumn(
        name = "Gateways",
        type_ = "integer",
        json_path = ".status.gateway.ready",
        description = "Gateways that are ready"
    ),
    printcolumn(
        name = "Consumers",
        type_ = "integer",
        json_path = ".status.consumer.ready",
        description = "Consumers that are ready"
    ),
    printcolumn(
        name = "Rankers",
        type_ = "integer",
        json_path = ".status.ranker.ready",
        description = "Rankers that are ready"
    ),
    printcolumn(
        name = "Rooms",
        type_ = "integer",
        json_path = ".status.rooms",
        description = "Rooms that are served"
    ),
    printcolumn(
        name = "Viewers",
        type_ = "integer",
        json_path = ".status.viewers",
        description = "Viewers connected now, rounded"
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".status.image",
        description = "Image that the pods run",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    validation = Rule::new(format!("self.metadata.name.matches('{NAME_PATTERN}')")).message(
        "the name begins the names of Services and topics: take at most 36 of a-z, 0-9 and '-', a letter first"
    ),
    validation = Rule::new(
        "(has(self.spec.poolId) ? self.spec.poolId : self.metadata.name) == \
         (has(oldSelf.spec.poolId) ? oldSelf.spec.poolId : oldSelf.metadata.name)"
    )
    .message(
        "spec.poolId is immutable, because topics and keys begin with it: \
         set it back, or create another RoomPool for the new ID"
    )
    .field_path(".spec.poolId"),
)]
#[serde(rename_all = "camelCase")]
pub struct RoomPoolSpec {
    /// Begins the names of topics and of Redis keys; unique at its Kafka and Redis. Immutable. Absent:
    /// `metadata.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = NAME_PATTERN))]
    pub pool_id: Option<String>,
    /// Image of all pods. Absent: the one that the operator had as its default when the pool was made, so that a new
    /// operator restarts nothing; `status.image` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub image: Option<String>,
    /// Names of Secrets in this namespace with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// The log.
    pub kafka: KafkaSpec,
    /// The store.
    pub redis: RedisSpec,
    /// What viewers' tokens are verified with.
    #[serde(default)]
    pub tokens: TokensSpec,
    /// How viewers come in.
    #[serde(default)]
    pub viewers: ViewersSpec,
    /// Pods that hold viewers' connections.
    #[serde(default)]
    pub gateway: RoleSpec,
    /// Pods that bring what is said to the store and to the rankers.
    #[serde(default)]
    pub consumer: RoleSpec,
    /// Pods that decide what viewers are shown.
    #[serde(default)]
    pub ranker: RoleSpec,
    /// Namespaces whose rooms may run here.
    #[serde(default)]
    pub rooms_from: RoomsFrom,
    /// Stops changes, not service: while it is true, the operator changes neither pods nor routes of the pool.
    #[serde(default)]
    pub paused: bool,
}

/// Namespaces whose rooms a pool takes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RoomsFrom {
    /// The pool's own.
    #[default]
    Same,
    /// Any that the operator watches.
    All,
}

impl RoomPool {
    /// The ID that topics and keys begin with: `spec.poolId`, else `metadata.name`.
    #[must_use]
    pub fn pool_id(&self) -> String {
        self.spec.pool_id.as_ref().or(self.metadata.name.as_ref()).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
