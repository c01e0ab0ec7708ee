//! What holds of version 1 for any frame and for any bytes.

use barrage_proto::v1::{self, CONTENT_BYTES_MAX, DecodeError, Frame, FrameType, HEADER_BYTES};
use proptest::prelude::*;

/// A frame that owns its content.
#[derive(Debug, Clone)]
struct Owned {
    frame_type: FrameType,
    timestamp_ms: i64,
    user_id: u64,
    content: String,
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        let Self { frame_type, timestamp_ms, user_id, ref content } = *self;
        Frame { frame_type, timestamp_ms, user_id, content }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.frame().encode(&mut out).unwrap();
        out
    }
}

fn frame() -> impl Strategy<Value = Owned> {
    let frame_type = prop_oneof![Just(FrameType::Danmaku), Just(FrameType::Heartbeat)];
    let content =
        prop_oneof![8 => "\\PC{0,40}", 1 => any::<String>(), 1 => (0..=CONTENT_BYTES_MAX).prop_map(|n| "x".repeat(n))];
    (frame_type, any::<i64>(), any::<u64>(), content).prop_map(|(frame_type, timestamp_ms, user_id, content)| Owned {
        frame_type,
        timestamp_ms,
        user_id,
        content,
    })
}

/// Bytes that are nothing, and frames with a few bytes changed: those get past the first checks.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let nearly = (prop::collection::vec(frame(), 1..4), changes).prop_map(|(frames, changes)| {
        let mut bytes: Vec<u8> = frames.iter().flat_map(Owned::bytes).collect();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 3 => nearly]
}

proptest! {
    #[test]
    fn a_frame_round_trips(frame in frame()) {
        let bytes = frame.bytes();
        prop_assert_eq!(bytes.len(), frame.frame().wire_bytes());
        prop_assert_eq!(v1::decode_exact(&bytes), Ok(frame.frame()));
    }

    #[test]
    fn concatenated_frames_round_trip(frames in prop::collection::vec(frame(), 0..6)) {
        let message: Vec<u8> = frames.iter().flat_map(Owned::bytes).collect();
        let expected: Vec<_> = frames.iter().map(|frame| Ok(frame.frame())).collect();
        prop_assert_eq!(v1::frames(&message).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_prefix_of_a_frame_is_short(frame in frame(), cut in any::<prop::sample::Index>()) {
        let bytes = frame.bytes();
        let have = cut.index(bytes.len());
        let expected = if have < HEADER_BYTES {
            DecodeError::ShortHeader { have }
        } else {
            DecodeError::ShortContent { want: frame.content.len(), have: have - HEADER_BYTES }
        };
        prop_assert_eq!(v1::decode(&bytes[..have]), Err(expected));
    }

    #[test]
    fn bytes_behind_a_frame_change_nothing(bytes in hostile(), behind in prop::collection::vec(any::<u8>(), 0..60)) {
        let alone = v1::decode(&bytes);
        let followed = [&bytes[..], &behind].concat();
        match alone {
            Err(DecodeError::ShortHeader { .. } | DecodeError::ShortContent { .. }) => {}
            settled => prop_assert_eq!(v1::decode(&followed), settled),
        }
    }

    #[test]
    fn what_decodes_encodes_to_the_bytes_it_took(bytes in hostile()) {
        if let Ok((frame, used)) = v1::decode(&bytes) {
            let mut again = Vec::new();
            frame.encode(&mut again).unwrap();
            prop_assert_eq!(&again, &bytes[..used]);
            prop_assert_eq!(v1::decode(&bytes[..used]), Ok((frame, used)));
        }
    }

    #[test]
    fn a_message_is_passed_over_exactly_once(bytes in hostile()) {
        let mut at = 0;
        for item in v1::frames(&bytes) {
            prop_assert!(at < bytes.len());
            at += match item {
                Ok(frame) => frame.wire_bytes(),
                Err(error) => error.skip_bytes().unwrap_or(bytes.len() - at),
            };
        }
        prop_assert_eq!(at, bytes.len());
    }
}
