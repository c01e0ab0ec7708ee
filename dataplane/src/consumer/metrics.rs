//! Metrics of the consumer.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Counters of reading and applying.
#[derive(Clone, Default)]
pub struct Metrics {
    pub(super) records: Counter,
    pub(super) danmaku: Counter,
    pub(super) repeats: Counter,
    pub(super) unreadable: Counter,
    pub(super) apply_failures: Counter,
    pub(super) lag: Gauge,
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("records", "Records read from the log", metrics.records.clone());
        registry.register("danmaku", "Danmaku read that count", metrics.danmaku.clone());
        registry.register("repeats", "Retries whose original stands in the log already", metrics.repeats.clone());
        registry.register("unreadable_records", "Records that are none", metrics.unreadable.clone());
        registry.register(
            "apply_failures",
            "Writes to the store that were tried again",
            metrics.apply_failures.clone(),
        );
        registry.register("lag_records", "Records in the log that are not applied yet", metrics.lag.clone());
        metrics
    }
}
