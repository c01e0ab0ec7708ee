//! What librdkafka says of a line's records, from a thread of its own.

use std::sync::{Arc, OnceLock, Weak, atomic::Ordering};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::Message,
    producer::{DeliveryResult, NoCustomPartitioner, ProducerContext},
};

use super::{Client, Context, GIVEN_UP, Metrics, Pending, Place, QueueState};

/// A record of an append.
pub(super) struct Ticket {
    pub(super) pending: Arc<Pending>,
    pub(super) index: usize,
    pub(super) bytes: usize,
    pub(super) place: Place,
}

pub(super) struct LineContext {
    pub(super) context: Context,
    pub(super) state: Arc<QueueState>,
    pub(super) metrics: Metrics,
    /// The client whose context this is.
    pub(super) client: OnceLock<Weak<Client>>,
}

impl ClientContext for LineContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for LineContext {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let before = self.state.bytes.fetch_sub(ticket.bytes, Ordering::Relaxed);
        self.metrics.queued(before.saturating_sub(ticket.bytes));
        // Without one where a repeated request's first answer was forgotten by brokers.
        let offset = result.as_ref().ok().and_then(|message| u64::try_from(message.offset()).ok());
        if offset.is_none() {
            // Before anything that waits could go.
            self.state.broken.store(true, Ordering::Release);
        }
        let client = self.client.get().and_then(Weak::upgrade);
        self.state.answered(&ticket, client.as_deref());
        match (offset, result) {
            (Some(offset), _) => ticket.pending.acknowledged(ticket.index, offset),
            (None, Ok(_)) => ticket.pending.failed(|| "the broker has it but cannot say where".into()),
            (None, Err((error, _))) => ticket.pending.failed(|| reason(error)),
        }
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => GIVEN_UP.into(),
        _ => error.to_string(),
    }
}
