//! How long danmaku are on their way: each stage observes, when it has them, the time since a gateway received them.
//!
//! What one stage has more than the one before is its share of what viewers wait. Gateways' clocks set the beginning:
//! where clocks differ, so do the figures.

use prometheus_client::{
    metrics::histogram::{Histogram, exponential_buckets},
    registry::{Registry, Unit},
};

use crate::clock::unix_ms;

/// A histogram of ages.
#[derive(Debug, Clone)]
pub struct Ages(Histogram);

impl Ages {
    /// Registers it; `_seconds` is added to the name.
    pub fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register_with_unit(name, help, Unit::Seconds, self.0.clone());
    }

    /// Something is here now that a gateway received at `received_ms`, Unix time. For batches, not for each danmaku.
    pub fn observe(&self, received_ms: i64) {
        let age_ms = u32::try_from(unix_ms() - received_ms).unwrap_or_default();
        self.0.observe(f64::from(age_ms) / 1_000.0);
    }
}

impl Default for Ages {
    /// 1 ms to 2.3 s; fine enough to read a share of some milliseconds from.
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(0.001, 1.4, 24)))
    }
}
