//! What the operator counts.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::problem::Reason;

/// Handles; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<Reconcile, Counter>,
    seconds: Family<[(&'static str, &'static str); 1], Histogram>,
    running: Family<[(&'static str, &'static str); 1], Gauge>,
    objects: Family<[(&'static str, &'static str); 1], Gauge>,
    writes: Family<[(&'static str, &'static str); 1], Counter>,
    api_errors: Family<ApiError, Counter>,
    routes: Family<[(&'static str, &'static str); 1], Counter>,
    forgets: Family<[(&'static str, &'static str); 1], Counter>,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiError {
    verb: &'static str,
    code: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8))),
            running: Family::default(),
            objects: Family::default(),
            writes: Family::default(),
            api_errors: Family::default(),
            routes: Family::default(),
            forgets: Family::default(),
            leader: Gauge::default(),
        };
        registry.register("reconciles", "Objects looked at, by result and reason", metrics.reconciles.clone());
        registry.register("reconcile_seconds", "Time that a look at an object took", metrics.seconds.clone());
        registry.register("reconciles_running", "Objects being looked at now", metrics.running.clone());
        registry.register("objects", "Objects that are looked after", metrics.objects.clone());
        registry.register("api_writes", "Writes to the API server, by verb", metrics.writes.clone());
        registry.register("api_errors", "Answers of the API server that were errors", metrics.api_errors.clone());
        registry.register("routes_writes", "Changes of route tables, by result", metrics.routes.clone());
        registry.register(
            "forgets",
            "Rooms whose data was to be removed from the store, by result",
            metrics.forgets.clone(),
        );
        registry.register("leader", "Whether this operator leads", metrics.leader.clone());
        metrics
    }

    /// A look at an object begins.
    pub(crate) fn begin(&self, kind: &'static str) {
        self.running.get_or_create(&[("kind", kind)]).inc();
    }

    /// A look at an object has ended; `reason` is why the object is as it is.
    pub(crate) fn end(&self, kind: &'static str, reason: Result<Reason, Reason>, took: Duration) {
        self.running.get_or_create(&[("kind", kind)]).dec();
        self.seconds.get_or_create(&[("kind", kind)]).observe(took.as_secs_f64());
        let (result, reason) = match reason {
            Ok(reason) => ("ok", reason),
            Err(reason) => ("error", reason),
        };
        self.reconciles.get_or_create(&Reconcile { kind, result, reason: reason.as_str() }).inc();
    }

    /// So many objects of a kind are known.
    pub(crate) fn known(&self, kind: &'static str, count: usize) {
        self.objects.get_or_create(&[("kind", kind)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The API server was asked to change something.
    pub(crate) fn wrote(&self, verb: &'static str) {
        self.writes.get_or_create(&[("verb", verb)]).inc();
    }

    /// The API server answered with an error.
    pub(crate) fn api_error(&self, verb: &'static str, error: &kube::Error) {
        let code = match error {
            kube::Error::Api(status) => match status.code {
                403 => "403",
                404 => "404",
                409 => "409",
                422 => "422",
                429 => "429",
                400..=499 => "4xx",
                _ => "5xx",
            },
            _ => "none",
        };
        self.api_errors.get_or_create(&ApiError { verb, code }).inc();
    }

    /// A change of a route table was written, or not.
    pub(crate) fn routes_written(&self, written: bool) {
        self.routes.get_or_create(&[("result", if written { "ok" } else { "error" })]).inc();
    }

    /// The data of rooms was removed, or is there still.
    pub(crate) fn forgotten(&self, rooms: usize, removed: bool) {
        self.forgets.get_or_create(&[("result", if removed { "ok" } else { "error" })]).inc_by(rooms as u64);
    }

    /// Whether this operator leads.
    pub(crate) fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }
}
