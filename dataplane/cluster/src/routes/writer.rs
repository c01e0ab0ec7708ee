//! Who changes the route table: one at a time, whole changes only.

use std::{collections::HashMap, time::Duration};

use barrage_proto::routes as pb;
use prost::Message;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use thiserror::Error;

use super::{TableError, read_into, topic_of};
use crate::topic_reader::{PARTITION, Quiet};
use barrage_core::{
    blocking::Shared,
    clock::unix_ms,
    room::RoomId,
    routes::{
        Table,
        change::{Change, ChangeError},
        entry::Draft,
    },
};

/// How long a change may take, ms; what a writer that died left open is aborted then at the latest.
const TRANSACTION_MS: &str = "10000";
/// For each step: as long as a transaction.
const STEP: Duration = Duration::from_secs(10);

/// A change was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// There is no table to change.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The change makes no sense.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Somebody else was faster.
    #[error(
        "the route table is at epoch {current}, but this change was planned at {planned}: look at it again, then plan anew"
    )]
    Moved {
        /// Epoch that the change was planned at.
        planned: u64,
        /// Epoch of the table.
        current: u64,
    },
    /// Another writer has been opened since.
    #[error(
        "another writer has taken over the route table {topic}: nothing was written. Plan anew on what it wrote, and let only one change it"
    )]
    Fenced { topic: String },
    /// Kafka refused; nothing was written.
    #[error(
        "the route table {topic} cannot be written: {reason}; nothing has changed. Are the brokers of `kafka.brokers` up, and may this user write there?"
    )]
    Kafka { topic: String, reason: String },
    /// The last step failed.
    #[error(
        "whether epoch {epoch} of the route table {topic} was written is not known: {reason}. Look with `barrage routes show` before writing again"
    )]
    Unknown {
        topic: String,
        /// Epoch of the change.
        epoch: u64,
        reason: String,
    },
    /// An earlier change failed.
    #[error("this writer of {topic} failed before: open another one")]
    Closed { topic: String },
}

/// The one writer of a pool's route table. Opening another one, anywhere, fences it.
pub struct Writer {
    producer: Shared<BaseProducer<Quiet>>,
    topic: String,
    name: String,
    table: Table,
    stored: HashMap<RoomId, pb::Room>,
    usable: bool,
}

impl Writer {
    /// Fences every other writer, then reads the table to its end. `name` stands in the head of each change.
    ///
    /// # Errors
    /// Kafka is away or refuses; there is no such topic.
    pub async fn open(base: ClientConfig, pool: &str, name: &str) -> Result<Self, WriteError> {
        let topic = topic_of(pool);
        let mut config = base.clone();
        config.set("transactional.id", &topic);
        config.set("transaction.timeout.ms", TRANSACTION_MS);
        config.set("compression.type", "zstd");
        let refused = |error: KafkaError| WriteError::Kafka { topic: topic.clone(), reason: error.to_string() };
        let producer = Shared::new(config.create_with_context::<_, BaseProducer<Quiet>>(Quiet).map_err(refused)?);
        producer.run(|producer| producer.init_transactions(STEP)).await.map_err(refused)?;
        let (table, draft) = read_into(base, pool.to_owned(), Draft::with_manifests()).await?;
        let (table, stored) = (table.unwrap_or_default(), draft.into_stored());
        Ok(Self { producer, topic, name: name.to_owned(), table, stored, usable: true })
    }

    /// The table as it stands; of epoch 0 when there is none.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The manifests of the rooms as they are written, JSON, by room.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.stored.iter().map(|(id, room)| (id.as_str(), room.live_room.as_str()))
    }

    /// Writes a change; readers see all of it or nothing. Gives the new table.
    ///
    /// # Errors
    /// The table is not the one that the change was planned on, another writer has taken over, or Kafka refuses. After
    /// anything but [`WriteError::Moved`] and [`WriteError::Change`] another writer has to be opened.
    pub async fn write(&mut self, change: &Change) -> Result<&Table, WriteError> {
        if !self.usable {
            return Err(WriteError::Closed { topic: self.topic.clone() });
        }
        let (planned, current) = (change.planned_at, self.table.epoch);
        if planned != current {
            return Err(WriteError::Moved { planned, current });
        }
        let records: Vec<_> = change
            .entries(&self.stored, unix_ms(), &self.name)?
            .into_iter()
            .map(|(key, entry)| (key.to_string(), entry.map(|entry| entry.encode_to_vec())))
            .collect();
        self.usable = false;
        let (topic, to_write) = (self.topic.clone(), records.clone());
        let written = self.producer.run(move |producer| transact(producer, &topic, &to_write)).await;
        written.map_err(|(step, error)| self.refused(step, &error, change.epoch()))?;
        self.usable = true;
        self.adopt(&records);
        Ok(&self.table)
    }

    /// What was written goes the way that readers take it.
    fn adopt(&mut self, records: &[(String, Option<Vec<u8>>)]) {
        let mut draft = Draft::resume(&self.table, std::mem::take(&mut self.stored));
        for (key, value) in records {
            match draft.apply(key.as_bytes(), value.as_deref()) {
                Ok(Some(table)) => self.table = table,
                Ok(None) => {}
                Err(error) => tracing::error!("an entry that was just written is not understood: {error}"),
            }
        }
        self.stored = draft.into_stored();
    }

    fn refused(&self, step: Step, error: &KafkaError, epoch: u64) -> WriteError {
        let (topic, reason) = (self.topic.clone(), error.to_string());
        match (step, error.rdkafka_error_code()) {
            (
                _,
                Some(
                    RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch,
                ),
            ) => WriteError::Fenced { topic },
            (Step::Records, _) => WriteError::Kafka { topic, reason },
            (Step::Commit, _) => WriteError::Unknown { topic, epoch, reason },
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// It was not asked to take effect.
    Records,
    /// It was.
    Commit,
}

fn transact(
    producer: &BaseProducer<Quiet>,
    topic: &str,
    records: &[(String, Option<Vec<u8>>)],
) -> Result<(), (Step, KafkaError)> {
    producer.begin_transaction().map_err(|error| (Step::Records, error))?;
    // The flush finds what a broker refused before anything is asked to take effect.
    let sent = records.iter().try_for_each(|(key, value)| send(producer, topic, key, value.as_deref()));
    if let Err(error) = sent.and_then(|()| producer.flush(STEP)) {
        let fatal = producer.client().fatal_error();
        let error = fatal.map_or(error, |(code, _)| KafkaError::MessageProduction(code));
        _ = producer.abort_transaction(STEP);
        return Err((Step::Records, error));
    }
    match producer.commit_transaction(STEP) {
        Ok(()) => Ok(()),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            _ = producer.abort_transaction(STEP);
            Err((Step::Records, KafkaError::Transaction(error)))
        }
        Err(error) => Err((Step::Commit, error)),
    }
}

/// Queues a record, once the queue takes it.
fn send(producer: &BaseProducer<Quiet>, topic: &str, key: &str, value: Option<&[u8]>) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<str, [u8]>::to(topic).partition(PARTITION).key(key);
    record.payload = value;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(100));
            }
            Err((error, _)) => return Err(error),
        }
    }
}
