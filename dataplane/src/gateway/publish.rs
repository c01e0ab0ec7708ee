//! Brings what a shard's viewers sent to the log, and the outcome back to them.
//!
//! One append is under way at a time: what comes meanwhile gathers into the next, so records grow with the load, and
//! when an append fails everything behind it is refused, too, which keeps each sender's order.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use barrage_proto::{Position, v2::pb};
use prost::Message;
use tokio::time::sleep;

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

/// How long a danmaku of a slice that is on its way to another partition waits; then its sender waits instead.
const MOVE_WAIT_MAX: Duration = Duration::from_secs(4);
/// How often what waits for a move is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A record that an older table placed counts for sure when its append has taken no longer: a partition is closed ten
/// seconds after the change at the earliest, and when the append began the table was five seconds old at the most.
const SURE_WITHIN: Duration = Duration::from_secs(4);

/// Publishes whenever there is something; runs as long as the shard.
pub(super) async fn run(shard: Rc<Shard>) {
    let mut gates = shard.served.gates.clone();
    loop {
        let waits = !shard.outbox.borrow().is_empty();
        tokio::select! {
            () = shard.accepted.notified() => {}
            // Without a mover no gate opens any more.
            _ = gates.changed(), if waits && gates.has_changed().is_ok() => {}
            () = sleep(LOOK_EVERY), if waits => {}
        }
        publish(&shard).await;
    }
}

/// Publishes until nothing is left, not even of slices that are on their way.
pub(super) async fn publish_all(shard: &Shard) {
    publish(shard).await;
    while !shard.outbox.borrow().is_empty() {
        sleep(LOOK_EVERY).await;
        publish(shard).await;
    }
}

/// Publishes until nothing is left but what waits for a move.
async fn publish(shard: &Shard) {
    // The append under way ends before the next begins, whoever asks for it.
    let _turn = shard.publishing.lock().await;
    while append(shard).await {}
}

/// One append; false when there is nothing to append.
async fn append(shard: &Shard) -> bool {
    // In this order: what the standing vouches for is in the gate's table.
    let (begun, stands) = (Instant::now(), shard.served.standing.holds());
    let gate = Arc::clone(&shard.served.gates.borrow());
    refuse_overdue(shard, begun);
    let mut drafts = shard.outbox.borrow_mut().take(|draft| gate.is_open(&draft.room, draft.record.shard));
    if drafts.is_empty() {
        return false;
    }
    if !stands {
        refuse_unsure(shard, drafts);
        return true;
    }
    let table = Arc::clone(&gate.table);
    let records = drafts.iter_mut().map(|draft| record(draft, &table)).collect();
    let appended = shard.served.log.append(records).await;
    drop(gate);
    shard.outbox.borrow_mut().settle();
    match appended {
        Ok(offsets) => {
            let (stands, newest) = (shard.served.standing.holds(), Arc::clone(&shard.served.routes.borrow()));
            let counts = |draft: &Draft| {
                let home = newest.home(&draft.room, draft.record.shard);
                stands && (home.moved == draft.record.moved || begun.elapsed() < SURE_WITHIN)
            };
            let (sure, unsure): (Vec<_>, Vec<_>) =
                drafts.into_iter().zip(offsets).partition(|(draft, _)| counts(draft));
            for (draft, offset) in sure {
                acknowledge(shard, &draft, &table, offset);
            }
            if !unsure.is_empty() {
                refuse_unsure(shard, unsure.into_iter().map(|(draft, _)| draft).collect());
            }
        }
        Err(error) => {
            shard.served.health.degraded(checks::LOG, format!("{error}; senders are told to try again"));
            tracing::warn!(%error, "what was sent is not in the log; its senders are told to retry");
            refuse_all(shard, drafts);
        }
    }
    true
}

fn refuse_unsure(shard: &Shard, drafts: Vec<Draft>) {
    let danmaku: usize = drafts.iter().map(|draft| draft.sent.len()).sum();
    tracing::warn!(danmaku, "this gateway is not heard, or its routes are stale; senders are told to retry");
    shard.served.metrics.unsure.inc_by(danmaku as u64);
    refuse_all(shard, drafts);
}

/// Refuses what was not acknowledged, and what stands behind it: each sender's order is kept.
fn refuse_all(shard: &Shard, drafts: Vec<Draft>) {
    let behind = shard.outbox.borrow_mut().take(|_| true);
    shard.outbox.borrow_mut().settle();
    drafts.into_iter().chain(behind).for_each(refuse);
}

/// Refuses what has waited too long for its slice's move.
fn refuse_overdue(shard: &Shard, now: Instant) {
    let waited = |draft: &Draft| now.saturating_duration_since(draft.since) > MOVE_WAIT_MAX;
    let gate = Arc::clone(&shard.served.gates.borrow());
    let closed = |draft: &Draft| !gate.is_open(&draft.room, draft.record.shard);
    let overdue = shard.outbox.borrow_mut().take(|draft| waited(draft) && closed(draft));
    if !overdue.is_empty() {
        tracing::info!(slices = overdue.len(), "moves take long; senders are told to retry");
        shard.outbox.borrow_mut().settle();
        overdue.into_iter().for_each(refuse);
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
    if let Some(sent) = draft.sent.first() {
        let bytes = draft.record.entries.iter().map(|entry| entry.content.len() as u64).sum();
        let count = u32::try_from(draft.sent.len()).unwrap_or(u32::MAX);
        let room = &sent.viewer.room.served;
        room.heat.messages(draft.record.shard, count, bytes);
        if let Some(limit) = &shard.served.limit {
            limit.tell(room, &draft.record);
        }
    }
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
