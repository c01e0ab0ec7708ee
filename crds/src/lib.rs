//! The Kubernetes kinds of Barrage: their Rust types, the schema that an API server enforces, and the
//! loader that lets `barrage dev` read the same manifests without a cluster.
//!
//! - [`LiveRoomSpec`]: one room; it says what may be set and what holds when it is not.
//! - [`RoomManifest`]: a `LiveRoom` as it is written down, which is all that the data plane knows of it.
//! - [`manifest`]: from a YAML file to [`RoomManifest`]s, with errors that name file, line and field.
//! - `LiveRoom` and `RoomPool`: the kinds themselves, for a client of Kubernetes. Only the feature `kube` has them.
//!
//! The CRDs that `kubectl apply` takes are in `yaml/`, and `README.md` is their reference; both are generated from
//! these types. A test fails when they drift apart, and rewrites the files when it runs with `UPDATE=1`.

#[cfg(feature = "kube")]
pub mod condition;
mod live_room;
pub mod manifest;
mod moderation;
mod room_manifest;
#[cfg(feature = "kube")]
mod room_pool;

pub use live_room::{
    DEFAULT_POOL, DeletionPolicy, HistorySpec, LiveRoomSpec, Placement, PoolRef, RankingSpec, RateLimitSpec,
    ViewerBudgetSpec,
};
#[cfg(feature = "kube")]
pub use live_room::{Endpoints, HeatTier, LiveRoom, LiveRoomStatus};
pub use moderation::{FailurePolicy, ModerationSpec, VerdictSpec};
pub use room_manifest::{ManifestMetadata, RoomManifest};
#[cfg(feature = "kube")]
pub use room_pool::{
    AutoscalingSpec, DisruptionBudgetSpec, Engine, IngressSpec, KafkaSpec, KafkaTlsSpec, PodSpec, RedisAuthSpec,
    RedisSpec, RedisTlsSpec, ResourcesSpec, RoleSpec, RoleStatus, RoomPool, RoomPoolSpec, RoomPoolStatus, RoomsFrom,
    SaslMechanism, SaslSpec, SecretKeyRef, ServiceSpec, ServiceType, TokensSpec, TolerationSpec, TopologySpread,
    ViewersSpec,
};
