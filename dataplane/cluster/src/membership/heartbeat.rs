//! A process says each second that it is alive, and how hot its rooms are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use barrage_proto::heat::{Report, report::Role};
use prost::Message;
use rdkafka::{
    ClientConfig, ClientContext,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode,
};
use thiserror::Error;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{metrics::Metrics, topic_of};
use crate::{kafka::polled, topic_reader::PARTITION};
use barrage_core::{
    clock::unix_ms,
    heat::{Heat, Rounds},
    last_error::LastError,
    link::Peer,
};

const BEAT: Duration = Duration::from_secs(1);
/// Until a report is given up, ms. Older news are none: the next report says it all again.
const REPORT_MS: &str = "4000";
/// Reports on their way: as many as there are until they are given up, and some parts of large ones.
const REPORTS_MAX: usize = 16;

#[derive(Debug, Clone)]
pub struct ProcessIdentity {
    pub role: Role,
    /// Its identity in the role, the same after a restart.
    pub name: Peer,
    /// A ranker: host and port that its links are reached at. A gateway: those that viewers connect to.
    pub address: String,
}

/// The producer cannot be made.
#[derive(Debug, Error)]
#[error("cannot write topic {topic}: {source}. Check the settings of `kafka`")]
pub struct BeatError {
    topic: String,
    source: KafkaError,
}

/// What is known of this process's heartbeat. Clones share it.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Whether a report was taken.
    acknowledged: Arc<AtomicBool>,
    last_error: LastError,
    connections: Connections,
}

/// Keeps what librdkafka last said of its connections: of wrong certificates and passwords nobody else says more than
/// that a time has passed.
#[derive(Debug, Clone, Default)]
struct Connections(LastError);

impl ClientContext for Connections {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a client of Kafka");
        // Comes behind the reasons, and has none.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        _ = self.0.note::<(), _>(Err(reason));
    }
}

impl ProducerContext for Connections {
    type DeliveryOpaque = Box<oneshot::Sender<Result<(), KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, asked: Self::DeliveryOpaque) {
        let outcome = result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone());
        // Whoever asked went away and no longer wants to know.
        _ = asked.send(outcome);
    }
}

impl Beat {
    /// Why the last report was not taken, or why the first has not been yet.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        match (self.last_error.current(), self.connections.0.current()) {
            (Some(last_error), Some(reason)) => Some(format!("{last_error}; {reason}")),
            (None, Some(reason)) if !self.acknowledged.load(Relaxed) => Some(reason),
            (last_error, _) => last_error,
        }
    }
}

/// Says `heat` every second until `shutdown`, at first at once.
///
/// # Errors
/// The producer's settings are wrong. Kafka may be away: it is tried again each second.
pub fn start(
    base: &ClientConfig,
    pool: &str,
    identity: ProcessIdentity,
    heat: Heat,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(Beat, JoinHandle<()>), BeatError> {
    let topic = topic_of(pool);
    let mut config = base.clone();
    for (name, value) in [
        ("acks", "all"),
        ("compression.type", "zstd"),
        ("linger.ms", "0"),
        ("message.timeout.ms", REPORT_MS),
        // A broker that is gone is noticed before the report is too old.
        ("socket.timeout.ms", REPORT_MS),
        ("reconnect.backoff.max.ms", "1000"),
    ] {
        config.set(name, value);
    }
    let connections = Connections::default();
    let producer = polled(&config, connections.clone()).map_err(|source| BeatError { topic: topic.clone(), source })?;
    let (acknowledged, last_error) = (Arc::<AtomicBool>::default(), LastError::default());
    let beat = Beat {
        acknowledged: Arc::clone(&acknowledged),
        last_error: last_error.clone(),
        connections: connections.clone(),
    };
    let template = Report {
        role: identity.role.into(),
        name: identity.name.to_string(),
        incarnation: rand::random(),
        address: identity.address,
        whole: true,
        ..Report::default()
    };
    let said = Said { producer, topic, acknowledged, last_error, connections, metrics };
    let speaker =
        Speaker { said: Arc::new(said), template, heat, rounds: Rounds::default(), on_their_way: JoinSet::new() };
    let task = tokio::spawn(async move { _ = shutdown.run_until_cancelled(speaker.run()).await });
    Ok((beat, task))
}

struct Speaker {
    said: Arc<Said>,
    template: Report,
    heat: Heat,
    rounds: Rounds,
    /// A broker that takes a second longer holds up no heartbeat: all that wait are acknowledged together.
    on_their_way: JoinSet<()>,
}

impl Speaker {
    async fn run(mut self) {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while self.on_their_way.try_join_next().is_some() {}
            let taken = self.heat.take();
            let routes_epoch = taken.routes_epoch;
            let (total, parts) = self.rounds.round(start.elapsed().as_secs(), taken);
            let now = Report { at_ms: unix_ms(), routes_epoch, ..self.template.clone() };
            for (number, rooms) in parts.into_iter().enumerate() {
                let total = (number == 0).then_some(total);
                self.say(Report { total, rooms, ..now.clone() });
            }
            // Only the first says everything of a process that was not there before.
            self.template.whole = false;
        }
    }

    fn say(&mut self, report: Report) {
        if self.on_their_way.len() >= REPORTS_MAX {
            return self.said.metrics.skipped();
        }
        let said = Arc::clone(&self.said);
        self.on_their_way.spawn(async move { said.say(&report).await });
    }
}

struct Said {
    producer: Arc<BaseProducer<Connections>>,
    topic: String,
    acknowledged: Arc<AtomicBool>,
    last_error: LastError,
    connections: Connections,
    metrics: Metrics,
}

impl Said {
    async fn say(&self, report: &Report) {
        let payload = report.encode_to_vec();
        self.metrics.said(report.rooms.len(), payload.len());
        let (asked, answered) = oneshot::channel();
        let record = BaseRecord::<'_, [u8], [u8], _>::with_opaque_to(&self.topic, Box::new(asked));
        let outcome = match self.producer.send(record.partition(PARTITION).payload(&payload)) {
            Ok(()) => answered.await.unwrap_or(Err(KafkaError::Canceled)),
            Err((error, _)) => Err(error),
        };
        match self.last_error.note(outcome) {
            Ok(_) => {
                self.metrics.acknowledged();
                _ = self.connections.0.note::<_, KafkaError>(Ok(()));
                self.acknowledged.store(true, Relaxed);
            }
            Err(error) => {
                self.metrics.failed();
                tracing::debug!(topic = self.topic, %error, "a heat report was not taken");
            }
        }
    }
}

#[cfg(test)]
mod tests;
