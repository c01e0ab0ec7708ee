//! Everything that is said on a pool's heat topic from now on, for whoever plans with it.

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
use crate::backlog::{self, Quiet, ReadError};

/// Until reading starts over after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What is heard, with a failure in between where nothing can be heard. Reports that nobody takes in time wait in the
/// topic. Ends when the receiver is dropped.
#[must_use]
pub fn follow(base: ClientConfig, pool: &str, queue: usize) -> mpsc::Receiver<Result<Report, ReadError>> {
    let (sender, receiver) = mpsc::channel(queue);
    let pool = pool.to_owned();
    tokio::spawn(async move {
        while let Err(error) = read_on(&base, &pool, &sender).await {
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
    sender: &mpsc::Sender<Result<Report, ReadError>>,
) -> Result<(), ReadError> {
    let topic = topic_of(pool);
    let failed = |error: KafkaError| ReadError::new(&topic, &error);
    let consumer: StreamConsumer<Quiet> = backlog::consumer(base, pool).map_err(failed)?;
    backlog::assignment(&topic, Offset::End).and_then(|list| consumer.assign(&list)).map_err(failed)?;
    loop {
        let received = tokio::select! {
            received = consumer.recv() => received,
            () = sender.closed() => return Ok(()),
        };
        let report = match received {
            Ok(message) => message.payload().map(Report::decode),
            Err(KafkaError::PartitionEOF(_)) => None,
            Err(error) if backlog::lasting(&error) => return Err(failed(error)),
            Err(error) => {
                tracing::debug!(topic, %error, "reading goes on");
                None
            }
        };
        match report {
            Some(Ok(report)) => match sender.send(Ok(report)).await {
                Ok(()) => {}
                Err(_) => return Ok(()),
            },
            Some(Err(error)) => tracing::debug!(topic, %error, "no heat report"),
            None => {}
        }
    }
}
