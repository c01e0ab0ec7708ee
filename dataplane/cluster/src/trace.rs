//! Spans in OpenTelemetry's model, brought to a collector.

mod export;

use std::time::SystemTime;

use barrage_core::trace::{SpanBackend, Stage, TraceBackend, TraceParent, Tracer};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
        Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};
use thiserror::Error;

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
pub struct Resource {
    pub role: &'static str,
    pub name: String,
    /// For which pool.
    pub pool: String,
}

/// Spans cannot be exported as the settings say.
#[derive(Debug, Error)]
#[error("cannot export traces: {0}. Look at trace.otlp-endpoint")]
pub struct TraceError(String);

/// Exports as `config` says; without one there are no spans.
///
/// # Errors
/// [`TraceError`].
pub fn open(config: Option<&Config>, resource: &Resource) -> Result<Tracer, TraceError> {
    let Some(Config { endpoint, sample_ratio }) = config else { return Ok(Tracer::default()) };
    Ok(tracer(export::provider(endpoint, resource)?, *sample_ratio))
}

fn tracer(provider: SdkTracerProvider, sample_ratio: f64) -> Tracer {
    let tracer = provider.tracer("barrage");
    Tracer::new(Box::new(Exporter { provider, tracer }), sample_ratio)
}

struct Exporter {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl TraceBackend for Exporter {
    fn begin(&self, stage: Stage, since: SystemTime, parent: Option<&TraceParent>) -> Box<dyn SpanBackend> {
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(context_of(parent)),
            None => Context::new(),
        };
        let span = self.tracer.span_builder(name(stage)).with_kind(kind(stage)).with_start_time(since);
        Box::new(Span(span.start_with_context(&self.tracer, &context)))
    }

    fn close(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

struct Span(SdkSpan);

impl SpanBackend for Span {
    fn parent(&self) -> TraceParent {
        let context = self.0.span_context();
        TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
        }
    }

    fn of_record(&mut self, partition: u32, offset: u64) {
        self.0.set_attribute(KeyValue::new("messaging.system", "kafka"));
        self.0.set_attribute(KeyValue::new("messaging.destination.partition.id", partition.to_string()));
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.0.set_attribute(KeyValue::new("messaging.kafka.offset", offset));
    }

    fn failed(&mut self, reason: &str) {
        self.0.set_status(Status::error(reason.to_owned()));
    }
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Publish => "publish",
        Stage::Apply => "apply",
        Stage::Decide => "decide",
        Stage::Deliver => "deliver",
    }
}

const fn kind(stage: Stage) -> SpanKind {
    match stage {
        Stage::Publish => SpanKind::Producer,
        Stage::Apply | Stage::Decide => SpanKind::Consumer,
        Stage::Deliver => SpanKind::Internal,
    }
}

/// The parent of a span that another process began.
fn context_of(parent: &TraceParent) -> SpanContext {
    let (trace, span) = (TraceId::from(parent.trace), SpanId::from(parent.span));
    SpanContext::new(trace, span, TraceFlags::new(parent.flags), true, TraceState::NONE)
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::InMemorySpanExporter;

    use super::*;

    fn in_memory(sample_ratio: f64) -> (Tracer, InMemorySpanExporter) {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        (tracer(provider, sample_ratio), exporter)
    }

    #[test]
    fn a_trace_goes_on_over_a_header() {
        let (tracer, exporter) = in_memory(1.0);
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
        let (never, exporter) = in_memory(0.0);
        assert!(never.draw(Stage::Publish, || unreachable!("nobody asks when it began")).is_none());
        assert!(exporter.get_finished_spans().unwrap().is_empty());
    }
}
