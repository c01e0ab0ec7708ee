//! Pages of the history from the embedded store.

use barrage_proto::{Cursor, Position};
use rusqlite::{Connection, params};

use super::{
    super::{
        SliceRecord, block,
        history::{self, Direction, HistoryItem, HistoryPage, make_monotonic},
    },
    ranking::applied,
    schema::find_room,
};
use crate::room::RoomId;

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
    Ok(history::page(direction, from, limit, applied, items))
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

fn items_of(
    shard: u32,
    partition: u32,
    row: &rusqlite::Row<'_>,
) -> rusqlite::Result<impl Iterator<Item = HistoryItem> + use<>> {
    let offset = row.get(0)?;
    let record = block::decode(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))?;
    Ok(block::items(SliceRecord { offset, record: record.into() }, shard, partition))
}
