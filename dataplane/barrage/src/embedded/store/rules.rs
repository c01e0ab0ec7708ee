//! What moderation came to in the slices of a room: one value a slice.

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::find_room;
use barrage_core::store::{SliceBatch, SliceRecord};
use barrage_core::{
    moderation::{self, RoomRules, Rules},
    room::RoomId,
};

/// Takes in what records bring.
pub(super) fn follow(
    connection: &Connection,
    room: i64,
    batch: &SliceBatch,
    records: &[SliceRecord],
) -> rusqlite::Result<()> {
    if !records.iter().any(|one| moderation::concerns(&one.record)) {
        return Ok(());
    }
    let mut rules = of_slice(connection, room, batch.shard)?;
    for one in records {
        rules.follow(&one.record, batch.partition, one.offset);
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO rules (room, shard, rules) VALUES (?1, ?2, ?3)")?
        .execute(params![room, batch.shard, rules.encode()])
        .map(drop)
}

/// The rules of a slice.
pub(super) fn of_slice(connection: &Connection, room: i64, shard: u32) -> rusqlite::Result<Rules> {
    let stored: Option<Vec<u8>> = connection
        .prepare_cached("SELECT rules FROM rules WHERE room = ?1 AND shard = ?2")?
        .query_row(params![room, shard], |row| row.get(0))
        .optional()?;
    stored.map_or(Ok(Rules::default()), |stored| read(&stored))
}

/// The rules of all slices that have any.
pub(super) fn of_room(connection: &Connection, room: &RoomId) -> rusqlite::Result<RoomRules> {
    let mut of_room = RoomRules::default();
    let Some(room) = find_room(connection, room)? else { return Ok(of_room) };
    let mut query = connection.prepare_cached("SELECT shard, rules FROM rules WHERE room = ?1")?;
    let mut rows = query.query([room])?;
    while let Some(row) = rows.next()? {
        of_room.learn(row.get(0)?, read(row.get_ref(1)?.as_blob()?)?);
    }
    Ok(of_room)
}

fn read(stored: &[u8]) -> rusqlite::Result<Rules> {
    Rules::decode(stored)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error)))
}
