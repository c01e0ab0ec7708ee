//! Danmaku of one slice as the history keeps them: a few records, compressed when that gains something.

use std::io;

use barrage_proto::{Position, log::Record};
use prost::Message;

use super::{HistoryItem, SliceRecord};

/// Smaller blocks do not gain enough from zstd to pay for it.
const COMPRESS_BYTES_MIN: usize = 256;
/// Largest block once decompressed; a record is bounded by the gateway's flush.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// First byte of a block: what follows is zstd, or plain.
const ZSTD: u8 = 1;
const PLAIN: u8 = 0;

/// One record as a block.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    let mut plain = vec![PLAIN];
    plain.reserve(record.encoded_len());
    record.encode_raw(&mut plain);
    if plain.len() >= COMPRESS_BYTES_MIN
        && let Ok(compressed) = zstd::bulk::compress(&plain[1..], 1)
        && compressed.len() + 1 < plain.len()
    {
        plain.truncate(0);
        plain.push(ZSTD);
        plain.extend_from_slice(&compressed);
    }
    plain
}

/// The record of a block.
///
/// # Errors
/// The bytes are none that [`encode`] made.
pub fn decode(block: &[u8]) -> Result<Record, io::Error> {
    let record = match block.split_first() {
        Some((&ZSTD, compressed)) => Record::decode(&*zstd::bulk::decompress(compressed, BLOCK_BYTES_MAX)?),
        Some((_, plain)) => Record::decode(plain),
        None => Ok(Record::default()),
    };
    record.map_err(io::Error::other)
}

/// Danmaku of a record that count.
#[must_use]
pub fn rows(record: &Record) -> u64 {
    record.entries.iter().filter(|entry| entry.user != 0).count() as u64
}

/// The danmaku of a slice's record that count, as items of the history.
pub fn items(
    SliceRecord { offset, record }: SliceRecord,
    shard: u32,
    partition: u32,
) -> impl Iterator<Item = HistoryItem> {
    let Record { moved, received_ms, entries, .. } = record;
    (0..).zip(entries).filter(|(_, entry)| entry.user != 0).map(move |(index, entry)| HistoryItem {
        shard,
        position: Position { moved, partition, offset, index },
        received_ms: received_ms + i64::from(entry.received_delta_ms),
        entry,
    })
}
