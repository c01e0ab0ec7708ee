//! The chart on a real cluster of two nodes: what its API server takes and refuses, and what its pods do. All tests share
//! one cluster and one installation, and run one after the other.

mod bad_objects;
mod chart;
mod scene;
mod servers;

use std::time::Duration;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
