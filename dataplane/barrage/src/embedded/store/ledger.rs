//! Ledgers in the embedded store. Their table has the name it had in the first data folders.

use barrage_proto::{Cursor, Position};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::schema::{find_room, room_row};
use barrage_core::room::RoomId;
use barrage_core::store::ledger::{Counts, Ledger};

#[derive(Serialize, Deserialize)]
struct Row {
    epoch: u64,
    counts: Counts,
    watermark: Vec<u8>,
}

pub(super) fn load(connection: &Connection, room: &RoomId) -> rusqlite::Result<(Ledger, u64)> {
    let Some(row) = find_room(connection, room)? else { return Ok(<_>::default()) };
    let logged = connection
        .prepare_cached("SELECT coalesce(sum(logged), 0) FROM slice WHERE room = ?1")?
        .query_row([row], |row| row.get(0))?;
    Ok((load_row(connection, room)?.unwrap_or_default(), logged))
}

/// The last record of each slice of any room that its ledger counts, by shard.
pub(super) fn watermarks(connection: &Connection) -> rusqlite::Result<Vec<(u32, Position)>> {
    let mut query = connection.prepare("SELECT books FROM books")?;
    let rows: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let ledgers = rows.iter().map(|row| parse(row)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(ledgers.iter().flat_map(|ledger| ledger.watermark.iter().collect::<Vec<_>>()).collect())
}

/// Raises the epoch and gives the ledger.
pub(super) fn take(connection: &mut Connection, room: &RoomId) -> rusqlite::Result<Ledger> {
    let (mut ledger, _) = load(connection, room)?;
    ledger.epoch += 1;
    let ledgers = [(room.clone(), ledger)];
    save(connection, &ledgers)?;
    let [(_, ledger)] = ledgers;
    Ok(ledger)
}

/// Saves ledgers, but for those whose epoch is not the highest; returns the rooms that it does not save.
pub(super) fn save(connection: &mut Connection, ledgers: &[(RoomId, Ledger)]) -> rusqlite::Result<Vec<RoomId>> {
    let transaction = connection.transaction()?;
    let mut taken = Vec::new();
    for (room, ledger) in ledgers {
        if load_row(&transaction, room)?.is_some_and(|row| row.epoch > ledger.epoch) {
            taken.push(room.clone());
            continue;
        }
        let row = Row { epoch: ledger.epoch, counts: ledger.counts, watermark: ledger.watermark.encode() };
        let row = serde_json::to_string(&row).map_err(damaged)?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO books (room, books) VALUES (?1, ?2)")?
            .execute(params![room_row(&transaction, room)?, row])?;
    }
    transaction.commit()?;
    Ok(taken)
}

fn load_row(connection: &Connection, room: &RoomId) -> rusqlite::Result<Option<Ledger>> {
    let Some(room) = find_room(connection, room)? else { return Ok(None) };
    let row: Option<String> = connection
        .prepare_cached("SELECT books FROM books WHERE room = ?1")?
        .query_row([room], |row| row.get(0))
        .optional()?;
    row.map(|row| parse(&row)).transpose()
}

fn parse(row: &str) -> rusqlite::Result<Ledger> {
    let row: Row = serde_json::from_str(row).map_err(damaged)?;
    let watermark = Cursor::decode(&row.watermark).map_err(damaged)?;
    Ok(Ledger { epoch: row.epoch, counts: row.counts, watermark })
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}
