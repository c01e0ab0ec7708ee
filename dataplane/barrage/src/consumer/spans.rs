//! Spans of traced records: from the log to the store.

use std::sync::Arc;

use super::{Context, poll::Poll};
use barrage_core::trace::{Span, Stage, TraceParent};

/// Begins those of the records that are about to be applied.
pub(super) fn begin(context: &Context, partition: u32, polls: &[Arc<Poll>]) -> Vec<Span> {
    let traced = polls.iter().flat_map(|poll| &poll.traces);
    let span = |(offset, parent): &(u64, TraceParent)| {
        let mut span = context.tracer.follow(Stage::Apply, parent)?;
        span.of_record(partition, *offset);
        Some(span)
    };
    traced.filter_map(span).collect()
}

/// Ends them; what is not in the store comes again.
pub(super) fn end(spans: Vec<Span>, applied: bool) {
    for mut span in spans {
        if !applied {
            span.failed("not applied this time");
        }
    }
}
