//! What librdkafka tells us besides answers: its log goes to ours, its errors are counted.

use prometheus_client::metrics::counter::Counter;
use rdkafka::{ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError};

/// The context of a client. Clones share one counter.
#[derive(Debug, Clone, Default)]
pub struct Context {
    errors: Counter,
}

impl Context {
    /// Counts errors of brokers and of connections to them in `errors`.
    #[must_use]
    pub const fn new(errors: Counter) -> Self {
        Self { errors }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        // That a setting is experimental was known when it was chosen.
        let level = if facility == "CONFWARN" { Info } else { level };
        match level {
            Emerg | Alert | Critical => tracing::error!(target: "librdkafka", facility, "{message}"),
            // A broker that goes away is an error to librdkafka; to us it is the others' turn.
            Error | Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            Notice | Info => tracing::debug!(target: "librdkafka", facility, "{message}"),
            Debug => tracing::trace!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.inc();
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Context {}
