//! How much was said when: a row a room and step.

use rusqlite::{Connection, params};

use super::schema::find_room;
use barrage_core::room::RoomId;
use barrage_core::store::{
    SliceRecord,
    heat::{self, STEPS_KEPT, Steps},
};

/// Counts what records bring, and lets go of what is too old.
pub(super) fn add(connection: &Connection, room: i64, records: &[SliceRecord]) -> rusqlite::Result<()> {
    let steps = heat::steps(records);
    let Some((newest, _)) = steps.last_key_value() else { return Ok(()) };
    let mut add = connection.prepare_cached(
        "INSERT INTO heat (room, step, danmaku) VALUES (?1, ?2, ?3)
         ON CONFLICT (room, step) DO UPDATE SET danmaku = danmaku + excluded.danmaku",
    )?;
    for (step, danmaku) in &steps {
        add.execute(params![room, step, danmaku])?;
    }
    connection
        .prepare_cached("DELETE FROM heat WHERE room = ?1 AND step <= ?2")?
        .execute(params![room, newest - STEPS_KEPT])
        .map(drop)
}

/// A room's steps.
pub(super) fn of_room(connection: &Connection, room: &RoomId) -> rusqlite::Result<Steps> {
    let Some(room) = find_room(connection, room)? else { return Ok(Steps::new()) };
    let mut query = connection.prepare_cached("SELECT step, danmaku FROM heat WHERE room = ?1")?;
    let rows = query.query_map([room], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
