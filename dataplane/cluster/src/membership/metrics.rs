//! Metrics of what a process says of itself.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Counters of the heartbeat; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    reports: Counter,
    rooms: Counter,
    bytes: Counter,
    failures: Counter,
    skipped: Counter,
}

impl Metrics {
    /// Registers under the registry's prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("reports", "Heat reports acknowledged by Kafka", metrics.reports.clone());
        registry.register("rooms", "Rooms in heat reports", metrics.rooms.clone());
        registry.register("report_bytes", "Bytes of heat reports before compression", metrics.bytes.clone());
        registry.register("report_failures", "Heat reports that Kafka did not take in time", metrics.failures.clone());
        let help = "Seconds in which nothing was said, because too many reports were still on their way";
        registry.register("reports_skipped", help, metrics.skipped.clone());
        metrics
    }

    pub(super) fn said(&self, rooms: usize, bytes: usize) {
        self.rooms.inc_by(rooms as u64);
        self.bytes.inc_by(bytes as u64);
    }

    pub(super) fn acknowledged(&self) {
        self.reports.inc();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn skipped(&self) {
        self.skipped.inc();
    }
}
