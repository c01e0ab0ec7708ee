//! Batches that the store refuses for good. They are tried again a few times, while other slices go on, then set aside, so
//! that nothing in the store can stop a partition.

use std::collections::HashMap;

use prost::Message;

use super::{Context, checks, poll::Slice};
use barrage_core::{
    log::{DeadLetter, LogError},
    store::SliceBatch,
};

/// How often a batch may be refused before it is set aside.
const TRIES: u32 = 5;

/// How often the batch that is next of a slice was refused.
#[derive(Default)]
pub(super) struct Refusals(HashMap<Slice, u32>);

impl Refusals {
    /// Counts a refusal. Whether the batch is settled: set aside. If not, it comes again.
    pub(super) async fn settle(&mut self, context: &Context, batch: &SliceBatch, reason: &str) -> bool {
        let tries = self.0.entry((batch.room.clone(), batch.shard)).or_default();
        *tries += 1;
        context.metrics.apply_failures.inc();
        if *tries < TRIES {
            return false;
        }
        match set_aside(context, batch, reason).await {
            Ok(()) => {
                self.forget(batch);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "records that the store refuses cannot be set aside; tried again");
                false
            }
        }
    }

    /// The batch that is next is another one.
    pub(super) fn forget(&mut self, batch: &SliceBatch) {
        if !self.0.is_empty() {
            self.0.remove(&(batch.room.clone(), batch.shard));
        }
    }
}

async fn set_aside(context: &Context, batch: &SliceBatch, reason: &str) -> Result<(), LogError> {
    let SliceBatch { room, shard, partition, .. } = batch;
    for record in &batch.records {
        let payload = record.record.encode_to_vec().into();
        let letter = DeadLetter { partition: *partition, offset: record.offset, reason: reason.to_owned(), payload };
        context.log.set_aside(letter).await?;
    }
    context.metrics.refused.inc_by(batch.records.len() as u64);
    let detail = format!(
        "SetAside: the store refuses records of {room}:{shard}, they are in the topic of dead letters, and history and \
         ranking miss them: {reason}. Delete the slice's keys: it is then filled again from the log"
    );
    tracing::error!(partition, "{detail}");
    context.health.degraded(checks::DATA, detail);
    Ok(())
}
