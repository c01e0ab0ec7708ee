//! Version 2: framing and every payload. What decodes encodes, plain and compressed, to what decodes the same.

#![no_main]

use barrage_proto::v2::{self, Decoder, Encoder, FrameType, HEADER_BYTES, Payload, RawFrame, pb};
use libfuzzer_sys::fuzz_target;

/// Small enough that the fuzzer, whose inputs have 4 KiB at most, gets over it.
const LIMIT: usize = 1024;

fuzz_target!(|message: &[u8]| {
    let mut at = 0;
    let mut decoder = Decoder::new(LIMIT);
    for frame in v2::frames(message).flatten() {
        let end = at + HEADER_BYTES + frame.payload.len();
        assert_eq!(v2::decode(&message[at..end]), Ok((frame, end - at)));
        at = end;
        if let Some(frame_type) = FrameType::from_code(frame.header.code) {
            read(frame_type, &frame, &mut decoder);
        }
    }
});

fn read(frame_type: FrameType, frame: &RawFrame<'_>, decoder: &mut Decoder) {
    match frame_type {
        FrameType::Heartbeat => check::<pb::Heartbeat>(frame, decoder),
        FrameType::Send => {
            check::<pb::Send>(frame, decoder);
            check::<v2::UncheckedSend>(frame, decoder);
        }
        FrameType::Like => check::<pb::Like>(frame, decoder),
        FrameType::Batch => check::<pb::Batch>(frame, decoder),
        FrameType::History => check::<pb::History>(frame, decoder),
        FrameType::RankingSnapshot => check::<pb::RankingSnapshot>(frame, decoder),
        FrameType::RankingDelta => check::<pb::RankingDelta>(frame, decoder),
        FrameType::RoomState => check::<pb::RoomState>(frame, decoder),
        FrameType::Ack => check::<pb::Ack>(frame, decoder),
        FrameType::Error => check::<pb::Error>(frame, decoder),
        FrameType::GoAway => check::<pb::GoAway>(frame, decoder),
        FrameType::Removal => check::<pb::Removal>(frame, decoder),
        FrameType::RoomSettings => check::<pb::RoomSettings>(frame, decoder),
        FrameType::Highlights => check::<pb::Highlights>(frame, decoder),
        FrameType::Notice => check::<pb::Notice>(frame, decoder),
    }
}

fn check<P: Payload + PartialEq + std::fmt::Debug>(frame: &RawFrame<'_>, decoder: &mut Decoder) {
    let Ok(message) = decoder.decode::<P>(frame) else {
        return;
    };
    assert!(frame.payload.len() <= LIMIT);
    for mut encoder in [Encoder::plain(), Encoder::new()] {
        let mut bytes = Vec::new();
        encoder.encode(&message, &mut bytes);
        let (again, used) = v2::decode(&bytes).expect("an encoder makes frames");
        assert_eq!(used, bytes.len());
        assert_eq!(again.header.code, P::FRAME_TYPE.code());
        assert!(again.payload.len() <= message.encoded_len());
        // One value packed is longer than unpacked, and a negative enum value is written in ten bytes, read from five.
        let decoded = Decoder::new(4 * LIMIT).decode::<P>(&again);
        assert_eq!(decoded.as_ref(), Ok(&message));
    }
}
