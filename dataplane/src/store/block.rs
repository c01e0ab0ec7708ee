//! Danmaku of one slice as the history keeps them: a few records, compressed when that gains something.

use std::{cell::RefCell, io, sync::Arc};

use barrage_proto::{
    Position,
    log::{Entry, Record},
};
use prost::{
    Message,
    encoding::{decode_varint, encode_varint},
};
use zstd::bulk::Compressor;

use super::{HistoryItem, SliceRecord};

/// Smaller blocks do not gain enough from zstd to pay for it.
const COMPRESS_BYTES_MIN: usize = 256;
/// Largest block once decompressed; a record is bounded by the gateway's flush.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// First byte of a block: what follows is zstd, or plain.
const ZSTD: u8 = 1;
const PLAIN: u8 = 0;

thread_local! {
    /// Making one clears more memory than most blocks have bytes.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(1).ok());
}

/// One record as a block.
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    let mut plain = vec![PLAIN];
    plain.reserve(record.encoded_len());
    record.encode_raw(&mut plain);
    pack(plain)
}

/// The record of a block.
///
/// # Errors
/// The bytes are none that [`encode`] made.
pub fn decode(block: &[u8]) -> Result<Record, io::Error> {
    Record::decode(&*unpack(block)?).map_err(io::Error::other)
}

/// Several records as one block, each after its offset: two varints and a message.
#[must_use]
pub fn encode_all(records: &[SliceRecord]) -> Vec<u8> {
    let mut plain = vec![PLAIN];
    for SliceRecord { offset, record } in records.iter().filter(|one| rows(&one.record) > 0) {
        encode_varint(*offset, &mut plain);
        encode_varint(record.encoded_len() as u64, &mut plain);
        plain.reserve(record.encoded_len());
        record.encode_raw(&mut plain);
    }
    pack(plain)
}

/// The records of a block of several.
///
/// # Errors
/// The bytes are none that [`encode_all`] made.
pub fn decode_all(block: &[u8]) -> Result<Vec<SliceRecord>, io::Error> {
    let plain = unpack(block)?;
    let mut rest = &plain[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        let offset = decode_varint(&mut rest).map_err(io::Error::other)?;
        let record = Record::decode_length_delimited(&mut rest).map_err(io::Error::other)?;
        records.push(SliceRecord { offset, record: record.into() });
    }
    Ok(records)
}

/// Danmaku of a record that count.
#[must_use]
pub fn rows(record: &Record) -> u64 {
    record.entries.iter().filter(|entry| entry.user != 0).count() as u64
}

/// What a danmaku counts in the ranking: one, and what is given with it.
#[must_use]
pub fn points(entry: &Entry) -> u64 {
    entry.gift.as_ref().map_or(1, |gift| gift.value.saturating_add(1))
}

/// The danmaku of a slice's record that count, as items of the history.
pub fn items(
    SliceRecord { offset, record }: SliceRecord,
    shard: u32,
    partition: u32,
) -> impl Iterator<Item = HistoryItem> {
    let Record { received_ms, entries, .. } = Arc::unwrap_or_clone(record);
    (0..).zip(entries).filter(|(_, entry)| entry.user != 0).map(move |(index, entry)| HistoryItem {
        shard,
        position: Position { partition, offset, index },
        received_ms: received_ms + i64::from(entry.received_delta_ms),
        entry,
    })
}

/// Compresses what follows the first byte, where that gains something.
fn pack(mut plain: Vec<u8>) -> Vec<u8> {
    if plain.len() >= COMPRESS_BYTES_MIN
        && let Some(compressed) = COMPRESSOR.with_borrow_mut(|one| one.as_mut()?.compress(&plain[1..]).ok())
        && compressed.len() + 1 < plain.len()
    {
        plain.truncate(0);
        plain.push(ZSTD);
        plain.extend_from_slice(&compressed);
    }
    plain
}

fn unpack(block: &[u8]) -> Result<Vec<u8>, io::Error> {
    match block.split_first() {
        Some((&ZSTD, compressed)) => zstd::bulk::decompress(compressed, BLOCK_BYTES_MAX),
        Some((_, plain)) => Ok(plain.to_vec()),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_block_keep_their_offsets_and_those_that_count_for_nothing_are_left_out() {
        for text in ["x", &"哈哈".repeat(500)] {
            let entry = |user| Entry { user, content: text.as_bytes().to_vec().into(), ..Entry::default() };
            let record = |offset, user| SliceRecord {
                offset,
                record: Record { entries: vec![entry(user)], ..Record::default() }.into(),
            };
            let block = encode_all(&[record(3, 7), record(4, 0), record(u64::MAX, 9)]);
            let read = decode_all(&block).unwrap();
            let users: Vec<_> = read.iter().map(|one| (one.offset, one.record.entries[0].user)).collect();
            assert_eq!(users, [(3, 7), (u64::MAX, 9)]);
        }
        assert!(decode_all(&[PLAIN, 1, 200]).is_err(), "truncated");
    }
}
