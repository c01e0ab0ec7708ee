//! The Kubernetes kinds of Barrage: their Rust types, the schema that an API server enforces, and the
//! loader that lets `barrage dev` read the same manifests without a cluster.
//!
//! - [`LiveRoom`]: one room; [`LiveRoomSpec`] says what may be set and what holds when it is not.
//! - [`RoomPool`]: what rooms run in.
//! - [`manifest`]: from a YAML file to [`LiveRoom`]s, with errors that name file, line and field.
//!
//! The CRDs that `kubectl apply` takes are in `yaml/`, and `README.md` is their reference; both are generated from
//! these types. A test fails when they drift apart, and rewrites the files when it runs with `UPDATE=1`.

pub mod condition;
mod live_room;
pub mod manifest;
mod moderation;
mod room_pool;

pub use live_room::{
    DEFAULT_POOL, DeletionPolicy, Endpoints, HeatTier, HistorySpec, LiveRoom, LiveRoomSpec, LiveRoomStatus, Placement,
    PoolRef, RankingSpec, RateLimitSpec, ViewerBudgetSpec,
};
pub use moderation::{FailurePolicy, ModerationSpec, VerdictSpec};
pub use room_pool::{
    AutoscalingSpec, DisruptionBudgetSpec, Engine, IngressSpec, KafkaSpec, KafkaTlsSpec, PodSpec, RedisAuthSpec,
    RedisSpec, RedisTlsSpec, ResourcesSpec, RoleSpec, RoleStatus, RoomPool, RoomPoolSpec, RoomPoolStatus, RoomsFrom,
    SaslMechanism, SaslSpec, SecretKeyRef, ServiceSpec, ServiceType, TokensSpec, TolerationSpec, TopologySpread,
    ViewersSpec,
};
