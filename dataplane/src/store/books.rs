//! A room's books: what became of every danmaku that was logged, up to a watermark.

use barrage_proto::{Cursor, Position};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::schema::{find_room, room_row};
use crate::room::RoomId;

/// What a room's ranker must find again after a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Epoch of the ranker that saved these.
    pub epoch: u64,
    /// What became of the danmaku up to the watermark.
    pub counts: Counts,
    /// The last record of each slice that is counted.
    pub watermark: Cursor,
}

/// Cumulative counts; at a watermark their sum is what was logged up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Sent to viewers.
    pub shown: u64,
    /// Repeats that another danmaku stands for.
    pub merged: u64,
    /// Left out by the room's budget.
    pub sampled_out: u64,
    /// Kept, but withdrawn by moderation.
    pub deleted: u64,
    /// Reached the ranker more than 5 s late.
    pub expired: u64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    epoch: u64,
    counts: Counts,
    watermark: Vec<u8>,
}

pub(super) fn load(connection: &Connection, room: &RoomId) -> rusqlite::Result<(Books, u64)> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(room) = find_room(&snapshot, room)? else { return Ok(<_>::default()) };
    let row: Option<String> = snapshot
        .prepare_cached("SELECT books FROM books WHERE room = ?1")?
        .query_row([room], |row| row.get(0))
        .optional()?;
    let logged = snapshot
        .prepare_cached("SELECT coalesce(sum(logged), 0) FROM slice WHERE room = ?1")?
        .query_row([room], |row| row.get(0))?;
    let books = row.map(|row| parse(&row)).transpose()?.unwrap_or_default();
    Ok((books, logged))
}

/// The last record of each slice of any room that its books count, by shard.
pub(super) fn watermarks(connection: &Connection) -> rusqlite::Result<Vec<(u32, Position)>> {
    let mut query = connection.prepare("SELECT books FROM books")?;
    let rows: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let books = rows.iter().map(|row| parse(row)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(books.iter().flat_map(|books| books.watermark.iter().collect::<Vec<_>>()).collect())
}

pub(super) fn save(connection: &mut Connection, books: &[(RoomId, Books)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (room, books) in books {
        let row = Row { epoch: books.epoch, counts: books.counts, watermark: books.watermark.encode() };
        let row = serde_json::to_string(&row).map_err(damaged)?;
        transaction
            .prepare_cached("INSERT OR REPLACE INTO books (room, books) VALUES (?1, ?2)")?
            .execute(params![room_row(&transaction, room)?, row])?;
    }
    transaction.commit()
}

fn parse(row: &str) -> rusqlite::Result<Books> {
    let row: Row = serde_json::from_str(row).map_err(damaged)?;
    let watermark = Cursor::decode(&row.watermark).map_err(damaged)?;
    Ok(Books { epoch: row.epoch, counts: row.counts, watermark })
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}
