//! Brings what a shard's viewers sent to the log, and the outcome back to them.
//!
//! One append is under way at a time: what comes meanwhile gathers into the next, so records grow with the load, and
//! when an append fails everything behind it is refused, too, which keeps each sender's order.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use barrage_proto::{Position, v2::pb};
use prost::Message;

use super::{
    checks,
    connection::{Version, Viewer},
    encode::message_of,
    inbound,
    metrics::Refusal,
    outbox::{Draft, Sent},
    shard::Shard,
};
use crate::{
    log::NewRecord,
    routes::{Home, Table},
};

/// When to try again after the log refused, ms.
const RETRY_AFTER_MS: u32 = 1_000;

/// Publishes whenever there is something; runs as long as the shard.
pub(super) async fn run(shard: Rc<Shard>) {
    loop {
        shard.accepted.notified().await;
        publish(&shard).await;
    }
}

/// Publishes until nothing is left.
pub(super) async fn publish(shard: &Shard) {
    // The append under way ends before the next begins, whoever asks for it.
    let _turn = shard.publishing.lock().await;
    loop {
        let mut drafts = shard.outbox.borrow_mut().take();
        if drafts.is_empty() {
            return;
        }
        let table = Arc::clone(&shard.served.routes.borrow());
        let records = drafts.iter_mut().map(|draft| record(draft, &table)).collect();
        let appended = shard.served.log.append(records).await;
        shard.outbox.borrow_mut().settle();
        match appended {
            Ok(offsets) => {
                for (draft, offset) in drafts.into_iter().zip(offsets) {
                    acknowledge(shard, &draft, &table, offset);
                }
            }
            Err(error) => {
                shard.served.health.degraded(checks::LOG, format!("{error}; senders are told to try again"));
                tracing::warn!(%error, "what was sent is not in the log; its senders are told to retry");
                let behind = shard.outbox.borrow_mut().take();
                shard.outbox.borrow_mut().settle();
                drafts.into_iter().chain(behind).for_each(refuse);
            }
        }
    }
}

pub(super) fn record<S>(draft: &mut Draft<S>, table: &Table) -> NewRecord {
    let home = table.home(&draft.room, draft.record.shard);
    draft.record.moved = home.moved;
    NewRecord { partition: home.partition, payload: draft.record.encode_to_vec().into(), trace: None }
}

fn acknowledge(shard: &Shard, draft: &Draft, table: &Table, offset: u64) {
    let Home { partition, moved, .. } = table.home(&draft.room, draft.record.shard);
    shard.served.metrics.acknowledged.inc_by(draft.sent.len() as u64);
    shard.served.metrics.append_age.observe(draft.record.received_ms);
    let mut acks: HashMap<*const Viewer, (&Viewer, pb::Ack)> = HashMap::new();
    for ((sent, entry), index) in draft.sent.iter().zip(&draft.record.entries).zip(0_u32..) {
        let room = &sent.viewer.room;
        let position = Position { moved, partition, offset, index };
        if sent.viewer.version == Version::V2 {
            let new = || (&*sent.viewer, pb::Ack { partition, offset, ..pb::Ack::default() });
            let (_, ack) = acks.entry(Rc::as_ptr(&sent.viewer)).or_insert_with(new);
            ack.seq.push(sent.seq);
            ack.index.push(index);
        }
        if !entry.retry {
            room.echoes.borrow_mut().acknowledged(entry, position, &room.watermark.borrow());
        }
    }
    for (viewer, ack) in acks.into_values() {
        viewer.send(&message_of(&ack, &mut shard.encoder.borrow_mut()));
    }
}

fn refuse(draft: Draft) {
    for (Sent { viewer, seq }, entry) in draft.sent.into_iter().zip(draft.record.entries) {
        viewer.room.echoes.borrow_mut().refused(&entry);
        inbound::refuse_send(&viewer, seq, Refusal::Retry, RETRY_AFTER_MS);
    }
}
