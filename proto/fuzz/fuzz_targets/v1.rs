//! Version 1: any bytes are passed over exactly once, and what decodes encodes to the bytes it took.

#![no_main]

use barrage_proto::v1;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let mut at = 0;
    for item in v1::frames(message) {
        at += match item {
            Ok(frame) => {
                let mut again = Vec::new();
                frame.encode(&mut again).expect("what was decoded fits its length field");
                let used = &message[at..at + frame.wire_bytes()];
                assert_eq!(again, used);
                assert_eq!(v1::decode_exact(used), Ok(frame));
                used.len()
            }
            Err(error) => error.skip_bytes().unwrap_or(message.len() - at),
        };
    }
    assert_eq!(at, message.len());
});
