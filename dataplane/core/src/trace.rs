//! Traces of single records on their way from a sender to the screens, one span a stage, in OpenTelemetry's model.
//!
//! A gateway draws lots for which records are traced. What is not drawn costs nothing on the way: there is no header, and
//! no stage asks. What is drawn carries a [`TraceParent`]: in the log as a header, over links as a field.
//!
//! ```text
//! publish (gateway: receipt → acknowledged) ─┬─ apply   (consumer: read → in the store)
//!                                            └─ decide  (ranker: arrived → in a frame) ─── deliver (gateway: frame → written)
//! ```
//!
//! Spans are made by a [`TraceBackend`]; a process without one makes none.

mod parent;

use std::{fmt, sync::Arc, time::SystemTime};

pub use parent::TraceParent;

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

/// Makes spans and brings them to a collector.
pub trait TraceBackend: Send + Sync {
    /// Begins a span at `since`: the first of a trace, or below `parent`, which is another process's.
    fn begin(&self, stage: Stage, since: SystemTime, parent: Option<&TraceParent>) -> Box<dyn SpanBackend>;

    /// Exports what is left; blocks for some seconds at the most.
    fn close(&self);
}

/// A span; it ends when it is dropped.
pub trait SpanBackend: Send {
    fn parent(&self) -> TraceParent;

    /// Where the record stands in the log that it is about.
    fn of_record(&mut self, partition: u32, offset: u64);

    /// The stage did not do what it was to do.
    fn failed(&mut self, reason: &str);
}

/// Makes spans, or none. Clones share one exporter.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    backend: Box<dyn TraceBackend>,
    sample_ratio: f64,
}

impl Tracer {
    /// Traces a share of records, `sample_ratio` from 0 to 1, and goes on with every trace that others began.
    #[must_use]
    pub fn new(backend: Box<dyn TraceBackend>, sample_ratio: f64) -> Self {
        Self(Some(Arc::new(Inner { backend, sample_ratio })))
    }

    /// Begins a trace with what began at `since`, if the lot says so.
    pub fn draw(&self, stage: Stage, since: impl FnOnce() -> SystemTime) -> Option<Span> {
        let inner = self.0.as_ref().filter(|inner| rand::random::<f64>() < inner.sample_ratio)?;
        Some(Span(inner.backend.begin(stage, since(), None)))
    }

    /// Goes on with a trace that came from another process, from now.
    #[must_use]
    pub fn follow(&self, stage: Stage, parent: &TraceParent) -> Option<Span> {
        self.follow_since(stage, parent, SystemTime::now())
    }

    /// Goes on with a trace that came from another process at `since`.
    #[must_use]
    pub fn follow_since(&self, stage: Stage, parent: &TraceParent, since: SystemTime) -> Option<Span> {
        Some(Span(self.0.as_ref()?.backend.begin(stage, since, Some(parent))))
    }

    /// Exports what is left; blocks for some seconds at the most.
    pub fn close(&self) {
        if let Some(inner) = &self.0 {
            inner.backend.close();
        }
    }
}

/// A stage under way; it ends when it is dropped.
pub struct Span(Box<dyn SpanBackend>);

impl Span {
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        self.0.parent()
    }

    /// Where the record stands in the log that it is about.
    pub fn of_record(&mut self, partition: u32, offset: u64) {
        self.0.of_record(partition, offset);
    }

    /// The stage did not do what it was to do.
    pub fn failed(&mut self, reason: &str) {
        self.0.failed(reason);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({})", self.0.parent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_backend_makes_no_span() {
        let parent = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let nobody = Tracer::default();
        assert!(nobody.draw(Stage::Publish, || unreachable!("nobody asks when it began")).is_none());
        assert!(nobody.follow(Stage::Apply, &parent).is_none());
        nobody.close();
    }
}
