//! Reading a record of the log.

use bytes::{Buf, Bytes};
use prost::{DecodeError, Message};

use crate::log::Record;

/// What an entry takes on the wire, roughly: ten fields of a few bytes, and a text of twenty.
const ENTRY_BYTES: usize = 48;

impl Record {
    /// Decodes a record; texts are parts of `payload`, not copies.
    ///
    /// Unlike [`Message::decode`] it makes room for all entries at first: they are moved once or not at all, where growing
    /// step by step would move each of them twice. What long texts leave of that room is given back.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn read(payload: Bytes) -> Result<Self, DecodeError> {
        let entries = Vec::with_capacity(payload.remaining() / ENTRY_BYTES + 1);
        let mut record = Self { entries, ..Self::default() };
        record.merge(payload)?;
        if record.entries.capacity() / 2 > record.entries.len() {
            record.entries.shrink_to_fit();
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use crate::log::Entry;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_is_decoded() {
        let entry = |seq| Entry { user: 7, seq, content: Bytes::from_static(b"x"), ..Entry::default() };
        for entries in [0, 1, 1_000] {
            let entries = (0..entries).map(entry).collect();
            let record = Record { room: "demo".into(), received_ms: 5, entries, ..Record::default() };
            assert_eq!(Record::read(record.encode_to_vec().into()).unwrap(), record);
        }
        assert!(Record::read(Bytes::from_static(&[0xff; 9])).is_err());
    }

    #[test]
    fn long_texts_do_not_hold_room_for_many() {
        let content = Bytes::from(vec![b'x'; 1_000]);
        let entry = |seq| Entry { user: 7, seq, content: content.clone(), ..Entry::default() };
        let record = Record { entries: (0..100).map(entry).collect(), ..Record::default() };
        let read = Record::read(record.encode_to_vec().into()).unwrap();
        assert!(read.entries.capacity() <= 2 * read.entries.len() + 1, "{}", read.entries.capacity());
    }
}
