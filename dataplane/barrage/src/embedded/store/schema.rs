//! Tables of the embedded store, and how numbers and rooms stand in them.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use barrage_core::room::RoomId;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS room (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS slice (
        room INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        partition INTEGER NOT NULL,
        applied INTEGER NOT NULL,
        logged INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        PRIMARY KEY (room, shard)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS score (
        room INTEGER NOT NULL,
        user INTEGER NOT NULL,
        score INTEGER NOT NULL,
        PRIMARY KEY (room, user)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS score_best ON score (room, score DESC, user);
    CREATE TABLE IF NOT EXISTS history (
        room INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        block BLOB NOT NULL,
        PRIMARY KEY (room, shard, offset)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS heat (
        room INTEGER NOT NULL,
        step INTEGER NOT NULL,
        danmaku INTEGER NOT NULL,
        PRIMARY KEY (room, step)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS rules (
        room INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        rules BLOB NOT NULL,
        PRIMARY KEY (room, shard)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS books (room INTEGER PRIMARY KEY, books TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS confirmation (id INTEGER PRIMARY KEY, count INTEGER NOT NULL);
";

/// Opens the file; a commit is not durable by itself, see [`confirm`].
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// One commit with an `fsync` of the write-ahead log: it makes all commits before it durable, too.
pub(super) fn confirm(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let done = connection.execute(
        "INSERT INTO confirmation (id, count) VALUES (0, 1) ON CONFLICT (id) DO UPDATE SET count = count + 1",
        [],
    );
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    done.map(drop)
}

/// The row of a room, if anything is stored of it.
pub(super) fn find_room(connection: &Connection, room: &RoomId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM room WHERE name = ?1")?
        .query_row([room.as_str()], |row| row.get(0))
        .optional()
}

/// The row of a room, made if there is none.
pub(super) fn room_row(connection: &Connection, room: &RoomId) -> rusqlite::Result<i64> {
    if let Some(id) = find_room(connection, room)? {
        return Ok(id);
    }
    connection.execute("INSERT INTO room (name) VALUES (?1)", [room.as_str()])?;
    Ok(connection.last_insert_rowid())
}

/// SQLite's integers are signed; this keeps the order of user IDs.
pub(super) fn user_key(user: u64) -> i64 {
    (user ^ 1 << 63).cast_signed()
}

pub(super) fn user_of(key: i64) -> u64 {
    key.cast_unsigned() ^ 1 << 63
}
