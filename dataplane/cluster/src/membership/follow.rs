//! Everything that is said on a pool's heat topic, for whoever plans with it.

use std::time::Duration;

use barrage_proto::heat::Report;
use prost::Message as _;
use rdkafka::{
    ClientConfig, Message, Offset,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
};
use tokio::sync::mpsc;

use super::topic_of;
use crate::topic_reader::{self, Quiet, ReadError};

/// Until reading starts over after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// A report, and how much older it is than what was the newest when listening began; by the topic's own time, because
/// clocks of machines differ.
type Heard = Result<(Report, Duration), ReadError>;

/// What is heard, with a failure in between where nothing can be heard: first what was said in the last `past`, then all
/// that is new. Reports that nobody takes in time wait in the topic. Ends when the receiver is dropped.
#[must_use]
pub fn follow(base: ClientConfig, pool: &str, past: Duration, queue: usize) -> mpsc::Receiver<Heard> {
    let (sender, receiver) = mpsc::channel(queue);
    let pool = pool.to_owned();
    tokio::spawn(async move {
        while let Err(error) = read_on(&base, &pool, past, &sender).await {
            if sender.send(Err(error)).await.is_err() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
    receiver
}

/// Until the receiver is gone.
async fn read_on(
    base: &ClientConfig,
    pool: &str,
    past: Duration,
    sender: &mpsc::Sender<Heard>,
) -> Result<(), ReadError> {
    let topic = topic_of(pool);
    let failed = |error: KafkaError| ReadError::new(&topic, &error);
    let begin = {
        let (base, pool, topic) = (base.clone(), pool.to_owned(), topic.clone());
        move || topic_reader::newest_since(&base, &pool, &topic, past)
    };
    let begin = tokio::task::spawn_blocking(begin).await.expect("looking for a place in a topic does not panic")?;
    let (start, newest_ms) = begin.unwrap_or((Offset::Beginning, i64::MIN));
    let consumer: StreamConsumer<Quiet> = topic_reader::consumer(base, pool).map_err(failed)?;
    topic_reader::assignment(&topic, start).and_then(|list| consumer.assign(&list)).map_err(failed)?;
    loop {
        let received = tokio::select! {
            received = consumer.recv() => received,
            () = sender.closed() => return Ok(()),
        };
        let report = match received {
            Ok(message) => {
                let at_ms = message.timestamp().to_millis().unwrap_or(newest_ms);
                let age = Duration::from_millis(u64::try_from(newest_ms.saturating_sub(at_ms)).unwrap_or(0));
                message.payload().map(Report::decode).map(|report| report.map(|report| (report, age)))
            }
            Err(KafkaError::PartitionEOF(_)) => None,
            Err(error) if topic_reader::lasting(&error) => return Err(failed(error)),
            Err(error) => {
                tracing::debug!(topic, %error, "reading goes on");
                None
            }
        };
        match report {
            Some(Ok(heard)) => match sender.send(Ok(heard)).await {
                Ok(()) => {}
                Err(_) => return Ok(()),
            },
            Some(Err(error)) => tracing::debug!(topic, %error, "no heat report"),
            None => {}
        }
    }
}
