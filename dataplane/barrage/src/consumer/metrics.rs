//! Metrics of the consumer.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::poll::Poll;
use barrage_core::age::Ages;

/// Counters of reading and applying.
#[derive(Clone, Default)]
pub struct Metrics {
    records: Counter,
    danmaku: Counter,
    repeats: Counter,
    pub(super) read_behind: Counter,
    pub(super) unreadable: Counter,
    pub(super) refused: Counter,
    pub(super) apply_failures: Counter,
    pub(super) fenced: Counter,
    pub(super) rewinds: Counter,
    pub(super) rebuilds: Counter,
    pub(super) lost_records: Counter,
    pub(super) owned_partitions: Gauge,
    pub(super) lag: Gauge,
    read_age: Ages,
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("records", "Records read from the log", metrics.records.clone());
        registry.register("danmaku", "Danmaku read that count", metrics.danmaku.clone());
        registry.register("repeats", "Retries whose original stands in the log already", metrics.repeats.clone());
        registry.register(
            "read_behind_records",
            "Records read again by a follower that was behind",
            metrics.read_behind.clone(),
        );
        registry.register("unreadable_records", "Records set aside, being none", metrics.unreadable.clone());
        registry.register(
            "refused_records",
            "Records set aside, refused by the store for good",
            metrics.refused.clone(),
        );
        registry.register("fenced_writes", "Writes refused, another owner having written", metrics.fenced.clone());
        registry.register("rewinds", "Times that the store had lost writes", metrics.rewinds.clone());
        registry.register("rebuilds", "Times that the store was filled again from the log", metrics.rebuilds.clone());
        registry.register("lost_records", "Records lost for good, at the most", metrics.lost_records.clone());
        registry.register("owned_partitions", "Partitions owned", metrics.owned_partitions.clone());
        registry.register(
            "apply_failures",
            "Writes to the store that were tried again",
            metrics.apply_failures.clone(),
        );
        registry.register("lag_records", "Records in the log that are not applied yet", metrics.lag.clone());
        metrics.read_age.register(
            registry,
            "read_age",
            "Time from a record's first receipt at its gateway to its being read",
        );
        metrics
    }

    pub(super) fn read(&self, poll: &Poll) {
        self.records.inc_by(poll.records);
        self.repeats.inc_by(poll.repeats);
        poll.slices.values().flatten().for_each(|one| self.read_age.observe(one.record.received_ms));
        self.danmaku.inc_by(poll.danmaku() as u64 - poll.repeats);
    }
}
