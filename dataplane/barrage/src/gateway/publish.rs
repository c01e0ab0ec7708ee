//! Brings what a shard's viewers sent to the log, and the outcome back to them.
//!
//! A few appends are under way at a time, some milliseconds apart: what comes meanwhile gathers into the next, so
//! records grow with the load. When an append fails everything behind it is refused, too, which keeps each sender's order.

use std::{
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use barrage_proto::{Position, v2::pb};
use prost::Message;
use tokio::{task::JoinSet, time::sleep};

use super::{
    checks,
    connection::{Version, Viewer},
    encode::message_of,
    inbound,
    metrics::Refusal,
    moves::Gate,
    outbox::{Draft, Sent, bytes_of},
    shard::Shard,
};
use barrage_core::{
    log::{Lane, NewRecord},
    routes::{Home, Table},
    trace::{Span, Stage},
};

/// When to try again after the log refused, ms.
const RETRY_AFTER_MS: u32 = 1_000;

/// While an append is under way the next does not begin sooner after it: fewer and larger requests carry more.
const APPEND_EVERY: Duration = Duration::from_millis(5);
/// How long a danmaku of a slice that is on its way to another partition waits; then its sender waits instead.
const MOVE_WAIT_MAX: Duration = Duration::from_secs(4);
/// How often what waits for a move is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the end looks whether all is published.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);
/// A record that an older table placed counts for sure when its append has taken no longer: a partition is closed ten
/// seconds after the change at the earliest, and when the append began the table was five seconds old at the most.
const SURE_WITHIN: Duration = Duration::from_secs(4);

/// Appends of a shard that are under way, and the beginning of the next.
struct Appends {
    lane: Rc<Lane>,
    /// Each says whether it took effect.
    under_way: JoinSet<bool>,
    most: usize,
    began: Instant,
}

/// Publishes whenever there is something; runs as long as the shard.
pub(super) async fn run(shard: Rc<Shard>) {
    let most = shard.served.log.lane_appends_max();
    let mut appends = Appends { lane: Rc::default(), under_way: JoinSet::new(), most, began: Instant::now() };
    let mut gates = shard.served.gates.clone();
    loop {
        appends.settle(&shard).await;
        let next = appends.begin(&shard);
        shard.appending.set(appends.under_way.len());
        let waits = !shard.outbox.borrow().is_empty();
        tokio::select! {
            biased;
            Some(ended) = appends.under_way.join_next() => appends.end(&shard, ended.unwrap_or_default()).await,
            () = shard.accepted.notified() => {}
            // Without a mover no gate opens any more.
            _ = gates.changed(), if waits && gates.has_changed().is_ok() => {}
            () = sleep(next), if waits => {}
        }
    }
}

/// Waits until everything is published, what waits for a verdict or is on its way to another partition included.
pub(super) async fn publish_all(shard: &Shard) {
    while shard.appending.get() > 0 || !shard.outbox.borrow().is_empty() || !shard.held.borrow().is_empty() {
        shard.accepted.notify_one();
        sleep(DRAIN_LOOK_EVERY).await;
    }
}

impl Appends {
    /// Takes note of those that have ended.
    async fn settle(&mut self, shard: &Shard) {
        while let Some(ended) = self.under_way.try_join_next() {
            self.end(shard, ended.unwrap_or_default()).await;
        }
    }

    /// Behind one that failed nothing of its senders may get in: the others that are under way end by themselves, and
    /// what waits is refused.
    async fn end(&mut self, shard: &Shard, took_effect: bool) {
        if !took_effect {
            while self.under_way.join_next().await.is_some() {}
            refuse_waiting(shard);
        }
    }

    /// Begins an append, if there is something and it may; gives when to look again.
    fn begin(&mut self, shard: &Rc<Shard>) -> Duration {
        let now = Instant::now();
        refuse_overdue(shard, now);
        let since = now.saturating_duration_since(self.began);
        if self.under_way.len() >= self.most {
            return LOOK_EVERY;
        }
        if !self.under_way.is_empty() && since < APPEND_EVERY {
            return APPEND_EVERY - since;
        }
        // In this order: what the standing vouches for is in the gate's table.
        let stands = shard.served.standing.holds();
        let gate = Arc::clone(&shard.served.gates.borrow());
        let drafts = shard.outbox.borrow_mut().take(|draft| gate.is_open(&draft.room, draft.record.shard));
        if drafts.is_empty() {
            return LOOK_EVERY;
        }
        if !stands {
            refuse_unsure(shard, drafts);
            refuse_waiting(shard);
            return LOOK_EVERY;
        }
        let alone = self.under_way.is_empty();
        self.began = now;
        self.under_way.spawn_local(append(Rc::clone(shard), Rc::clone(&self.lane), alone, gate, drafts));
        APPEND_EVERY
    }
}

/// One append; whether it took effect and all its senders know.
async fn append(shard: Rc<Shard>, lane: Rc<Lane>, alone: bool, gate: Arc<Gate>, mut drafts: Vec<Draft>) -> bool {
    let (began, bytes, table) = (Instant::now(), bytes_of(&drafts), Arc::clone(&gate.table));
    let records = drafts.iter_mut().map(|draft| traced(&shard, draft, &table)).collect();
    let appended = shard.served.log.append_in(&lane, alone, records).await;
    drop(gate);
    shard.outbox.borrow_mut().settle(bytes);
    let offsets = match appended {
        Ok(offsets) => offsets,
        Err(error) => {
            shard.served.health.degraded(checks::LOG, format!("{error}; senders are told to try again"));
            tracing::warn!(%error, "what was sent is not in the log; its senders are told to retry");
            drafts.iter_mut().filter_map(|draft| draft.span.as_mut()).for_each(|span| span.failed("not in the log"));
            drafts.into_iter().for_each(refuse);
            return false;
        }
    };
    let (stands, newest) = (shard.served.standing.holds(), Arc::clone(&shard.served.routes.borrow()));
    let counts = |draft: &Draft| {
        let home = newest.home(&draft.room, draft.record.shard);
        stands && (home.moved == draft.record.moved || began.elapsed() < SURE_WITHIN)
    };
    let (sure, unsure): (Vec<_>, Vec<_>) = drafts.into_iter().zip(offsets).partition(|(draft, _)| counts(draft));
    for (mut draft, offset) in sure {
        acknowledge(&shard, &mut draft, &table, offset);
    }
    let took_effect = unsure.is_empty();
    if !took_effect {
        tell_unsure(&shard, unsure.into_iter().map(|(draft, _)| draft).collect());
    }
    took_effect
}

/// Refuses drafts that were taken and are on no way to the log.
fn refuse_unsure(shard: &Shard, drafts: Vec<Draft>) {
    shard.outbox.borrow_mut().settle(bytes_of(&drafts));
    tell_unsure(shard, drafts);
}

fn tell_unsure(shard: &Shard, drafts: Vec<Draft>) {
    let danmaku: usize = drafts.iter().map(|draft| draft.sent.len()).sum();
    tracing::warn!(danmaku, "this gateway is not heard, or its routes are stale; senders are told to retry");
    shard.served.metrics.unsure.inc_by(danmaku as u64);
    drafts.into_iter().for_each(refuse);
}

/// Refuses what stands behind something that was refused: each sender's order is kept.
fn refuse_waiting(shard: &Shard) {
    let behind = shard.outbox.borrow_mut().take(|_| true);
    shard.outbox.borrow_mut().settle(bytes_of(&behind));
    behind.into_iter().for_each(refuse);
}

/// Refuses what has waited too long for its slice's move.
fn refuse_overdue(shard: &Shard, now: Instant) {
    let waited = |draft: &Draft| now.saturating_duration_since(draft.since) > MOVE_WAIT_MAX;
    let gate = Arc::clone(&shard.served.gates.borrow());
    let closed = |draft: &Draft| !gate.is_open(&draft.room, draft.record.shard);
    let overdue = shard.outbox.borrow_mut().take(|draft| waited(draft) && closed(draft));
    if !overdue.is_empty() {
        tracing::info!(slices = overdue.len(), "moves take long; senders are told to retry");
        shard.outbox.borrow_mut().settle(bytes_of(&overdue));
        overdue.into_iter().for_each(refuse);
    }
}

pub(super) fn record<S>(draft: &mut Draft<S>, table: &Table) -> NewRecord {
    let home = table.home(&draft.room, draft.record.shard);
    draft.record.moved = home.moved;
    NewRecord { partition: home.partition, payload: draft.record.encode_to_vec().into(), trace: None }
}

/// A record, and the beginning of its trace if the lot falls on it.
fn traced(shard: &Shard, draft: &mut Draft, table: &Table) -> NewRecord {
    let mut new = record(draft, table);
    let received = || UNIX_EPOCH + Duration::from_millis(draft.record.received_ms.unsigned_abs());
    draft.span = shard.served.tracer.draw(Stage::Publish, received);
    new.trace = draft.span.as_ref().map(Span::parent);
    new
}

fn acknowledge(shard: &Shard, draft: &mut Draft, table: &Table, offset: u64) {
    let Home { partition, moved, .. } = table.home(&draft.room, draft.record.shard);
    shard.served.metrics.acknowledged.inc_by(draft.sent.len() as u64);
    if let Some(mut span) = draft.span.take() {
        span.of_record(partition, offset);
    }
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
