//! Metrics of the ranker.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelValue,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::room::Offered;
use barrage_core::{
    age::Ages,
    link::{Candidates, RoomFrame},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Fate {
    Shown,
    Merged,
    SampledOut,
    Expired,
    Deleted,
    Seen,
}

/// The one label; its values are a closed enum.
type Labels = [(&'static str, Fate); 1];

/// Counters of what was decided.
#[derive(Clone)]
pub struct Metrics {
    danmaku: Family<Labels, Counter>,
    frames: Counter,
    pub(super) stale: Counter,
    pub(super) fenced: Counter,
    awake: Gauge,
    tick_seconds: Histogram,
    offer_age: Ages,
    frame_age: Ages,
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            danmaku: Family::default(),
            frames: Counter::default(),
            stale: Counter::default(),
            fenced: Counter::default(),
            awake: Gauge::default(),
            // 10 µs to 160 ms.
            tick_seconds: Histogram::new(exponential_buckets(0.000_01, 2.0, 15)),
            offer_age: Ages::default(),
            frame_age: Ages::default(),
        };
        registry.register("danmaku", "Danmaku by what became of them", metrics.danmaku.clone());
        registry.register("frames", "Frames emitted", metrics.frames.clone());
        registry.register("stale_danmaku", "Danmaku from former owners of a partition", metrics.stale.clone());
        registry.register("fenced_rooms", "Rooms that another ranker took over", metrics.fenced.clone());
        registry.register("awake_rooms", "Rooms with something to do", metrics.awake.clone());
        registry.register_with_unit(
            "tick",
            "Time of a tick of all awake rooms",
            Unit::Seconds,
            metrics.tick_seconds.clone(),
        );
        let (offer_age, frame_age) =
            ("Time from a record's first receipt at its gateway to here", "The same for frames");
        metrics.offer_age.register(registry, "offer_age", offer_age);
        metrics.frame_age.register(registry, "frame_age", frame_age);
        metrics
    }

    /// A record's danmaku are here.
    pub(super) fn arrived(&self, candidates: &Candidates) {
        if let Some((_, first)) = candidates.danmaku().next() {
            self.offer_age.observe(candidates.received_ms(first));
        }
    }

    pub(super) fn offered(&self, offered: Offered) {
        self.add(Fate::Seen, offered.seen);
        self.add(Fate::Expired, offered.expired);
    }

    pub(super) fn emitted(&self, frame: &RoomFrame) {
        self.frames.inc();
        if let Some(oldest_ms) = frame.danmaku.iter().map(|shown| shown.received_ms).min() {
            self.frame_age.observe(oldest_ms);
        }
        self.add(Fate::Shown, frame.danmaku.len() as u64);
        self.add(Fate::Merged, frame.left_out.merged.into());
        self.add(Fate::SampledOut, frame.left_out.sampled_out.into());
        self.add(Fate::Deleted, frame.left_out.deleted.into());
    }

    pub(super) fn ticked(&self, awake: usize, took: Duration) {
        self.awake.set(i64::try_from(awake).unwrap_or(i64::MAX));
        self.tick_seconds.observe(took.as_secs_f64());
    }

    fn add(&self, fate: Fate, count: u64) {
        if count > 0 {
            self.danmaku.get_or_create(&[("fate", fate)]).inc_by(count);
        }
    }
}
