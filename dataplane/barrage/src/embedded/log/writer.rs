//! The thread that writes: takes what has queued up, commits it as one, answers all.

use std::{sync::Arc, thread, time::Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, watch};

use super::{Done, Metrics, Request, Work, schema};
use barrage_core::clock::unix_ms;

/// Requests that share one commit; more wait for the next.
const GROUP_MAX: usize = 128;

struct Writer {
    connection: Connection,
    ends: Vec<u64>,
    /// Time never falls, even when the clock does: windows are cut by it.
    last_append_ms: i64,
    published: watch::Sender<Arc<[u64]>>,
    metrics: Metrics,
}

/// Starts the thread; it ends when every handle of the log is gone.
pub(super) fn spawn(
    connection: Connection,
    mut queue: mpsc::Receiver<Request>,
    published: watch::Sender<Arc<[u64]>>,
    metrics: Metrics,
) {
    let ends = published.borrow().to_vec();
    let last_append_ms = schema::last_append_ms(&connection).unwrap_or_default();
    let mut writer = Writer { connection, ends, last_append_ms, published, metrics };
    let run = move || {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while let Some(first) = queue.blocking_recv() {
            group.push(first);
            while group.len() < GROUP_MAX
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            writer.commit(&mut group);
        }
    };
    let spawned = thread::Builder::new().name("log-writer".into()).spawn(run);
    if let Err(error) = spawned {
        // Every append then finds the queue closed and says so.
        tracing::error!(%error, "cannot start the log's writer");
    }
}

impl Writer {
    fn commit(&mut self, group: &mut Vec<Request>) {
        let began = Instant::now();
        let append_ms = unix_ms().max(self.last_append_ms);
        match self.write(group, append_ms) {
            Ok((done, ends)) => {
                self.ends = ends;
                self.last_append_ms = append_ms;
                self.published.send_replace(self.ends.as_slice().into());
                self.metrics.committed(done.iter().map(|done| done.offsets.len()).sum(), began.elapsed());
                for (request, done) in group.drain(..).zip(done) {
                    // Whoever asked went away and no longer wants to know.
                    let _ = request.reply.send(Ok(done));
                }
            }
            Err(error) => {
                self.metrics.failed();
                tracing::warn!(%error, "the log cannot be written; senders are told to retry");
                for request in group.drain(..) {
                    let _ = request.reply.send(Err(super::storage("written", &error)));
                }
            }
        }
    }

    /// One transaction; returns what was done for each and the new ends, which count only if it committed.
    fn write(&mut self, group: &[Request], append_ms: i64) -> rusqlite::Result<(Vec<Done>, Vec<u64>)> {
        let mut ends = self.ends.clone();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut done = Vec::with_capacity(group.len());
        for request in group {
            done.push(work(&transaction, &request.work, &mut ends, append_ms)?);
        }
        for (partition, (new, old)) in (0_u32..).zip(ends.iter().zip(&self.ends)) {
            if new != old {
                schema::set_end(&transaction, partition, *new)?;
            }
        }
        transaction.commit()?;
        Ok((done, ends))
    }
}

fn work(transaction: &Transaction<'_>, work: &Work, ends: &mut [u64], append_ms: i64) -> rusqlite::Result<Done> {
    let mut offsets = Vec::with_capacity(work.records.len());
    for record in &work.records {
        let Some(end) = usize::try_from(record.partition).ok().and_then(|p| ends.get_mut(p)) else {
            return Err(rusqlite::Error::InvalidParameterName(format!("no partition {}", record.partition)));
        };
        schema::insert(transaction, record.partition, *end, append_ms, &record.payload)?;
        offsets.push(*end);
        *end += 1;
    }
    for &(partition, offset) in &work.commits {
        schema::commit(transaction, partition, offset)?;
    }
    if let Some(letter) = &work.set_aside {
        schema::set_aside(transaction, letter)?;
    }
    let trimmed = work.trim_before_ms.map_or(Ok(0), |before_ms| schema::trim(transaction, before_ms))?;
    Ok(Done { offsets, trimmed })
}
