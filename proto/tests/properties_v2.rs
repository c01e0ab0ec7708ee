//! What holds of version 2's frames, payloads and cursors for any message and for any bytes.

use barrage_proto::{
    Cursor, Position, batch,
    v2::{self, Decoder, Encoder, FLAG_ZSTD, FrameError, HEADER_BYTES, Header, PayloadError, RawFrame, pb},
};
use proptest::prelude::*;
use prost::Message;

const LIMIT: usize = v2::SERVER_PAYLOAD_BYTES_MAX;

fn header(payload_bytes: usize) -> impl Strategy<Value = Header> {
    let payload_bytes = u32::try_from(payload_bytes).unwrap();
    any::<(u8, u8, u16)>().prop_map(move |(code, flags, room)| Header { code, flags, room, payload_bytes })
}

/// Any header and as many bytes as it says.
fn raw_frame() -> impl Strategy<Value = (Header, Vec<u8>)> {
    let payload = prop::collection::vec(any::<u8>(), 0..200);
    payload.prop_flat_map(|payload| (header(payload.len()), Just(payload)))
}

fn bytes_of((header, payload): &(Header, Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    header.encode(&mut out);
    out.extend(payload);
    out
}

fn send() -> impl Strategy<Value = pb::Send> {
    any::<(u64, u64, i64, u32, String)>().prop_map(|(seq, oldest_pending, sent_ms, retry_age_ms, content)| pb::Send {
        seq,
        oldest_pending,
        sent_ms,
        content,
        retry_age_ms,
        ..pb::Send::default()
    })
}

/// Columns of any lengths, as a peer could send them.
fn batch() -> impl Strategy<Value = pb::Batch> {
    let columns = (
        prop::collection::vec(any::<i64>(), 0..6),
        prop::collection::vec(any::<u64>(), 0..6),
        prop::collection::vec("\\PC{0,200}", 0..6),
        prop::collection::vec(any::<i64>(), 0..6),
        prop::collection::vec(any::<u32>(), 0..6),
        prop::collection::vec(any::<i32>(), 0..6),
    );
    (columns, any::<(u32, u32, bool)>()).prop_map(
        |((sent_delta_ms, user, content, offset_delta, index, role), rest)| {
            let (partition, merged, echo) = rest;
            pb::Batch {
                sent_delta_ms,
                user,
                content,
                offset_delta,
                index,
                role,
                partition,
                merged,
                echo,
                ..pb::Batch::default()
            }
        },
    )
}

fn round_trip<P: v2::Payload>(message: &P, encoder: &mut Encoder) -> Result<P, PayloadError> {
    let mut bytes = Vec::new();
    encoder.encode(message, &mut bytes);
    let (frame, used) = v2::decode(&bytes).unwrap();
    assert_eq!((frame.header.code, used), (P::FRAME_TYPE.code(), bytes.len()));
    Decoder::new(LIMIT).decode(&frame)
}

/// A frame whose payload is the zstd frame of `message`, also where that is larger.
fn compressed(message: &impl Message) -> Vec<u8> {
    let payload = zstd::bulk::compress(&message.encode_to_vec(), 3).unwrap();
    let payload_bytes = u32::try_from(payload.len()).unwrap();
    bytes_of(&(Header { code: 0x20, flags: FLAG_ZSTD, room: 0, payload_bytes }, payload))
}

proptest! {
    #[test]
    fn frames_round_trip(frames in prop::collection::vec(raw_frame(), 0..5)) {
        let message: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let expected: Vec<_> = frames.iter().map(|(header, payload)| Ok(RawFrame { header: *header, payload })).collect();
        prop_assert_eq!(v2::frames(&message).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_prefix_of_a_frame_is_short(frame in raw_frame(), cut in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&frame);
        let have = cut.index(bytes.len());
        let expected = if have < HEADER_BYTES {
            FrameError::ShortHeader { have }
        } else {
            FrameError::ShortPayload { want: frame.0.payload_bytes, have: have - HEADER_BYTES }
        };
        prop_assert_eq!(v2::decode(&bytes[..have]), Err(expected));
    }

    #[test]
    fn bytes_behind_a_frame_change_nothing(frame in raw_frame(), behind in prop::collection::vec(any::<u8>(), 0..60)) {
        let alone = bytes_of(&frame);
        let followed = [&alone[..], &behind].concat();
        prop_assert_eq!(v2::decode(&followed), v2::decode(&alone));
    }

    #[test]
    fn any_bytes_are_passed_over_once(mut bytes in prop::collection::vec(any::<u8>(), 0..200), start in any::<bool>()) {
        if start && bytes.len() > HEADER_BYTES {
            bytes[..3].copy_from_slice(&[0xab, 0xcd, 2]);
            bytes[8..11].fill(0);
        }
        let used: usize = v2::frames(&bytes).flatten().map(|frame| HEADER_BYTES + frame.payload.len()).sum();
        prop_assert!(used <= bytes.len());
    }

    #[test]
    fn payloads_round_trip_plain_and_compressed(send in send(), batch in batch()) {
        for mut encoder in [Encoder::plain(), Encoder::new()] {
            prop_assert_eq!(round_trip(&send, &mut encoder), Ok(send.clone()));
            prop_assert_eq!(round_trip(&batch, &mut encoder), Ok(batch.clone()));
        }
    }

    #[test]
    fn compression_never_makes_a_frame_larger(batch in batch()) {
        let (mut plain, mut smallest) = (Vec::new(), Vec::new());
        Encoder::plain().encode(&batch, &mut plain);
        Encoder::new().encode(&batch, &mut smallest);
        prop_assert!(smallest.len() <= plain.len());
    }

    #[test]
    fn unknown_fields_are_skipped(send in send(), behind in any::<bool>(), number in 100..1000_u32, value in any::<u64>()) {
        let mut unknown = Vec::new();
        prost::encoding::uint64::encode(number, &value, &mut unknown);
        prost::encoding::string::encode(number + 1, &value.to_string(), &mut unknown);
        prost::encoding::fixed32::encode(number + 2, &7, &mut unknown);
        prost::encoding::fixed64::encode(number + 3, &value, &mut unknown);
        let known = send.encode_to_vec();
        let payload = if behind { [known, unknown].concat() } else { [unknown, known].concat() };
        let header = Header { code: 0x10, flags: 0, room: 0, payload_bytes: u32::try_from(payload.len()).unwrap() };
        prop_assert_eq!(Decoder::new(LIMIT).decode(&RawFrame { header, payload: &payload }), Ok(send));
    }

    #[test]
    fn any_payload_is_a_message_or_an_error(frame in raw_frame(), flags in 0..=1_u8) {
        let (header, payload) = &frame;
        let frame = RawFrame { header: Header { flags, ..*header }, payload };
        let mut decoder = Decoder::new(LIMIT);
        if let Ok(message) = decoder.decode::<pb::Batch>(&frame) {
            prop_assert_eq!(round_trip(&message, &mut Encoder::new()), Ok(message.clone()));
            let _ = batch::rows(&message).map(Iterator::count);
        }
        let _ = decoder.decode::<pb::Send>(&frame);
        let _ = decoder.decode::<pb::Error>(&frame);
    }

    #[test]
    fn limits_hold(batch in batch(), limit in 0..2000_usize) {
        let plain_bytes = batch.encoded_len();
        let mut plain = Vec::new();
        Encoder::plain().encode(&batch, &mut plain);
        let (frame, _) = v2::decode(&plain).unwrap();
        let found = Decoder::new(limit).decode::<pb::Batch>(&frame);
        let refused = PayloadError::TooLarge { bytes: plain_bytes, limit };
        prop_assert_eq!(found, if plain_bytes > limit { Err(refused) } else { Ok(batch.clone()) });

        let smaller = compressed(&batch);
        let (frame, _) = v2::decode(&smaller).unwrap();
        let found = Decoder::new(limit).decode::<pb::Batch>(&frame);
        prop_assert_eq!(found.is_ok(), plain_bytes.max(frame.payload.len()) <= limit);
    }

    #[test]
    fn one_decoder_reads_good_frames_after_bad_ones(batch in batch(), bad in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut decoder = Decoder::new(LIMIT);
        let header = Header { code: 0x20, flags: FLAG_ZSTD, room: 0, payload_bytes: u32::try_from(bad.len()).unwrap() };
        let refused = decoder.decode::<pb::Batch>(&RawFrame { header, payload: &bad });
        prop_assert!(refused.is_err());
        let mut cut = compressed(&batch);
        let (frame, _) = v2::decode(&cut).unwrap();
        let stump = RawFrame { payload: &frame.payload[..frame.payload.len() - 1], ..frame };
        prop_assert!(decoder.decode::<pb::Batch>(&stump).is_err());
        prop_assert_eq!(decoder.decode(&frame), Ok(batch.clone()));
        // A frame that is read leaves nothing behind for the next one.
        cut.clear();
        Encoder::plain().encode(&pb::RoomState::default(), &mut cut);
        let (frame, _) = v2::decode(&cut).unwrap();
        prop_assert_eq!(decoder.decode(&frame), Ok(pb::RoomState::default()));
    }

    #[test]
    fn cursors_round_trip(slices in prop::collection::btree_map(any::<u32>(), any::<(u32, u64, u32)>(), 0..20)) {
        let positions = slices.into_iter().map(|(shard, (partition, offset, index))| (shard, Position { partition, offset, index }));
        let cursor: Cursor = positions.collect();
        prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn any_bytes_are_a_cursor_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(cursor) = Cursor::decode(&bytes) {
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        }
    }

    #[test]
    fn ids_round_trip_and_have_one_text(partition in any::<u32>(), offset in any::<u64>(), index in any::<u32>(), text in "[0-9+ -]{0,12}") {
        let id = Position { partition, offset, index };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        if let Ok(other) = text.parse::<Position>() {
            prop_assert_eq!(other.to_string(), text);
        }
    }
}
