//! Reads one partition from a queue of its own, so that no partition waits for another one's reader.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::{
    consumer::base_consumer::PartitionQueue,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers, Message},
};
use tokio::{sync::Notify, time::sleep};

use super::{ASK_TIMEOUT, fetcher::Fetcher, metrics::Metrics, storage};
use crate::kafka::Context;
use barrage_core::{
    log::{LogError, LogReader, LogRecord},
    trace::TraceParent,
};

/// Before a place that is not there is looked for again.
const PLACE_PAUSE: Duration = Duration::from_millis(500);

/// Reads one partition. Dropping it ends that.
pub struct KafkaReader {
    /// Gone while it has no place in the log.
    queue: Option<PartitionQueue<Context>>,
    fetcher: Arc<Fetcher>,
    partition: u32,
    next: u64,
    /// The brokers' clocks may differ, so that the time falls when a partition changes its leader.
    newest_ms: i64,
    ready: Arc<Notify>,
    metrics: Metrics,
}

impl KafkaReader {
    pub(super) fn open(fetcher: Arc<Fetcher>, partition: u32, from: u64, metrics: Metrics) -> Result<Self, LogError> {
        let ready = Arc::new(Notify::new());
        let queue = Some(assign(&fetcher, partition, from, &ready)?);
        metrics.readers.inc();
        Ok(Self { queue, fetcher, partition, next: from, newest_ms: i64::MIN, ready, metrics })
    }

    /// What is there. Does not wait, so nothing is lost between the queue and the caller.
    fn take(&mut self, records_max: u32) -> Vec<LogRecord> {
        let mut records = Vec::new();
        let mut misplaced = false;
        while let Some(queue) = &self.queue
            && !misplaced
            && records.len() < records_max as usize
        {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let record = record(&message, self.newest_ms);
                    if let Some(record) = record.filter(|record| record.offset >= self.next) {
                        self.next = record.offset + 1;
                        self.newest_ms = record.append_ms;
                        records.push(record);
                    }
                }
                Some(Err(error)) => {
                    self.metrics.read_failed();
                    misplaced = is_misplaced(&error);
                    tracing::warn!(partition = self.partition, %error, "the log cannot be read; trying again");
                }
            }
        }
        if misplaced {
            self.leave();
        }
        records
    }

    /// Looks for where to go on: at the oldest record if that is above; at what has not been appended yet it waits.
    async fn place(&mut self) {
        let (fetcher, partition) = (Arc::clone(&self.fetcher), self.partition);
        let asked = tokio::task::spawn_blocking(move || fetcher.watermarks(partition, ASK_TIMEOUT)).await;
        match asked {
            Ok(Ok((start, end))) if self.next <= end => {
                if start > self.next {
                    tracing::warn!(
                        partition,
                        from = self.next,
                        to = start,
                        "the log was trimmed; records are passed over"
                    );
                }
                let next = self.next.max(start);
                match assign(&self.fetcher, partition, next, &self.ready) {
                    Ok(queue) => {
                        (self.queue, self.next) = (Some(queue), next);
                        return;
                    }
                    Err(error) => tracing::warn!(partition, %error, "trying again"),
                }
            }
            Ok(Ok((_, end))) => tracing::debug!(partition, end, next = self.next, "waiting for the log to get there"),
            Ok(Err(error)) => tracing::warn!(partition, error, "the log's bounds are unknown; trying again"),
            Err(error) => tracing::warn!(partition, %error, "the log's bounds are unknown; trying again"),
        }
        sleep(PLACE_PAUSE).await;
    }

    fn leave(&mut self) {
        // In this order: the queue's end takes the callback away, also from a queue that followed it.
        self.queue = None;
        self.fetcher.unassign(self.partition);
    }
}

#[async_trait]
impl LogReader for KafkaReader {
    async fn next(&mut self, records_max: u32) -> Result<Vec<LogRecord>, LogError> {
        loop {
            if self.queue.is_none() {
                self.place().await;
                continue;
            }
            let records = self.take(records_max);
            if !records.is_empty() {
                self.metrics.read(records.len());
                return Ok(records);
            }
            if self.queue.is_some() {
                // Whatever came since it was found empty has left a permit.
                self.ready.notified().await;
            }
        }
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        self.leave();
        self.metrics.readers.dec();
    }
}

fn assign(
    fetcher: &Fetcher,
    partition: u32,
    offset: u64,
    ready: &Arc<Notify>,
) -> Result<PartitionQueue<Context>, LogError> {
    let ready = Arc::clone(ready);
    fetcher.assign(partition, offset, move || ready.notify_one()).map_err(|reason| storage("read", reason))
}

fn is_misplaced(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AutoOffsetReset, LogTruncation, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | LogTruncation | OffsetOutOfRange))
}

fn record(message: &BorrowedMessage<'_>, newest_ms: i64) -> Option<LogRecord> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let mut parents = headers.filter(|header| header.key == TraceParent::HEADER);
    Some(LogRecord {
        offset: u64::try_from(message.offset()).ok()?,
        append_ms: message.timestamp().to_millis().unwrap_or_default().max(newest_ms),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        trace: parents.next().and_then(|header| TraceParent::parse(header.value?)),
    })
}
