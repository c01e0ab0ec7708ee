//! A flush says the same to both versions, and counts what it leaves out.

use barrage_proto::{
    batch::rows,
    v2::{self, Decoder},
};

use super::*;

fn danmaku(partition: u32, offset: u64, text: &str) -> Danmaku {
    Danmaku {
        position: Position { partition, offset, index: 0 },
        user: 7,
        session: 1,
        seq: offset,
        role: pb::Role::Host,
        sent_ms: 1_000,
        received_ms: 1_001,
        content: Bytes::copy_from_slice(text.as_bytes()),
        ..Danmaku::default()
    }
}

/// The payload of a server's message: the header is checked.
fn payload(message: &Bytes) -> &[u8] {
    assert_eq!(message[0], 0x82);
    let header = match message[1] {
        0..126 => 2,
        126 => 4,
        _ => 10,
    };
    &message[header..]
}

fn batches_of(flush: &Flush) -> Vec<pb::Batch> {
    let frames = v2::frames(payload(&flush.v2)).map(Result::unwrap);
    frames.map(|frame| Decoder::new(1 << 20).decode(&frame).unwrap()).collect()
}

fn encode(content: Content) -> Flush {
    content.encode(RoomId::from("demo"), &mut Encoder::new())
}

#[test]
fn both_versions_get_every_danmaku() {
    let shown = vec![danmaku(0, 1, "你好"), danmaku(0, 2, "hello"), danmaku(1, 1, "elsewhere")];
    let flush = encode(Content { danmaku: shown, ..Content::default() });
    let texts: Vec<_> = v1::frames(payload(&flush.v1)).map(|frame| frame.unwrap().content).collect();
    assert_eq!(texts, ["你好", "hello", "elsewhere"]);
    let batches = batches_of(&flush);
    assert_eq!(batches.iter().map(|batch| batch.partition).collect::<Vec<_>>(), [0, 1]);
    let texts: Vec<_> = batches.iter().flat_map(|batch| rows(batch).unwrap().map(|row| row.content)).collect();
    assert_eq!(texts, ["你好", "hello", "elsewhere"]);
}

#[test]
fn what_is_left_out_is_said_even_without_a_danmaku() {
    let left_out = LeftOut { merged: 3, sampled_out: 2, expired: 1, deleted: 0 };
    let merges = vec![(Position { partition: 2, offset: 9, index: 4 }, 1_234)];
    let flush = encode(Content { left_out, merges, ..Content::default() });
    assert!(flush.v1.is_empty());
    let [batch] = &batches_of(&flush)[..] else { panic!("one batch") };
    assert_eq!((batch.merged, batch.sampled_out, batch.expired), (3, 2, 1));
    assert_eq!(batch.merge, [pb::Merge { partition: 2, offset: 9, index: 4, total: 1_234 }]);
}

#[test]
fn a_flush_that_only_moves_the_watermark_is_no_message() {
    let flush = encode(Content::default());
    assert!(flush.v1.is_empty() && flush.v2.is_empty());
}

#[test]
fn lengths_of_every_size_are_said_as_websocket_has_them() {
    for (length, header) in [(1, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        assert_eq!(message(&vec![0; length]).len(), header + length);
    }
}
