//! Metrics of the log on Kafka.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Counters of one process' log.
#[derive(Clone)]
pub(super) struct Metrics {
    records: Counter,
    batches: Counter,
    record_bytes: Counter,
    append_seconds: Histogram,
    append_failures: Counter,
    queue_bytes: Gauge,
    producers_replaced: Counter,
    pub(super) broker_errors: Counter,
    records_read: Counter,
    read_errors: Counter,
    pub(super) readers: Gauge,
}

impl Metrics {
    /// Registers under the registry's prefix.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Counter::default(),
            batches: Counter::default(),
            record_bytes: Counter::default(),
            // 0.5 ms to 32 s: an append gives up after 20 s.
            append_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 17)),
            append_failures: Counter::default(),
            queue_bytes: Gauge::default(),
            producers_replaced: Counter::default(),
            broker_errors: Counter::default(),
            records_read: Counter::default(),
            read_errors: Counter::default(),
            readers: Gauge::default(),
        };
        metrics.register_in(registry);
        metrics
    }

    fn register_in(&self, registry: &mut Registry) {
        registry.register("records", "Records appended", self.records.clone());
        registry.register("batches", "Batches of records sent, each to one partition", self.batches.clone());
        registry.register_with_unit(
            "record",
            "Size of records appended, before compression",
            Unit::Bytes,
            self.record_bytes.clone(),
        );
        registry.register_with_unit(
            "append",
            "Time from an append to the last acknowledgement of its records",
            Unit::Seconds,
            self.append_seconds.clone(),
        );
        registry.register("append_failures", "Appends that failed", self.append_failures.clone());
        registry.register_with_unit("queue", "Records not acknowledged yet", Unit::Bytes, self.queue_bytes.clone());
        registry.register(
            "producers_replaced",
            "Producers given up, with all that they had not been acknowledged",
            self.producers_replaced.clone(),
        );
        registry.register("broker_errors", "Errors of brokers and of connections to them", self.broker_errors.clone());
        registry.register("records_read", "Records read", self.records_read.clone());
        registry.register("read_errors", "Errors of readers, which try again", self.read_errors.clone());
        registry.register("readers", "Partitions being read", self.readers.clone());
    }

    pub(super) fn appended(&self, records: usize, bytes: usize, took: Duration) {
        self.records.inc_by(records as u64);
        self.record_bytes.inc_by(bytes as u64);
        self.append_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn sent_batch(&self) {
        self.batches.inc();
    }

    pub(super) fn append_failed(&self) {
        self.append_failures.inc();
    }

    pub(super) fn queued(&self, bytes: usize) {
        self.queue_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn producer_replaced(&self) {
        self.producers_replaced.inc();
    }

    pub(super) fn read(&self, records: usize) {
        self.records_read.inc_by(records as u64);
    }

    pub(super) fn read_failed(&self) {
        self.read_errors.inc();
    }
}
