//! Traces of single records on their way from a sender to the screens, one span a stage, in OpenTelemetry's model.
//!
//! A gateway draws lots for which records are traced. What is not drawn costs nothing on the way: there is no header, and
//! no stage asks. What is drawn carries a [`TraceParent`]: in the log as a header, over links as a field.
//!
//! ```text
//! publish (gateway: receipt → acknowledged) ─┬─ apply   (consumer: read → in the store)
//!                                            └─ decide  (ranker: arrived → in a frame) ─── deliver (gateway: frame → written)
//! ```

mod export;
mod parent;

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};
use thiserror::Error;

pub use parent::TraceParent;

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Of a collector that takes OTLP over HTTP, like `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Share of records that are traced, 0 to 1.
    pub sample_ratio: f64,
}

/// Who makes spans, as collectors show it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What the process does.
    pub role: &'static str,
    /// What it is called.
    pub name: String,
    /// For which pool.
    pub pool: String,
}

/// Spans cannot be exported as the settings say.
#[derive(Debug, Error)]
#[error("cannot export traces: {0}. Look at trace.otlp-endpoint")]
pub struct TraceError(String);

/// A stage of a record's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From receipt to the log's acknowledgement.
    Publish,
    /// From the log to the store.
    Apply,
    /// From the log to a frame.
    Decide,
    /// From a frame to viewers' sockets.
    Deliver,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Apply => "apply",
            Self::Decide => "decide",
            Self::Deliver => "deliver",
        }
    }

    const fn kind(self) -> SpanKind {
        match self {
            Self::Publish => SpanKind::Producer,
            Self::Apply | Self::Decide => SpanKind::Consumer,
            Self::Deliver => SpanKind::Internal,
        }
    }
}

/// Makes spans, or none. Clones share one exporter.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sample_ratio: f64,
}

impl Tracer {
    /// Exports as `config` says; without one there are no spans.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn open(config: Option<&Config>, identity: &Identity) -> Result<Self, TraceError> {
        let Some(Config { endpoint, sample_ratio }) = config else { return Ok(Self::default()) };
        Ok(Self::of(export::provider(endpoint, identity)?, *sample_ratio))
    }

    fn of(provider: SdkTracerProvider, sample_ratio: f64) -> Self {
        let tracer = provider.tracer("barrage");
        Self(Some(Arc::new(Inner { provider, tracer, sample_ratio })))
    }

    /// Begins a trace with what began at `since`, if the lot says so.
    pub fn draw(&self, stage: Stage, since: impl FnOnce() -> SystemTime) -> Option<Span> {
        let inner = self.0.as_ref().filter(|inner| rand::random::<f64>() < inner.sample_ratio)?;
        Some(inner.begin(stage, since(), &Context::new()))
    }

    /// Goes on with a trace that came from another process, from now.
    #[must_use]
    pub fn follow(&self, stage: Stage, parent: &TraceParent) -> Option<Span> {
        self.follow_since(stage, parent, SystemTime::now())
    }

    /// Goes on with a trace that came from another process at `since`.
    #[must_use]
    pub fn follow_since(&self, stage: Stage, parent: &TraceParent, since: SystemTime) -> Option<Span> {
        let context = Context::new().with_remote_span_context(parent.context());
        Some(self.0.as_ref()?.begin(stage, since, &context))
    }

    /// Exports what is left; blocks for some seconds at the most.
    pub fn close(&self) {
        if let Some(inner) = &self.0
            && let Err(error) = inner.provider.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

impl Inner {
    fn begin(&self, stage: Stage, since: SystemTime, parent: &Context) -> Span {
        let span = self.tracer.span_builder(stage.name()).with_kind(stage.kind()).with_start_time(since);
        Span(span.start_with_context(&self.tracer, parent))
    }
}

/// A stage under way; it ends when it is dropped.
#[derive(Debug)]
pub struct Span(SdkSpan);

impl Span {
    /// What the next stage follows.
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        TraceParent::from(self.0.span_context())
    }

    /// Where the record stands in the log that it is about.
    pub fn of_record(&mut self, partition: u32, offset: u64) {
        self.0.set_attribute(KeyValue::new("messaging.system", "kafka"));
        self.0.set_attribute(KeyValue::new("messaging.destination.partition.id", partition.to_string()));
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.0.set_attribute(KeyValue::new("messaging.kafka.offset", offset));
    }

    /// The stage did not do what it was to do.
    pub fn failed(&mut self, reason: &str) {
        self.0.set_status(Status::error(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    use super::*;

    fn tracer(sample_ratio: f64) -> (Tracer, InMemorySpanExporter) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        (Tracer::of(provider, sample_ratio), exporter)
    }

    #[test]
    fn a_trace_goes_on_over_a_header() {
        let (tracer, exporter) = tracer(1.0);
        let publish = tracer.draw(Stage::Publish, SystemTime::now).unwrap();
        let header = publish.parent().to_string();
        let mut apply = tracer.follow(Stage::Apply, &TraceParent::parse(header.as_bytes()).unwrap()).unwrap();
        apply.of_record(3, 7);
        drop((publish, apply));
        let spans = exporter.get_finished_spans().unwrap();
        let [publish, apply] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&*publish.name, &*apply.name), ("publish", "apply"));
        assert_eq!(apply.span_context.trace_id(), publish.span_context.trace_id());
        assert_eq!(apply.parent_span_id, publish.span_context.span_id());
        assert!(apply.parent_span_is_remote);
    }

    #[test]
    fn what_is_not_drawn_has_no_span() {
        let (never, exporter) = tracer(0.0);
        assert!(never.draw(Stage::Publish, || unreachable!("nobody asks when it began")).is_none());
        assert!(Tracer::default().draw(Stage::Publish, SystemTime::now).is_none());
        assert!(exporter.get_finished_spans().unwrap().is_empty());
    }
}
