//! Metrics of the embedded log.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Counters of the log's writer.
#[derive(Clone)]
pub struct Metrics {
    records: Counter,
    commits: Counter,
    failures: Counter,
    commit_seconds: Histogram,
}

impl Metrics {
    /// Registers under the registry's prefix.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Counter::default(),
            commits: Counter::default(),
            failures: Counter::default(),
            // 0.25 ms to 4 s.
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
        };
        registry.register("records", "Records appended", metrics.records.clone());
        registry.register("commits", "Group commits", metrics.commits.clone());
        registry.register("append_failures", "Group commits refused by the disk", metrics.failures.clone());
        registry.register_with_unit("commit", "Time of a group commit", Unit::Seconds, metrics.commit_seconds.clone());
        metrics
    }

    pub(super) fn committed(&self, records: usize, took: Duration) {
        self.records.inc_by(records as u64);
        self.commits.inc();
        self.commit_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}
