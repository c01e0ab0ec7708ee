//! Metrics of the route table that a process goes by.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// What is known of the table; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    epoch: Gauge<u64, AtomicU64>,
    unreadable: Gauge,
    age_seconds: Gauge<f64, AtomicU64>,
    tables: Counter,
    failures: Counter,
}

impl Metrics {
    /// Registers under the registry's prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("epoch", "Epoch of the route table", metrics.epoch.clone());
        let help = "Entries of the routes topic that are not understood and left out";
        registry.register("unreadable_entries", help, metrics.unreadable.clone());
        let help = "Time since the end of the routes topic was last reached for sure";
        registry.register_with_unit("age", help, Unit::Seconds, metrics.age_seconds.clone());
        registry.register("tables", "Route tables published", metrics.tables.clone());
        registry.register("read_failures", "Failures to read the routes topic", metrics.failures.clone());
        metrics
    }

    pub(super) fn published(&self, epoch: u64) {
        self.epoch.inner().store(epoch, Ordering::Relaxed);
        self.tables.inc();
    }

    pub(super) fn unreadable(&self, entries: usize) {
        self.unreadable.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    pub(super) fn age(&self, age: Duration) {
        self.age_seconds.set(age.as_secs_f64());
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}
