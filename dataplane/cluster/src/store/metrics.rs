//! Metrics of the store on Redis.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Counters of one process's use of Redis.
#[derive(Clone)]
pub struct Metrics {
    operations: Counter,
    calls: Counter,
    failures: Counter,
    call_seconds: Histogram,
    reloads: Counter,
    renewals: Counter,
    passed_over: Counter,
    pub(super) applied_danmaku: Counter,
    pub(super) skipped_records: Counter,
    pub(super) fenced: Counter,
    pub(super) behind: Counter,
    pub(super) lost: Counter,
    pub(super) voids: Counter,
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let metrics = Self {
            operations: counter("operations", "Commands sent to Redis, script calls included"),
            calls: counter("script_calls", "Script calls"),
            failures: counter("script_failures", "Script calls that failed or were not answered in time"),
            reloads: counter("script_reloads", "Script calls that found the script gone from its node"),
            renewals: counter("renewals", "Connections that answered nothing and were given up for new ones"),
            passed_over: counter(
                "replicas_passed_over",
                "Reads that a replica did not answer soon, asked of the master",
            ),
            applied_danmaku: counter("applied_danmaku", "Danmaku applied to history and ranking"),
            skipped_records: counter("skipped_records", "Records that had been applied before"),
            fenced: counter("fenced", "Writes refused because another owner has a higher epoch"),
            behind: counter("behind", "Slices found behind what was applied, after a failover"),
            lost: counter("lost", "Writes refused because the slice, or its hash slot's marker, was gone"),
            voids: counter("voids", "Confirmations that found a node replaced or restarted"),
            // 0.25 ms to 4 s.
            call_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
        };
        registry.register_with_unit(
            "script_call",
            "Time of a script call",
            Unit::Seconds,
            metrics.call_seconds.clone(),
        );
        metrics
    }

    pub(super) fn sent(&self, commands: u64) {
        self.operations.inc_by(commands);
    }

    pub(super) fn called(&self, took: Duration, succeeded: bool) {
        self.calls.inc();
        self.call_seconds.observe(took.as_secs_f64());
        if !succeeded {
            self.failures.inc();
        }
    }

    pub(super) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(super) fn passed_over(&self) {
        self.passed_over.inc();
    }

    pub(super) fn reloaded(&self) {
        self.reloads.inc();
    }
}
