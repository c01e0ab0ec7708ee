//! What the producer and the script reach alone, with records and batches of the same shape.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use barrage_core::{
    room::{RoomId, Rooms, SHARDS, shard_of},
    routes::Table,
    store::{Applied, SliceBatch, SliceRecord, Store},
};
use barrage_proto::{
    Position,
    log::{Entry, Record},
};
use tokio::{sync::watch, time::sleep};

use super::{
    Rig, brokers,
    inject::{Chatter, Injection},
};
use crate::bench::BenchError;

/// The pool that nobody works for.
const POOL: &str = "alone";
const HISTORY_LENGTH: u64 = 10_000;
/// Connections and topics settle.
const WARM_UP: Duration = Duration::from_secs(2);

/// Messages per second of one room on `spread` partitions that brokers acknowledge where nobody reads them; `append_max`
/// danmaku in an append.
pub(super) fn producer(
    rig: &Rig,
    chatter: &Arc<Chatter>,
    lanes: usize,
    append_max: u64,
    (spread, time): (u32, Duration),
) -> Result<f64, BenchError> {
    rig.runtime.block_on(async {
        brokers::create(&rig.kafka(POOL)?, spread).await?;
        let (log, _) = rig.log(POOL, spread)?;
        let table = Table { spread, ..Table::of_one(&POOL.into(), spread, Rooms::default()) };
        let (_sender, routes) = watch::channel(Arc::new(table));
        let injection = Injection::start(chatter, (&log, &routes), &[RoomId::from(POOL)], lanes, append_max);
        injection.allow(u64::MAX);
        sleep(WARM_UP).await;
        let (before, began) = (injection.acknowledged(), Instant::now());
        sleep(time).await;
        let rate = (injection.acknowledged() - before) as f64 / began.elapsed().as_secs_f64();
        injection.end().await?;
        Ok(rate)
    })
}

/// Messages per second that Redis takes: calls of `per_call` danmaku in records of `per_record`, one for each slice at a
/// time, `total` danmaku.
pub(super) fn script(
    rig: &Rig,
    chatter: &Chatter,
    per_call: u64,
    per_record: u64,
    total: u64,
) -> Result<f64, BenchError> {
    let refused = BenchError::refused("applying alone");
    let store = rig.store(POOL)?;
    rig.runtime.block_on(store.lay_markers()).map_err(&refused)?;
    let store: Store = Arc::new(store);
    let rounds = rounds(chatter, per_call.max(1), per_record.max(1), total);
    let (mut applied, mut began) = (0_u64, Instant::now());
    let warm = rounds.len() / 10;
    for (number, round) in rounds.into_iter().enumerate() {
        if number == warm {
            (applied, began) = (0, Instant::now());
        }
        let outcomes = rig.runtime.block_on(store.apply(Arc::clone(&round)));
        if let Some(outcome) = outcomes.iter().find(|outcome| !matches!(outcome, Ok(Applied::Whole))) {
            return Err(BenchError::Meaningless(format!("the script alone: {outcome:?}")));
        }
        applied +=
            round.iter().flat_map(|batch| &batch.records).map(|one| one.record.entries.len() as u64).sum::<u64>();
    }
    Ok(applied as f64 / began.elapsed().as_secs_f64())
}

/// All batches beforehand: making them is no part of what is measured.
fn rounds(chatter: &Chatter, per_call: u64, per_record: u64, total: u64) -> Vec<Arc<[SliceBatch]>> {
    let mut expected: BTreeMap<u32, Position> = BTreeMap::new();
    let (mut offset, each) = (0, per_call * u64::from(SHARDS));
    let starts = (0..total.div_ceil(each)).map(|round| round * each);
    let round = |start: u64| {
        let mut slices: BTreeMap<u32, Vec<Entry>> = BTreeMap::new();
        for entry in (start..start + each).map(|number| chatter.entry(number)) {
            slices.entry(shard_of(entry.user)).or_default().push(entry);
        }
        let batches = slices.into_iter().map(|(shard, entries)| {
            let records = entries.chunks(usize::try_from(per_record).unwrap_or(usize::MAX)).map(|entries| {
                offset += 1;
                SliceRecord { offset, record: record(shard, entries.to_vec()).into() }
            });
            let records: Vec<_> = records.collect();
            let last = Position { partition: 0, offset, index: u32::MAX };
            batch(shard, expected.insert(shard, last), records)
        });
        batches.collect()
    };
    starts.map(round).collect()
}

fn record(shard: u32, entries: Vec<Entry>) -> Record {
    Record { room: POOL.to_owned(), shard, received_ms: 1_696_118_400_000, entries, ..Record::default() }
}

fn batch(shard: u32, expected: Option<Position>, records: Vec<SliceRecord>) -> SliceBatch {
    SliceBatch {
        room: RoomId::from(POOL),
        shard,
        owner_epoch: 1,
        partition: 0,
        expected,
        rebuilding: false,
        history_length: HISTORY_LENGTH,
        history_age_ms: i64::MAX,
        records,
    }
}
