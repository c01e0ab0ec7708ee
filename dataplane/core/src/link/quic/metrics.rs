//! Metrics of links.

use prometheus_client::{
    encoding::EncodeLabelValue,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Whose connection it is: the one that dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Caller {
    Consumer,
    Gateway,
}

/// Counters of a process's links.
#[derive(Clone)]
pub struct Metrics {
    connections: Family<[(&'static str, Caller); 1], Gauge>,
    dials_failed: Counter,
    refused: Counter,
    pub(super) sent: Traffic,
    pub(super) received: Traffic,
    reloads: Counter,
    reloads_failed: Counter,
    expiry: Gauge,
}

#[derive(Clone, Default)]
pub(super) struct Traffic {
    messages: Counter,
    bytes: Counter,
}

impl Traffic {
    pub(super) fn add(&self, messages: usize, bytes: usize) {
        self.messages.inc_by(messages as u64);
        self.bytes.inc_by(bytes as u64);
    }
}

/// A connection is counted while this lives.
pub(super) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            connections: Family::default(),
            dials_failed: Counter::default(),
            refused: Counter::default(),
            sent: Traffic::default(),
            received: Traffic::default(),
            reloads: Counter::default(),
            reloads_failed: Counter::default(),
            expiry: Gauge::default(),
        };
        registry.register("connections", "Sessions by the role that dialled", metrics.connections.clone());
        registry.register("dials_failed", "Dials that gave no session", metrics.dials_failed.clone());
        registry.register("refused", "Callers that were refused", metrics.refused.clone());
        for (direction, traffic) in [("sent", &metrics.sent), ("received", &metrics.received)] {
            let messages = format!("{direction}_messages");
            registry.register(messages, format!("Messages {direction}"), traffic.messages.clone());
            registry.register_with_unit(direction, format!("Bytes {direction}"), Unit::Bytes, traffic.bytes.clone());
        }
        registry.register("certificate_reloads", "Certificates taken up while running", metrics.reloads.clone());
        registry.register(
            "certificate_reloads_failed",
            "New certificates that cannot be used; the old ones stay",
            metrics.reloads_failed.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry",
            "Unix time at which the certificate in force expires",
            Unit::Seconds,
            metrics.expiry.clone(),
        );
        metrics
    }

    pub(super) fn connected(&self, caller: Caller) -> Connected {
        let gauge = self.connections.get_or_create(&[("role", caller)]).clone();
        gauge.inc();
        Connected(gauge)
    }

    pub(super) fn dial_failed(&self) {
        self.dials_failed.inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    pub(super) fn reloaded(&self, expiry: Option<i64>) {
        self.reloads.inc();
        self.expires(expiry);
    }

    pub(super) fn reload_failed(&self) {
        self.reloads_failed.inc();
    }

    /// 0 where it cannot be read.
    pub(super) fn expires(&self, unix_s: Option<i64>) {
        self.expiry.set(unix_s.unwrap_or_default());
    }
}
