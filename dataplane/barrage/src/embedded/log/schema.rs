//! Tables and statements of the embedded log.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use barrage_core::log::OFFSET_LIMIT;

use super::{DeadLetter, LogError, PartitionState};

/// A record's key is `(partition << 40) + offset`, so that one B-tree appends in order within each partition.
const OFFSET_BITS: u32 = OFFSET_LIMIT.ilog2();
/// Records deleted in one transaction: short enough that an append waits a few milliseconds for it at the most.
const TRIM_RECORDS_MAX: usize = 2_000;

/// The write-ahead log is folded into the file once a second beside the writer ([`checkpoint`]); grown to this many
/// pages of 4 KiB all the same, the writer itself folds the rest and begins at its start again: a file that no longer
/// grows is synced without the file system's journal, which other files keep busy.
const WAL_PAGES_MAX: u32 = 16 * 1024 / 4;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS record (key INTEGER PRIMARY KEY, append_ms INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS partition (
        id INTEGER PRIMARY KEY,
        start INTEGER NOT NULL DEFAULT 0,
        next INTEGER NOT NULL DEFAULT 0,
        committed INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS dead (key INTEGER PRIMARY KEY, reason TEXT NOT NULL, payload BLOB NOT NULL);
";

pub(super) fn key(partition: u32, offset: u64) -> i64 {
    ((u64::from(partition) << OFFSET_BITS) + offset).cast_signed()
}

pub(super) fn offset_of(key: i64) -> u64 {
    key.cast_unsigned() % OFFSET_LIMIT
}

/// Opens the file for durable appends: write-ahead log, one `fsync` a commit.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Makes the partitions of a new log, or checks those of an old one.
pub(super) fn prepare(connection: &Connection, partitions: u32) -> Result<(), LogError> {
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).map_err(|e| super::storage("read", &e));
    let made = count("SELECT count(*) FROM partition")?;
    if made == 0 {
        for id in 0..partitions {
            connection
                .execute("INSERT INTO partition (id) VALUES (?1)", [id])
                .map_err(|error| super::storage("made", &error))?;
        }
    } else if made != partitions {
        return Err(LogError::Partitions { made, asked: partitions });
    }
    Ok(())
}

pub(super) fn ends(connection: &Connection) -> rusqlite::Result<Vec<u64>> {
    connection.prepare("SELECT next FROM partition ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn state(connection: &Connection, partition: u32) -> rusqlite::Result<PartitionState> {
    connection.query_row("SELECT start, next, committed FROM partition WHERE id = ?1", [partition], |row| {
        Ok(PartitionState { start: row.get(0)?, end: row.get(1)?, committed: row.get(2)?, released: 0 })
    })
}

/// Lets no partition go on below its floor; returns how many offsets that skips.
pub(super) fn raise_ends(connection: &Connection, floors: &[u64]) -> rusqlite::Result<u64> {
    let mut skipped = 0;
    for (end, (&floor, id)) in ends(connection)?.into_iter().zip(floors.iter().zip(0_u32..)) {
        if end < floor {
            skipped += floor - end;
            connection.execute("UPDATE partition SET next = ?2 WHERE id = ?1", params![id, floor])?;
        }
    }
    Ok(skipped)
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    partition: u32,
    offset: u64,
    append_ms: i64,
    payload: &[u8],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO record (key, append_ms, payload) VALUES (?1, ?2, ?3)")?
        .execute(params![key(partition, offset), append_ms, payload])
        .map(drop)
}

pub(super) fn set_end(transaction: &Transaction<'_>, partition: u32, end: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE partition SET next = ?2 WHERE id = ?1")?
        .execute(params![partition, end])
        .map(drop)
}

/// Append time of the newest record of any partition, so that time never falls across a restart.
pub(super) fn last_append_ms(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(append_ms), 0) FROM record", [], |row| row.get(0))
}

pub(super) fn rewind(connection: &Connection, partition: u32, offset: u64, window_ms: i64) -> rusqlite::Result<u64> {
    let mut query =
        connection.prepare("SELECT key, append_ms FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key DESC")?;
    let mut rows = query.query(params![key(partition, 0), key(partition, offset)])?;
    let mut first = offset;
    let mut newest_ms = None;
    while let Some(row) = rows.next()? {
        let append_ms: i64 = row.get(1)?;
        if append_ms < *newest_ms.get_or_insert(append_ms) - window_ms {
            break;
        }
        first = offset_of(row.get(0)?);
    }
    Ok(first)
}

pub(super) fn commit(transaction: &Transaction<'_>, partition: u32, offset: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE partition SET committed = max(committed, ?2) WHERE id = ?1")?
        .execute(params![partition, offset])
        .map(drop)
}

pub(super) fn set_aside(transaction: &Transaction<'_>, letter: &DeadLetter) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO dead (key, reason, payload) VALUES (?1, ?2, ?3)")?
        .execute(params![key(letter.partition, letter.offset), letter.reason, letter.payload.as_ref()])
        .map(drop)
}

/// Folds what it can of the write-ahead log into the file, without making anybody wait.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

pub(super) fn trim(transaction: &Transaction<'_>, before_ms: i64) -> rusqlite::Result<usize> {
    let partitions: Vec<(u32, u64)> = transaction
        .prepare("SELECT id, committed FROM partition")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut deleted = 0;
    for (partition, committed) in partitions {
        let (first, end) = (key(partition, 0), key(partition, committed));
        let last: Option<i64> = transaction
            .query_row(
                "SELECT max(key) FROM (SELECT key, append_ms FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3)
                 WHERE append_ms < ?4",
                params![first, end, TRIM_RECORDS_MAX, before_ms],
                |row| row.get(0),
            )
            .optional()?
            .flatten();
        let Some(last) = last else { continue };
        deleted += transaction.execute("DELETE FROM record WHERE key >= ?1 AND key <= ?2", params![first, last])?;
        transaction
            .execute("UPDATE partition SET start = ?2 WHERE id = ?1", params![partition, offset_of(last) + 1])?;
    }
    Ok(deleted)
}
