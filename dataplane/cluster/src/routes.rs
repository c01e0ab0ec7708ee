//! The route table on its compacted topic: [`follow`] gives every role the newest table, [`Writer`] is the one who
//! changes it, [`read`] looks at it once.

mod horizon;
mod metrics;
mod writer;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use thiserror::Error;
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::topic_reader::{self, PARTITION, Quiet, ReadError};
use barrage_core::{
    last_error::LastError,
    routes::{
        Routes, Table,
        entry::{Draft, MovedSlices},
    },
};
use horizon::{Answer, Horizon};
pub use metrics::Metrics;
pub use writer::{WriteError, Writer};

/// How often the broker is asked where the topic ends.
const ASK: Duration = Duration::from_secs(1);
/// Until a broker's answer is no answer any more.
const ANSWER: Duration = Duration::from_secs(3);
/// Until reading starts over after it failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a process that waits for its first table says so.
const SAY: Duration = Duration::from_secs(10);

/// The name of a pool's routes topic.
#[must_use]
pub fn topic_of(pool: &str) -> String {
    format!("{pool}.routes")
}

/// There is no table to go by.
#[derive(Debug, Error)]
pub enum TableError {
    /// The topic cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An earlier version wrote it.
    #[error(transparent)]
    Moved(#[from] MovedSlices),
}

/// When the end of the topic was last reached for sure. Clones share it.
#[derive(Debug, Clone)]
pub struct Freshness {
    reached: watch::Receiver<Option<Instant>>,
    refused: watch::Receiver<Option<MovedSlices>>,
    last_error: LastError,
    topic: Arc<str>,
}

impl Freshness {
    /// How old the table is at most: everything that was written before had been read. `None` before the first time.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.reached.borrow().map(|reached| reached.elapsed())
    }

    /// Whether everything that was written before so long ago has been read.
    #[must_use]
    pub fn is_within(&self, age_max: Duration) -> bool {
        self.age().is_some_and(|age| age <= age_max)
    }

    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error.current()
    }

    /// Why there is no table yet, and what to do about it.
    #[must_use]
    pub fn waiting_for(&self) -> String {
        let topic = &self.topic;
        match (self.last_error(), self.age()) {
            (Some(last_error), _) => format!("waiting for the route table: {last_error}"),
            (None, None) => format!("waiting for the route table: topic {topic} is being read"),
            (None, Some(_)) => {
                format!(
                    "waiting for the route table: topic {topic} is empty; make the pool with `barrage pool create --partitions N`"
                )
            }
        }
    }
}

/// Follows the table for ever, or until `shutdown`. The table of epoch 0, which the receiver holds at first, is none:
/// see [`first`]. Whole changes only are seen, and none before the topic was once read to its end; nor any table with
/// slices that have moved.
pub fn follow(
    base: ClientConfig,
    pool: &str,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> (Routes, Freshness, JoinHandle<()>) {
    let (tables, routes) = watch::channel(Arc::new(Table::default()));
    let (reached, freshness) = watch::channel(None);
    let (refused, refusal) = watch::channel(None);
    let topic: Arc<str> = topic_of(pool).into();
    let last_error = LastError::default();
    let freshness =
        Freshness { reached: freshness, refused: refusal, last_error: last_error.clone(), topic: topic.clone() };
    let follower = Follower { base, pool: pool.to_owned(), topic, tables, reached, refused, last_error, metrics };
    let task = tokio::spawn(async move { _ = shutdown.run_until_cancelled(follower.run()).await });
    (routes, freshness, task)
}

/// The first table; says every ten seconds what it waits for. `None` when the follower has ended.
///
/// # Errors
/// The table is one that no process may go by.
pub async fn first(routes: &mut Routes, freshness: &Freshness) -> Result<Option<Arc<Table>>, MovedSlices> {
    let mut refused = freshness.refused.clone();
    let mut say = tokio::time::interval_at(tokio::time::Instant::now() + AGAIN, SAY);
    loop {
        tokio::select! {
            table = routes.wait_for(|table| table.epoch > 0) => {
                return Ok(table.ok().map(|table| Arc::clone(&table)));
            }
            Ok(refused) = refused.wait_for(Option::is_some) => return refused.clone().map_or(Ok(None), Err),
            _ = say.tick() => tracing::warn!("{}", freshness.waiting_for()),
        }
    }
}

/// Reads the table once; `None` when the topic is empty.
///
/// # Errors
/// The topic cannot be read, or the table is one that nobody may go by.
pub async fn read(base: ClientConfig, pool: &str) -> Result<Option<Table>, TableError> {
    let pool = pool.to_owned();
    let (table, _) = read_into(base, pool, Draft::default()).await?;
    Ok(table)
}

async fn read_into(base: ClientConfig, pool: String, mut draft: Draft) -> Result<(Option<Table>, Draft), TableError> {
    let reading = tokio::task::spawn_blocking(move || {
        let (mut table, topic) = (None, topic_of(&pool));
        topic_reader::read(&base, &pool, &topic, topic_reader::From::Start, |message| {
            table = take(&mut draft, message).or(table.take());
        })?;
        draft.check()?;
        Ok((table, draft))
    });
    reading.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Applies a record; one that is not understood is logged, and the others count.
fn take(draft: &mut Draft, message: &BorrowedMessage<'_>) -> Option<Table> {
    match draft.apply(message.key().unwrap_or_default(), message.payload()) {
        Ok(table) => table,
        Err(error) => {
            tracing::warn!(offset = message.offset(), "an entry of the route table is left out: {error}");
            None
        }
    }
}

/// Why following starts over; the table that there is stays in force.
#[derive(Debug, Error)]
enum FollowError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Moved(#[from] MovedSlices),
    #[error("topic {0} is shorter than what was read of it: it was made anew, or a broker lost what it held")]
    Shorter(Arc<str>),
    /// Whoever owned anything under a higher epoch would be fenced by nobody.
    #[error(
        "topic {topic} has gone back from epoch {newest} to {found}: this process goes on with its newer table; if the pool was made anew, restart all its processes"
    )]
    GoneBack { topic: Arc<str>, newest: u64, found: u64 },
}

struct Follower {
    base: ClientConfig,
    pool: String,
    topic: Arc<str>,
    tables: watch::Sender<Arc<Table>>,
    reached: watch::Sender<Option<Instant>>,
    refused: watch::Sender<Option<MovedSlices>>,
    last_error: LastError,
    metrics: Metrics,
}

impl Follower {
    async fn run(self) {
        loop {
            let Err(error) = self.read_on().await;
            tracing::warn!("following the route table starts over: {error}");
            if let FollowError::Moved(slices) = &error {
                self.refused.send_replace(Some(slices.clone()));
            }
            self.failed(&error);
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn failed(&self, error: &FollowError) {
        self.metrics.failed();
        _ = self.last_error.note::<(), _>(Err(error));
    }

    fn kafka(&self, error: &KafkaError) -> FollowError {
        ReadError::new(&self.topic, error).into()
    }

    /// Reads from the topic's start, until that has to begin again.
    async fn read_on(&self) -> Result<Infallible, FollowError> {
        let kafka = |error: KafkaError| self.kafka(&error);
        let consumer: Arc<StreamConsumer<Quiet>> =
            topic_reader::consumer(&self.base, &self.pool).map(Arc::new).map_err(kafka)?;
        let mut reading = Reading::default();
        let mut ask = tokio::time::interval(ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking: Option<JoinHandle<_>> = None;
        loop {
            tokio::select! {
                received = consumer.recv() => match received {
                    Ok(message) => self.record(&mut reading, &message)?,
                    Err(KafkaError::PartitionEOF(_)) => self.end(&mut reading)?,
                    Err(error) if topic_reader::lasting(&error) => return Err(kafka(error)),
                    Err(error) => self.failed(&kafka(error)),
                },
                _ = ask.tick(), if asking.is_none() => {
                    self.metrics.age(self.reached.borrow().map_or(Duration::ZERO, |reached| reached.elapsed()));
                    asking = Some(ask_for_end(&consumer, &self.topic));
                }
                (asked, end) = answered(&mut asking), if asking.is_some() => match end {
                    Ok(end) => match reading.horizon.answered(asked, end) {
                        Answer::Reached => self.reached(asked),
                        Answer::ReadFrom(offset) => {
                            let assigned = topic_reader::assignment(&self.topic, offset);
                            assigned.and_then(|list| consumer.assign(&list)).map_err(kafka)?;
                        }
                        Answer::Wait => {}
                        Answer::StartOver => return Err(FollowError::Shorter(self.topic.clone())),
                    },
                    Err(error) => self.failed(&kafka(error)),
                },
            }
        }
    }

    fn record(&self, reading: &mut Reading, message: &BorrowedMessage<'_>) -> Result<(), FollowError> {
        if !reading.horizon.record(message.offset()) {
            return Ok(());
        }
        if let Some(table) = take(&mut reading.draft, message) {
            reading.epoch = table.epoch;
            reading.held = Some(table);
        }
        self.metrics.unreadable(reading.draft.unreadable());
        if reading.horizon.was_reached() {
            self.publish(reading)?;
        }
        Ok(())
    }

    fn end(&self, reading: &mut Reading) -> Result<(), FollowError> {
        let Some(asked) = reading.horizon.end() else { return Ok(()) };
        let (newest, found) = (self.tables.borrow().epoch, reading.epoch);
        if found < newest {
            return Err(FollowError::GoneBack { topic: self.topic.clone(), newest, found });
        }
        self.publish(reading)?;
        self.reached(asked);
        Ok(())
    }

    fn reached(&self, asked: Instant) {
        _ = self.last_error.note::<_, ReadError>(Ok(()));
        self.reached.send_replace(Some(asked));
    }

    fn publish(&self, reading: &mut Reading) -> Result<(), FollowError> {
        reading.draft.check()?;
        if let Some(table) = reading.held.take().filter(|table| table.epoch > self.tables.borrow().epoch) {
            tracing::info!(epoch = table.epoch, "new route table");
            self.metrics.published(table.epoch);
            self.tables.send_replace(Arc::new(table));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Reading {
    draft: Draft,
    horizon: Horizon,
    /// The newest table, until the end has been reached once: older ones tell of owners that are none any more.
    held: Option<Table>,
    /// Of the newest table.
    epoch: u64,
}

/// Asks where the topic ends, on a thread that may block.
fn ask_for_end(
    consumer: &Arc<StreamConsumer<Quiet>>,
    topic: &Arc<str>,
) -> JoinHandle<(Instant, Result<i64, KafkaError>)> {
    let (consumer, topic) = (Arc::clone(consumer), Arc::clone(topic));
    tokio::task::spawn_blocking(move || {
        let asked = Instant::now();
        (asked, consumer.fetch_watermarks(&topic, PARTITION, ANSWER).map(|(_, end)| end))
    })
}

/// Clears `asking` when its answer is there.
async fn answered<T>(asking: &mut Option<JoinHandle<T>>) -> T {
    let Some(task) = asking.as_mut() else { return std::future::pending().await };
    let answer = task.await;
    *asking = None;
    answer.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests;
