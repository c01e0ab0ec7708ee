//! Records of the log: what decodes encodes to what decodes the same, and no entry is longer than its record.

#![no_main]

use barrage_proto::log::Record;
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::decode(bytes) else {
        return;
    };
    let held: usize = record.entries.iter().map(|entry| entry.content.len()).sum();
    assert!(held + record.room.len() <= bytes.len());
    let encoded = record.encode_to_vec();
    assert_eq!(encoded.len(), record.encoded_len());
    assert_eq!(Record::decode(&*encoded), Ok(record));
});
