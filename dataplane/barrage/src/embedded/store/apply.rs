//! From records of the log to scores, history and applied offsets.

use std::collections::HashMap;

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    heat, rules,
    schema::{room_row, user_key},
};
use barrage_core::store::{SliceBatch, SliceRecord, block};

/// Counters of the writing side.
#[derive(Clone, Default)]
pub struct Metrics {
    danmaku: Counter,
    skipped: Counter,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("applied_danmaku", "Danmaku applied to history and ranking", metrics.danmaku.clone());
        registry.register("skipped_records", "Records that had been applied before", metrics.skipped.clone());
        metrics
    }
}

struct Slice {
    applied: Option<u64>,
    logged: u64,
    kept: u64,
}

pub(super) fn apply(connection: &mut Connection, batches: &[SliceBatch], metrics: &Metrics) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let (mut danmaku, mut skipped) = (0, 0);
    for batch in batches {
        let room = room_row(&transaction, &batch.room)?;
        let mut slice = load(&transaction, room, batch.shard)?;
        let known = batch.records.partition_point(|record| Some(record.offset) <= slice.applied);
        skipped += known as u64;
        let Some(records) = batch.records.get(known..).filter(|records| !records.is_empty()) else { continue };
        add_scores(&transaction, room, records)?;
        heat::add(&transaction, room, records)?;
        rules::follow(&transaction, room, batch, records)?;
        let added = add_history(&transaction, room, batch.shard, records)?;
        danmaku += added;
        slice.applied = records.last().map(|record| record.offset);
        slice.logged += added;
        slice.kept += added;
        trim(&transaction, room, batch, &mut slice)?;
        save(&transaction, room, batch, &slice)?;
    }
    transaction.commit()?;
    metrics.danmaku.inc_by(danmaku);
    metrics.skipped.inc_by(skipped);
    Ok(())
}

pub(super) fn applied_ends(connection: &Connection, partitions: u32) -> rusqlite::Result<Vec<u64>> {
    let mut query = connection.prepare("SELECT coalesce(max(applied) + 1, 0) FROM slice WHERE partition = ?1")?;
    (0..partitions).map(|partition| query.query_row([partition], |row| row.get(0))).collect()
}

fn load(transaction: &Transaction<'_>, room: i64, shard: u32) -> rusqlite::Result<Slice> {
    let slice = transaction
        .prepare_cached("SELECT applied, logged, kept FROM slice WHERE room = ?1 AND shard = ?2")?
        .query_row(params![room, shard], |row| {
            Ok(Slice { applied: Some(row.get(0)?), logged: row.get(1)?, kept: row.get(2)? })
        })
        .optional()?;
    Ok(slice.unwrap_or(Slice { applied: None, logged: 0, kept: 0 }))
}

fn save(transaction: &Transaction<'_>, room: i64, batch: &SliceBatch, slice: &Slice) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO slice (room, shard, partition, applied, logged, kept) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (room, shard) DO UPDATE SET
                 partition = excluded.partition, applied = excluded.applied,
                 logged = excluded.logged, kept = excluded.kept",
        )?
        .execute(params![room, batch.shard, batch.partition, slice.applied, slice.logged, slice.kept])
        .map(drop)
}

/// One statement a user, not a danmaku.
fn add_scores(transaction: &Transaction<'_>, room: i64, records: &[SliceRecord]) -> rusqlite::Result<()> {
    let mut points: HashMap<u64, u64> = HashMap::new();
    for entry in records.iter().flat_map(|record| &record.record.entries).filter(|entry| entry.user != 0) {
        *points.entry(entry.user).or_default() += block::points(entry);
    }
    let mut add = transaction.prepare_cached(
        "INSERT INTO score (room, user, score) VALUES (?1, ?2, ?3)
         ON CONFLICT (room, user) DO UPDATE SET score = score + excluded.score",
    )?;
    for (user, points) in points {
        add.execute(params![room, user_key(user), points])?;
    }
    Ok(())
}

/// One block a record; returns how many danmaku were added.
fn add_history(transaction: &Transaction<'_>, room: i64, shard: u32, records: &[SliceRecord]) -> rusqlite::Result<u64> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO history (room, shard, offset, rows, block) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut added = 0;
    for SliceRecord { offset, record } in records {
        let rows = block::rows(record);
        if rows > 0 {
            insert.execute(params![room, shard, offset, rows, block::encode(record)])?;
            added += rows;
        }
    }
    Ok(added)
}

/// Deletes the oldest blocks once a tenth more than the room's length is kept, so that most batches delete nothing.
fn trim(transaction: &Transaction<'_>, room: i64, batch: &SliceBatch, slice: &mut Slice) -> rusqlite::Result<()> {
    let length = batch.history_length;
    if slice.kept <= length + length / 10 {
        return Ok(());
    }
    let mut oldest = transaction
        .prepare_cached("SELECT offset, rows FROM history WHERE room = ?1 AND shard = ?2 ORDER BY offset")?;
    let mut blocks = oldest.query(params![room, batch.shard])?;
    let mut end = None;
    while let Some(block) = blocks.next()? {
        let rows: u64 = block.get(1)?;
        if slice.kept - rows < length {
            break;
        }
        slice.kept -= rows;
        end = Some(block.get::<_, u64>(0)?);
    }
    transaction
        .prepare_cached("DELETE FROM history WHERE room = ?1 AND shard = ?2 AND offset <= ?3")?
        .execute(params![room, batch.shard, end])
        .map(drop)
}
