//! Resume cursors, which come from clients: what is read is a function of the slices, and covers itself.

#![no_main]

use barrage_proto::Cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(cursor) = Cursor::decode(bytes) else {
        return;
    };
    let encoded = cursor.encode();
    assert_eq!(Cursor::decode(&encoded).as_ref(), Ok(&cursor));
    assert!(cursor.covers_all(&cursor));
    assert!(cursor.covers_all(&Cursor::default()));
    let mut merged = cursor.clone();
    merged.merge(&cursor);
    assert_eq!(merged, cursor);
});
