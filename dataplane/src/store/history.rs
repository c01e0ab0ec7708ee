//! History: blocks of danmaku by slice, read as pages of a room in one order.
//!
//! The order is gateway receipt time, made monotonic within a slice, then shard and position; a cursor holds where
//! each slice stands, so that paging on from it gives each danmaku exactly once whatever arrives meanwhile.

use std::collections::BTreeMap;

use barrage_proto::{
    Cursor, Position,
    log::{Entry, Record},
};
use prost::Message;
use rusqlite::{Connection, params};

use super::{apply::ZSTD, ranking::applied, schema::find_room};
use crate::room::RoomId;

/// Largest block once decompressed; a record is bounded by the gateway's flush.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which way a page lies from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest danmaku that the cursor does not cover.
    After,
    /// The newest danmaku before the cursor's positions; slices that it lacks are read from their end.
    Before,
}

/// One danmaku of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    /// Its slice's shard.
    pub shard: u32,
    /// Its ID.
    pub position: Position,
    /// Gateway receipt time, Unix ms.
    pub received_ms: i64,
    /// The rest.
    pub entry: Entry,
}

/// Danmaku, oldest first.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    /// The danmaku.
    pub items: Vec<HistoryItem>,
    /// Where the page before this begins to be read from.
    pub before: Cursor,
    /// Where the page after this goes on.
    pub after: Cursor,
    /// Whether there is more in the direction asked for.
    pub more: bool,
    /// The last record of each slice that the history includes.
    pub applied: Cursor,
}

pub(super) fn page(
    connection: &Connection,
    room: &RoomId,
    direction: Direction,
    from: &Cursor,
    limit: usize,
) -> rusqlite::Result<HistoryPage> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(room) = find_room(&snapshot, room)? else {
        return Ok(HistoryPage { after: from.clone(), ..HistoryPage::default() });
    };
    let applied = applied(&snapshot, room)?;
    let mut items = Vec::new();
    for (shard, end) in applied.iter() {
        // A position in another partition is none of this slice's: no client was given it.
        let bound = from.position(shard).filter(|bound| bound.partition == end.partition);
        items.extend(match direction {
            Direction::After => after(&snapshot, room, shard, end, bound, limit)?,
            Direction::Before => before(&snapshot, room, shard, end, bound, limit)?,
        });
    }
    items.sort_by_key(|item| (item.received_ms, item.shard, item.position));
    let more = items.len() > limit;
    match direction {
        Direction::After => items.truncate(limit),
        Direction::Before => drop(items.drain(..items.len().saturating_sub(limit))),
    }
    let (before, after) = cursors(direction, from, &applied, &items);
    Ok(HistoryPage { items, before, after, more, applied })
}

/// The cursors around a page: where the page before it ends (its first positions), and what it leaves covered.
fn cursors(direction: Direction, from: &Cursor, applied: &Cursor, items: &[HistoryItem]) -> (Cursor, Cursor) {
    let bound = |(shard, end): (u32, Position)| {
        let bound = match (direction, from.position(shard)) {
            (Direction::After, Some(covered)) => just_after(covered),
            (Direction::After, None) => Position { offset: 0, index: 0, ..end },
            (Direction::Before, Some(bound)) => bound,
            (Direction::Before, None) => just_after(end),
        };
        (shard, bound)
    };
    let mut before: BTreeMap<u32, Position> = applied.iter().map(bound).collect();
    let mut after = match direction {
        Direction::After => from.clone(),
        Direction::Before => before.iter().filter_map(|(&shard, &end)| Some((shard, just_before(end)?))).collect(),
    };
    for item in items.iter().rev() {
        before.insert(item.shard, item.position);
        after.advance(item.shard, item.position);
    }
    (before.into_iter().collect(), after)
}

/// The first position that a covered one leaves uncovered.
const fn just_after(covered: Position) -> Position {
    match covered.index.checked_add(1) {
        Some(index) => Position { index, ..covered },
        None => Position { offset: covered.offset + 1, index: 0, ..covered },
    }
}

/// The last position below one, if there is one.
fn just_before(position: Position) -> Option<Position> {
    if let Some(index) = position.index.checked_sub(1) {
        return Some(Position { index, ..position });
    }
    Some(Position { offset: position.offset.checked_sub(1)?, index: u32::MAX, ..position })
}

/// The oldest of a slice behind `covered`, one more than `limit` if there are so many.
fn after(
    connection: &Connection,
    room: i64,
    shard: u32,
    end: Position,
    covered: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<HistoryItem>> {
    let mut query = connection.prepare_cached(
        "SELECT offset, block FROM history WHERE room = ?1 AND shard = ?2 AND offset >= ?3 ORDER BY offset",
    )?;
    let mut rows = query.query(params![room, shard, covered.map_or(0, |covered| covered.offset)])?;
    let mut items: Vec<HistoryItem> = Vec::new();
    while items.len() <= limit
        && let Some(row) = rows.next()?
    {
        let block = items_of(shard, end.partition, row)?;
        items.extend(block.filter(|item| Some(item.position) > covered));
    }
    make_monotonic(&mut items);
    items.truncate(limit + 1);
    Ok(items)
}

/// The newest of a slice before `bound`, one more than `limit` if there are so many.
fn before(
    connection: &Connection,
    room: i64,
    shard: u32,
    end: Position,
    bound: Option<Position>,
    limit: usize,
) -> rusqlite::Result<Vec<HistoryItem>> {
    let bound = bound.unwrap_or(Position { index: u32::MAX, ..end });
    let mut query = connection.prepare_cached(
        "SELECT offset, block FROM history WHERE room = ?1 AND shard = ?2 AND offset <= ?3 ORDER BY offset DESC",
    )?;
    let mut rows = query.query(params![room, shard, bound.offset])?;
    let mut blocks = Vec::new();
    let mut count = 0;
    while count <= limit
        && let Some(row) = rows.next()?
    {
        let block: Vec<_> = items_of(shard, end.partition, row)?.filter(|item| item.position < bound).collect();
        count += block.len();
        blocks.push(block);
    }
    let mut items: Vec<HistoryItem> = blocks.into_iter().rev().flatten().collect();
    make_monotonic(&mut items);
    items.drain(..items.len().saturating_sub(limit + 1));
    Ok(items)
}

/// Several gateways write one slice, each with its own clock: log order wins within a slice.
fn make_monotonic(items: &mut [HistoryItem]) {
    let mut latest = i64::MIN;
    for item in items {
        latest = latest.max(item.received_ms);
        item.received_ms = latest;
    }
}

fn items_of(
    shard: u32,
    partition: u32,
    row: &rusqlite::Row<'_>,
) -> rusqlite::Result<impl Iterator<Item = HistoryItem> + use<>> {
    let offset = row.get(0)?;
    let record = decode(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    let received_ms = record.received_ms;
    Ok((0..).zip(record.entries).filter(|(_, entry)| entry.user != 0).map(move |(index, entry)| HistoryItem {
        shard,
        position: Position { partition, offset, index },
        received_ms: received_ms + i64::from(entry.received_delta_ms),
        entry,
    }))
}

fn decode(block: &[u8]) -> Result<Record, std::io::Error> {
    let record = match block.split_first() {
        Some((&ZSTD, compressed)) => Record::decode(&*zstd::bulk::decompress(compressed, BLOCK_BYTES_MAX)?),
        Some((_, plain)) => Record::decode(plain),
        None => Ok(Record::default()),
    };
    record.map_err(std::io::Error::other)
}
