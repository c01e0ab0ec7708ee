//! The chart, the operator and its pods on a real cluster of two nodes: what an engineer does with kubectl and helm, and
//! what viewers see of it. All tests share one cluster and one installation, and run one after the other.

mod bad_objects;
mod chart;
mod control_plane;
mod cutter;
mod failures;
mod killed;
mod load;
mod rollout;
mod rooms;
mod scene;
mod servers;
mod viewers;

use std::time::Duration;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
