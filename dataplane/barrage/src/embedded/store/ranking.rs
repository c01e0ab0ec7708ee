//! Rankings in the embedded store.

use barrage_proto::{Cursor, Position};
use rusqlite::{Connection, params};

use super::schema::{find_room, user_of};
use barrage_core::room::RoomId;
use barrage_core::store::ranking::{Ranking, Scored};

pub(super) fn best(connection: &Connection, room: &RoomId, limit: u32) -> rusqlite::Result<Ranking> {
    // One read transaction: the scores and the offsets are of the same moment.
    let snapshot = connection.unchecked_transaction()?;
    let Some(room) = find_room(&snapshot, room)? else { return Ok(Ranking::default()) };
    let scores = snapshot
        .prepare_cached("SELECT user, score FROM score WHERE room = ?1 ORDER BY score DESC, user LIMIT ?2")?
        .query_map(params![room, limit], |row| Ok(Scored { user: user_of(row.get(0)?), score: row.get(1)? }))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Ranking { scores, applied: applied(&snapshot, room)? })
}

/// The last record of each slice that took effect.
pub(super) fn applied(connection: &Connection, room: i64) -> rusqlite::Result<Cursor> {
    connection
        .prepare_cached("SELECT shard, partition, applied FROM slice WHERE room = ?1")?
        .query_map([room], |row| {
            Ok((row.get(0)?, Position { partition: row.get(1)?, offset: row.get(2)?, index: u32::MAX }))
        })?
        .collect()
}
