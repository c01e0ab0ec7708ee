//! What a consumer does with the store, at its smallest: one partition of a log in memory, applied in order, from the
//! commit again whenever the store says that it is behind, from the start when it says that something is lost.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use barrage_core::{
    room::{RoomId, SHARDS, shard_of},
    store::{Applied, Confirmed, Direction, Reached, SliceBatch, SliceRecord, Store},
};
use barrage_proto::{
    Cursor, Position,
    log::{Entry, Record},
};

pub(crate) const PARTITION: u32 = 5;
/// Records that one look at the log gives at the most.
const POLL: usize = 64;
/// Faults take seconds; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn room() -> RoomId {
    RoomId::from("demo")
}

/// A log: record `i` stands at offset `i`, with its shard.
pub(crate) type Log = Arc<[(u32, Record)]>;

/// As many records, each of one user with one to three danmaku.
pub(crate) fn log(records: u64) -> Log {
    let record = |offset: u64| {
        let user = 1 + offset * offset % 97;
        let entry = |index| Entry {
            user,
            seq: offset * 3 + index,
            content: format!("{offset}-{index}").into_bytes().into(),
            ..Entry::default()
        };
        let entries = (0..1 + offset % 3).map(entry).collect();
        let received_ms = 1_700_000_000_000 + i64::try_from(offset).unwrap();
        (
            shard_of(user),
            Record { room: "demo".into(), shard: shard_of(user), received_ms, entries, ..Record::default() },
        )
    };
    (0..records).map(record).collect()
}

/// A batch that says nothing special.
pub(crate) fn batch(shard: u32, expected: Option<u64>, records: &[(u64, Record)]) -> SliceBatch {
    let records = records.iter().map(|(offset, record)| SliceRecord { offset: *offset, record: record.clone().into() });
    SliceBatch {
        room: room(),
        shard,
        owner_epoch: 1,
        partition: PARTITION,
        expected: expected.map(|offset| Position { partition: PARTITION, offset, index: 0 }),
        rebuilding: false,
        history_length: 100_000,
        history_age_ms: i64::MAX,
        records: records.collect(),
    }
}

/// A partition applied up to `end`, since a generation.
pub(crate) fn reached(partition: u32, end: u64, generation: u64) -> Reached {
    Reached { partition, end, generation }
}

/// One batch's outcome.
pub(crate) async fn apply(store: &Store, batch: SliceBatch) -> Applied {
    store.apply([batch].into()).await.remove(0).unwrap()
}

/// Where a consumer is.
pub(crate) struct Consumer {
    store: Store,
    log: Log,
    next: u64,
    committed: u64,
    pub(crate) generation: u64,
    expected: BTreeMap<u32, u64>,
    rebuilding: bool,
    /// How often it had to begin again, from the commit and from the start.
    pub(crate) behind: u32,
    pub(crate) lost: u32,
    /// Asked for after each poll.
    pause: Duration,
}

impl Consumer {
    pub(crate) fn new(store: &Store, log: &Log, pause: Duration) -> Self {
        let (store, log) = (store.clone(), Arc::clone(log));
        let expected = BTreeMap::new();
        Self {
            store,
            log,
            next: 0,
            committed: 0,
            generation: 0,
            expected,
            rebuilding: false,
            behind: 0,
            lost: 0,
            pause,
        }
    }

    /// Applies all of the log, and goes on until that is confirmed.
    pub(crate) async fn run(self) -> Self {
        let store = self.store.clone();
        let done = tokio::time::timeout(PATIENCE, self.drive()).await;
        done.unwrap_or_else(|_| panic!("it does not come to its end: {:?}", store.last_error()))
    }

    async fn drive(mut self) -> Self {
        let mut polls = 0;
        loop {
            let applied = self.poll().await;
            polls += 1;
            let at_end = self.next == self.log.len() as u64;
            if applied && self.rebuilding && at_end && self.store.rebuilt(PARTITION).await.is_ok() {
                self.rebuilding = false;
            }
            if polls % 8 == 0 || at_end {
                let end = self.next;
                match self.store.confirm(&[reached(PARTITION, end, self.generation)]).await {
                    Ok(Confirmed::Yes) if self.rebuilding => (),
                    Ok(Confirmed::Yes) if at_end && applied => return self,
                    Ok(Confirmed::Yes) => self.committed = end,
                    Ok(Confirmed::Void) => self.start_again().await,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// Applies what is next; whether it did.
    async fn poll(&mut self) -> bool {
        let first = usize::try_from(self.next).unwrap();
        let end = self.log.len().min(first + POLL);
        let mut slices: BTreeMap<u32, Vec<(u64, Record)>> = BTreeMap::new();
        for (offset, (shard, record)) in (self.next..).zip(&self.log[first..end]) {
            slices.entry(*shard).or_default().push((offset, record.clone()));
        }
        let batches: Arc<[SliceBatch]> = slices
            .iter()
            .map(|(shard, records)| SliceBatch {
                rebuilding: self.rebuilding,
                ..batch(*shard, self.expected.get(shard).copied(), records)
            })
            .collect();
        let outcomes = self.store.apply(Arc::clone(&batches)).await;
        let mut whole = true;
        let (mut behind, mut lost) = (false, false);
        for (batch, outcome) in batches.iter().zip(outcomes) {
            match outcome {
                Ok(Applied::Whole) => drop(self.expected.insert(batch.shard, batch.records.last().unwrap().offset)),
                Ok(Applied::Behind) => behind = true,
                Ok(Applied::Lost) => lost = true,
                Ok(other) => panic!("{other:?}"),
                // Some of the batches are applied, which the next attempt finds.
                Err(_) => whole = false,
            }
        }
        if lost {
            self.lost += 1;
            (self.next, self.committed, self.rebuilding) = (0, 0, true);
            self.expected.clear();
        } else if behind {
            self.behind += 1;
            self.start_again().await;
        } else if whole {
            self.next = end as u64;
            return true;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    async fn start_again(&mut self) {
        let start = loop {
            match self.store.start(PARTITION, self.committed).await {
                Ok(start) => break start,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        if start.offset < self.committed {
            self.rebuilding = true;
            self.lost += 1;
        }
        (self.next, self.generation) = (start.offset, start.generation);
        self.expected.clear();
    }
}

/// Asserts that the store holds what the log says, no more and no less, in order.
pub(crate) async fn assert_exact(store: &Store, log: &Log) {
    let mut scores: BTreeMap<u64, u64> = BTreeMap::new();
    let mut texts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (shard, record) in log.iter() {
        for entry in &record.entries {
            *scores.entry(entry.user).or_default() += 1;
            texts.entry(*shard).or_default().push(String::from_utf8(entry.content.to_vec()).unwrap());
        }
    }
    let mut expected: Vec<_> = scores.into_iter().map(|(user, score)| (std::cmp::Reverse(score), user)).collect();
    expected.sort_unstable();
    let ranking = store.ranking(&room(), 10_000).await.unwrap();
    let found: Vec<_> = ranking.scores.iter().map(|scored| (std::cmp::Reverse(scored.score), scored.user)).collect();
    assert_eq!(found, expected, "ranking");
    let total: usize = texts.values().map(Vec::len).sum();
    assert_eq!(store.ledger(&room()).await.unwrap().1, total as u64, "logged");
    assert_eq!(all_texts(store, 333).await, texts, "history");
}

/// The history, read in pages until a replica has it all.
pub(crate) async fn all_texts(store: &Store, limit: usize) -> BTreeMap<u32, Vec<String>> {
    let mut texts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut from = Cursor::default();
    loop {
        let page = store.history(&room(), Direction::After, from, limit).await.unwrap();
        for item in &page.items {
            let text = String::from_utf8(item.entry.content.to_vec()).unwrap();
            texts.entry(item.shard).or_default().push(text);
        }
        if !page.more {
            assert!(texts.keys().all(|shard| *shard < SHARDS));
            return texts;
        }
        from = page.after;
    }
}
