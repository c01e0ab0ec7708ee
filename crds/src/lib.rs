//! The Kubernetes kinds of Barrage: their Rust types, the schema that an API server enforces, and the
//! loader that lets `barrage dev` read the same manifests without a cluster.
//!
//! - [`LiveRoom`]: one room; [`LiveRoomSpec`] says what may be set and what holds when it is not.
//! - [`manifest`]: from a YAML file to [`LiveRoom`]s, with errors that name file, line and field.
//!
//! The CRD that `kubectl apply` takes is `yaml/liverooms.barrage.live.yaml`, generated from these types; a
//! test fails when the two drift apart, and rewrites the file when it runs with `UPDATE=1`.

mod live_room;
pub mod manifest;
mod moderation;

pub use moderation::{FailurePolicy, ModerationSpec, VerdictSpec};

pub use live_room::{HistorySpec, LiveRoom, LiveRoomSpec, RankingSpec, RateLimitSpec, ViewerBudgetSpec};
