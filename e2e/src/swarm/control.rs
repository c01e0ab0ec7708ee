//! What the threads of a swarm and whoever conducts them tell each other, without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The conductor's side: what the swarm may do now. Each is set once.
#[derive(Debug, Default)]
pub struct Control {
    speak: AtomicBool,
    hush: AtomicBool,
    finish: AtomicBool,
    /// Times that the latency was to begin anew.
    fresh: AtomicU64,
    pub progress: Progress,
}

/// Sums over all threads; for the eye, and for a conductor's decisions.
#[derive(Debug, Default)]
pub struct Progress {
    /// Viewers that are connected now.
    pub viewers: Gauge,
    /// Senders that are connected now.
    pub senders: Gauge,
    /// WebSocket messages received.
    pub messages: Gauge,
    /// Danmaku received live, by all viewers together.
    pub danmaku: Gauge,
    /// Bytes received.
    pub bytes: Gauge,
    /// Danmaku sent, each counted once.
    pub sent: Gauge,
    /// Times that a danmaku was sent again.
    pub resent: Gauge,
    /// Danmaku acknowledged.
    pub acknowledged: Gauge,
    /// Danmaku that were never sent, because their user had too many waiting.
    pub held_back: Gauge,
    /// Connections lost.
    pub disconnects: Gauge,
    /// Connections that did not come to stand.
    pub failed_dials: Gauge,
    /// Median and P99 of the last second's latency, ms.
    pub latency_ms_p50: Gauge,
    /// See [`Progress::latency_ms_p50`].
    pub latency_ms_p99: Gauge,
    /// Threads that have said all they had to say, and have their answers.
    pub settled: Gauge,
}

/// A number that several threads move and anybody reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Control {
    /// Senders may begin.
    pub fn speak(&self) {
        self.speak.store(true, Ordering::Relaxed);
    }

    /// Senders start nothing new; what is under way is brought to its end.
    pub fn hush(&self) {
        self.hush.store(true, Ordering::Relaxed);
    }

    /// Everybody leaves.
    pub fn finish(&self) {
        self.finish.store(true, Ordering::Relaxed);
    }

    /// The latency begins anew: what came before was warming up.
    pub fn forget_latency(&self) {
        self.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether [`Control::hush`] was called.
    #[must_use]
    pub fn is_hushed(&self) -> bool {
        self.hush.load(Ordering::Relaxed)
    }

    pub(super) fn may_speak(&self) -> bool {
        self.speak.load(Ordering::Relaxed)
    }

    pub(super) fn latency_begun(&self) -> u64 {
        self.fresh.load(Ordering::Relaxed)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finish.load(Ordering::Relaxed)
    }
}
