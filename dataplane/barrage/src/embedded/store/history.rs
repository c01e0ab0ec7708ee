//! Pages of the history from the embedded store.

use barrage_proto::{Cursor, Position, log::Record};
use rusqlite::{Connection, params};

use super::{ranking::applied, rules, schema::find_room};
use barrage_core::store::{
    SliceRecord, block,
    history::{self, Direction, HistoryItem, HistoryPage, make_monotonic},
};
use barrage_core::{moderation::Rules, room::RoomId};

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
        let slice = Slice { connection: &snapshot, room, shard, end, rules: rules::of_slice(&snapshot, room, shard)? };
        items.extend(match direction {
            Direction::After => slice.after(bound, limit)?,
            Direction::Before => slice.before(bound, limit)?,
        });
    }
    Ok(history::page(direction, from, limit, applied, items))
}

/// A danmaku by its ID.
pub(super) fn find(
    connection: &Connection,
    room: &RoomId,
    shard: u32,
    id: Position,
) -> rusqlite::Result<Option<HistoryItem>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(room) = find_room(&snapshot, room)? else { return Ok(None) };
    let Some(end) = applied(&snapshot, room)?.position(shard) else { return Ok(None) };
    let slice = Slice { connection: &snapshot, room, shard, end, rules: rules::of_slice(&snapshot, room, shard)? };
    let before = id.partition == end.partition && id.offset <= end.offset;
    let behind = Position { index: id.index.saturating_add(1), ..id };
    let found = if before { slice.before(Some(behind), 1)?.pop() } else { None };
    Ok(found.filter(|item| item.position == id))
}

/// The cursor that covers what was received before a time. Slices are searched by halves: receipt times rise with
/// offsets, but for the differences between gateways' clocks.
pub(super) fn cursor_at(connection: &Connection, room: &RoomId, at_ms: i64) -> rusqlite::Result<Cursor> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(room) = find_room(&snapshot, room)? else { return Ok(Cursor::default()) };
    let mut cursor = Cursor::default();
    for (shard, end) in applied(&snapshot, room)?.iter() {
        let slice = Slice { connection: &snapshot, room, shard, end, rules: Rules::default() };
        // Everything below `low` was received before, nothing from `high` on.
        let (mut low, mut high) = (0, end.offset + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match slice.first_from(middle)?.filter(|(offset, _)| *offset < high) {
                Some((offset, received_ms)) if received_ms < at_ms => low = offset + 1,
                Some(_) | None => high = middle,
            }
        }
        let Some(before) = low.checked_sub(1) else { continue };
        cursor.advance(shard, Position { offset: before, index: u32::MAX, ..end });
    }
    Ok(cursor)
}

/// A slice to read.
struct Slice<'a> {
    connection: &'a Connection,
    room: i64,
    shard: u32,
    end: Position,
    rules: Rules,
}

impl Slice<'_> {
    /// The oldest behind `covered`, one more than `limit` if there are so many.
    fn after(&self, covered: Option<Position>, limit: usize) -> rusqlite::Result<Vec<HistoryItem>> {
        let mut query = self.connection.prepare_cached(
            "SELECT offset, block FROM history WHERE room = ?1 AND shard = ?2 AND offset >= ?3 ORDER BY offset",
        )?;
        let mut rows = query.query(params![self.room, self.shard, covered.map_or(0, |covered| covered.offset)])?;
        let mut items: Vec<HistoryItem> = Vec::new();
        while items.len() <= limit
            && let Some(row) = rows.next()?
        {
            items.extend(self.items_of(row)?.filter(|item| Some(item.position) > covered));
        }
        make_monotonic(&mut items);
        items.truncate(limit + 1);
        Ok(items)
    }

    /// The newest before `bound`, one more than `limit` if there are so many.
    fn before(&self, bound: Option<Position>, limit: usize) -> rusqlite::Result<Vec<HistoryItem>> {
        let bound = bound.unwrap_or(Position { index: u32::MAX, ..self.end });
        let mut query = self.connection.prepare_cached(
            "SELECT offset, block FROM history WHERE room = ?1 AND shard = ?2 AND offset <= ?3 ORDER BY offset DESC",
        )?;
        let mut rows = query.query(params![self.room, self.shard, bound.offset])?;
        let mut blocks = Vec::new();
        let mut count = 0;
        while count <= limit
            && let Some(row) = rows.next()?
        {
            let block: Vec<_> = self.items_of(row)?.filter(|item| item.position < bound).collect();
            count += block.len();
            blocks.push(block);
        }
        let mut items: Vec<HistoryItem> = blocks.into_iter().rev().flatten().collect();
        make_monotonic(&mut items);
        items.drain(..items.len().saturating_sub(limit + 1));
        Ok(items)
    }

    /// The first block at or behind an offset, and when it was received.
    fn first_from(&self, offset: u64) -> rusqlite::Result<Option<(u64, i64)>> {
        let mut query = self.connection.prepare_cached(
            "SELECT offset, block FROM history WHERE room = ?1 AND shard = ?2 AND offset >= ?3 ORDER BY offset LIMIT 1",
        )?;
        let mut rows = query.query(params![self.room, self.shard, offset])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((row.get(0)?, record_of(row)?.received_ms)))
    }

    fn items_of(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<impl Iterator<Item = HistoryItem>> {
        let (offset, record) = (row.get(0)?, record_of(row)?);
        let items = block::items(SliceRecord { offset, record: record.into() }, self.shard, self.end.partition);
        Ok(items.filter(|item| item.is_visible(&self.rules)))
    }
}

/// The record of a block.
fn record_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    block::decode(row.get_ref(1)?.as_blob()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error)))
}
