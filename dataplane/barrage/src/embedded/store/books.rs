//! Books in the embedded store.

use barrage_proto::{Cursor, Position};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::schema::{find_room, room_row};
use barrage_core::room::RoomId;
use barrage_core::store::books::{Books, Counts};

#[derive(Serialize, Deserialize)]
struct Row {
    epoch: u64,
    counts: Counts,
    watermark: Vec<u8>,
}

pub(super) fn load(connection: &Connection, room: &RoomId) -> rusqlite::Result<(Books, u64)> {
    let Some(row) = find_room(connection, room)? else { return Ok(<_>::default()) };
    let logged = connection
        .prepare_cached("SELECT coalesce(sum(logged), 0) FROM slice WHERE room = ?1")?
        .query_row([row], |row| row.get(0))?;
    Ok((load_row(connection, room)?.unwrap_or_default(), logged))
}

/// The last record of each slice of any room that its books count, by shard.
pub(super) fn watermarks(connection: &Connection) -> rusqlite::Result<Vec<(u32, Position)>> {
    let mut query = connection.prepare("SELECT books FROM books")?;
    let rows: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let books = rows.iter().map(|row| parse(row)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(books.iter().flat_map(|books| books.watermark.iter().collect::<Vec<_>>()).collect())
}

/// Raises the epoch and gives the books.
pub(super) fn take(connection: &mut Connection, room: &RoomId) -> rusqlite::Result<Books> {
    let (mut books, _) = load(connection, room)?;
    books.epoch += 1;
    let books = [(room.clone(), books)];
    save(connection, &books)?;
    let [(_, books)] = books;
    Ok(books)
}

/// Saves books unless theirs is not the highest epoch; returns the rooms that it does not save.
pub(super) fn save(connection: &mut Connection, books: &[(RoomId, Books)]) -> rusqlite::Result<Vec<RoomId>> {
    let transaction = connection.transaction()?;
    let mut taken = Vec::new();
    for (room, books) in books {
        if load_row(&transaction, room)?.is_some_and(|row| row.epoch > books.epoch) {
            taken.push(room.clone());
            continue;
        }
        let row = Row { epoch: books.epoch, counts: books.counts, watermark: books.watermark.encode() };
        let row = serde_json::to_string(&row).map_err(damaged)?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO books (room, books) VALUES (?1, ?2)")?
            .execute(params![room_row(&transaction, room)?, row])?;
    }
    transaction.commit()?;
    Ok(taken)
}

fn load_row(connection: &Connection, room: &RoomId) -> rusqlite::Result<Option<Books>> {
    let Some(room) = find_room(connection, room)? else { return Ok(None) };
    let row: Option<String> = connection
        .prepare_cached("SELECT books FROM books WHERE room = ?1")?
        .query_row([room], |row| row.get(0))
        .optional()?;
    row.map(|row| parse(&row)).transpose()
}

fn parse(row: &str) -> rusqlite::Result<Books> {
    let row: Row = serde_json::from_str(row).map_err(damaged)?;
    let watermark = Cursor::decode(&row.watermark).map_err(damaged)?;
    Ok(Books { epoch: row.epoch, counts: row.counts, watermark })
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}
