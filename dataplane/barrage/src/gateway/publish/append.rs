//! Brings what a worker's viewers sent to the log, and the outcome back to them.
//!
//! A few appends to each partition are under way at a time, some milliseconds apart, the more partitions take one the
//! further: what comes meanwhile gathers into the next, so records grow with the load. When an append fails everything
//! behind it that goes to its partition is refused, too, which keeps each sender's order: all that a sender says in a room
//! is of one slice. What goes to other partitions neither waits for it nor fails with it.

use std::{
    collections::HashMap,
    iter,
    panic::AssertUnwindSafe,
    rc::Rc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use barrage_proto::{Position, v2::pb};
use futures_util::FutureExt;
use prost::Message;
use tokio::{
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::{
    intake::Intake,
    outbox::Draft,
    sender::{Sender, SenderId, Sent},
};
use crate::gateway::{checks, metrics::Refusal, state::GatewayState};
use barrage_core::{
    hash::FastMap,
    log::{Lane, NewRecord},
    trace::{Span, Stage},
};

/// When to try again after the log refused, ms.
const RETRY_AFTER_MS: u32 = 1_000;

/// While an append is under way the next does not begin sooner after it: fewer and larger requests carry more.
const APPEND_EVERY: Duration = Duration::from_millis(5);
/// So much later the next append begins for each partition behind the first that it goes to. A client of Kafka sends a
/// request for each partition, and what requests cost, here and at brokers, has little to do with what is in them: so a
/// shard sends about 1,000 a second, however many partitions its rooms are on.
const PARTITION_EVERY: Duration = Duration::from_millis(1);
/// But no later than this: a fifth of the 100 ms in which 99 % of all danmaku have to be on screens, of which the other
/// steps of the way take up to 60. From 21 partitions on there are more than 1,000 requests a second, up to
/// 50 for each partition.
const PAUSE_MAX: Duration = Duration::from_millis(20);
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(10);

/// A record in the making that senders of a worker wait for.
type Outgoing<S> = Draft<Sent<S>>;

/// Appends of a worker that are under way, and the beginning of the next.
struct Appends {
    partitions: FastMap<u32, Appending>,
    /// Each says where it went and whether it took effect.
    under_way: JoinSet<(u32, bool)>,
    /// To one partition.
    most: usize,
    began: Instant,
}

/// What goes to one partition.
#[derive(Default)]
struct Appending {
    lane: Rc<Lane>,
    under_way: usize,
    /// One has failed: the others that are under way end by themselves, and nothing begins before.
    has_failed: bool,
}

/// Publishes whenever there is something; runs as long as the worker.
pub(crate) async fn run<S: Sender + 'static>(intake: Rc<Intake<S>>) {
    let most = intake.gateway.log.lane_appends_max();
    let (partitions, under_way) = (FastMap::default(), JoinSet::new());
    let mut appends = Appends { partitions, under_way, most, began: Instant::now() };
    loop {
        appends.settle(&intake);
        let next = appends.begin(&intake);
        intake.appending.set(appends.under_way.len());
        tokio::select! {
            biased;
            Some(ended) = appends.under_way.join_next() => appends.end(&intake, ended),
            () = intake.accepted.notified() => {}
            () = sleep(next.unwrap_or_default()), if next.is_some() => {}
        }
    }
}

/// Waits until everything is published, what waits for a verdict included.
pub(crate) async fn publish_all<S: Sender + 'static>(intake: &Intake<S>) {
    while !intake.is_empty() {
        intake.accepted.notify_one();
        sleep(DRAIN_LOOK_EVERY).await;
    }
}

impl Appends {
    /// Takes note of those that have ended.
    fn settle<S: Sender + 'static>(&mut self, intake: &Intake<S>) {
        while let Some(ended) = self.under_way.try_join_next() {
            self.end(intake, ended);
        }
    }

    /// Behind one that failed nothing of its senders may get in: once the others that are under way have ended, what waits
    /// is refused.
    fn end<S: Sender + 'static>(&mut self, intake: &Intake<S>, ended: Result<(u32, bool), JoinError>) {
        // Nobody cancels one, and a panic is one that failed.
        let Ok((partition, took_effect)) = ended else { return };
        let Some(appending) = self.partitions.get_mut(&partition) else { return };
        appending.under_way -= 1;
        appending.has_failed |= !took_effect;
        if appending.has_failed && appending.under_way == 0 {
            appending.has_failed = false;
            refuse_waiting(intake, partition);
        }
    }

    fn may_begin(&self, partition: u32) -> bool {
        let may = |appending: &Appending| !appending.has_failed && appending.under_way < self.most;
        self.partitions.get(&partition).is_none_or(may)
    }

    /// Begins an append to each partition that has something waiting and may have it; gives when to look again, where the
    /// end of an append is not early enough.
    fn begin<S: Sender + 'static>(&mut self, intake: &Rc<Intake<S>>) -> Option<Duration> {
        let ready = intake.outbox.borrow().partitions().filter(|&partition| self.may_begin(partition)).count();
        if ready == 0 {
            return None;
        }
        let now = Instant::now();
        let pause = pause(ready, self.under_way.is_empty());
        let left = pause.saturating_sub(now.saturating_duration_since(self.began));
        if !left.is_zero() {
            return Some(left);
        }
        let drafts = intake.outbox.borrow_mut().take(|partition| self.may_begin(partition));
        self.began = now;
        let mut drafts = drafts.into_iter().peekable();
        while let Some(first) = drafts.next() {
            let partition = first.partition;
            let others = iter::from_fn(|| drafts.next_if(|next| next.partition == partition));
            let drafts: Vec<_> = iter::once(first).chain(others).collect();
            let appending = self.partitions.entry(partition).or_default();
            let (lane, alone) = (Rc::clone(&appending.lane), appending.under_way == 0);
            appending.under_way += 1;
            let intake = Rc::clone(intake);
            let append = AssertUnwindSafe(append(intake, lane, alone, drafts)).catch_unwind();
            self.under_way.spawn_local(async move { (partition, append.await.unwrap_or(false)) });
        }
        None
    }
}

/// How long after the last appends began the next may begin, which go to so many partitions. `alone`: none is under way.
fn pause(partitions: usize, alone: bool) -> Duration {
    let further = u32::try_from(partitions.saturating_sub(1)).unwrap_or(u32::MAX);
    let least = if alone { Duration::ZERO } else { APPEND_EVERY };
    PARTITION_EVERY.saturating_mul(further).clamp(least, PAUSE_MAX)
}

/// One append, to one partition; whether it took effect.
async fn append<S: Sender + 'static>(
    intake: Rc<Intake<S>>,
    lane: Rc<Lane>,
    alone: bool,
    mut drafts: Vec<Outgoing<S>>,
) -> bool {
    let records = drafts.iter_mut().map(|draft| traced(&intake.gateway, draft)).collect();
    let appended = intake.gateway.log.append_in(&lane, alone, records).await;
    intake.outbox.borrow_mut().settle(&drafts);
    let offsets = match appended {
        Ok(offsets) => offsets,
        Err(error) => {
            intake.gateway.health.degraded(checks::LOG, format!("{error}; senders are told to try again"));
            tracing::warn!(%error, "what was sent is not in the log; its senders are told to retry");
            drafts.iter_mut().filter_map(|draft| draft.span.as_mut()).for_each(|span| span.failed("not in the log"));
            drafts.into_iter().for_each(refuse);
            return false;
        }
    };
    for (mut draft, offset) in drafts.into_iter().zip(offsets) {
        acknowledge(&intake, &mut draft, offset);
    }
    true
}

/// Refuses what stands behind something that was refused: each sender's order is kept.
fn refuse_waiting<S: Sender>(intake: &Intake<S>, partition: u32) {
    let behind = intake.outbox.borrow_mut().take(|one| one == partition);
    intake.outbox.borrow_mut().settle(&behind);
    behind.into_iter().for_each(refuse);
}

pub(super) fn record<S>(draft: &Draft<S>) -> NewRecord {
    NewRecord { partition: draft.partition, payload: draft.record.encode_to_vec().into(), trace: None }
}

/// A record, and the beginning of its trace if the lot falls on it.
fn traced<S>(gateway: &GatewayState, draft: &mut Outgoing<S>) -> NewRecord {
    let mut new = record(draft);
    let received = || UNIX_EPOCH + Duration::from_millis(draft.record.received_ms.unsigned_abs());
    draft.span = gateway.tracer.draw(Stage::Publish, received);
    new.trace = draft.span.as_ref().map(Span::parent);
    new
}

fn acknowledge<S: Sender>(intake: &Intake<S>, draft: &mut Outgoing<S>, offset: u64) {
    let partition = draft.partition;
    intake.gateway.metrics.acknowledged.inc_by(draft.sent.len() as u64);
    if let Some(mut span) = draft.span.take() {
        span.of_record(partition, offset);
    }
    if let Some(sent) = draft.sent.first() {
        let bytes = draft.record.entries.iter().map(|entry| entry.content.len() as u64).sum();
        let count = u32::try_from(draft.sent.len()).unwrap_or(u32::MAX);
        let room = sent.sender.room();
        room.heat.messages(draft.record.shard, count, bytes);
        if let Some(limit) = &intake.gateway.limit {
            limit.tell(room, &draft.record);
        }
    }
    intake.gateway.metrics.append_age.observe(draft.record.received_ms);
    let mut acks: HashMap<SenderId, (&S, pb::Ack)> = HashMap::new();
    for ((sent, entry), index) in draft.sent.iter().zip(&draft.record.entries).zip(0_u32..) {
        let position = Position { partition, offset, index };
        if sent.sender.wants_acks() {
            let new = || (&*sent.sender, pb::Ack { partition, offset, ..pb::Ack::default() });
            let (_, ack) = acks.entry(sent.sender.id()).or_insert_with(new);
            ack.seq.push(sent.seq);
            ack.index.push(index);
        }
        if !entry.retry {
            sent.sender.logged(entry, position);
        }
    }
    for (sender, ack) in acks.into_values() {
        sender.acknowledge(&ack);
    }
}

fn refuse<S: Sender>(draft: Outgoing<S>) {
    for (Sent { sender, seq }, entry) in draft.sent.into_iter().zip(draft.record.entries) {
        sender.not_logged(&entry);
        sender.refuse(seq, Refusal::Retry, RETRY_AFTER_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_partitions_an_append_goes_to_the_later_it_begins_but_never_too_late() {
        let ms = |partitions, alone| pause(partitions, alone).as_millis();
        assert_eq!([0, 1, 2, 4].map(|partitions| ms(partitions, true)), [0, 0, 1, 3], "a quiet shard does not wait");
        assert_eq!([0, 1, 4, 6].map(|partitions| ms(partitions, false)), [5, 5, 5, 5], "as with one");
        for alone in [true, false] {
            assert_eq!([16, 21, 22, usize::MAX].map(|partitions| ms(partitions, alone)), [15, 20, 20, 20]);
        }
    }
}
