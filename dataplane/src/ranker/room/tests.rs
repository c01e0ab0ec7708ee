//! A room at its ranker: books balance, nothing is counted twice, late ones expire.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_000_000;

fn candidates(shard: u32, offset: u64, received_ms: i64, texts: &[&str]) -> Candidates {
    let record = Position { partition: 1, offset, index: 0 };
    let danmaku = (0..).zip(texts).map(|(index, text)| Danmaku {
        position: Position { index, ..record },
        user: u64::from(shard) + 1,
        session: 5,
        seq: offset * 100 + u64::from(index),
        role: barrage_proto::v2::pb::Role::Viewer,
        sent_ms: 0,
        received_ms,
        content: Bytes::copy_from_slice(text.as_bytes()),
    });
    Candidates { room: RoomId::from("demo"), shard, record, danmaku: danmaku.collect() }
}

fn texts(frame: &RoomFrame) -> Vec<&str> {
    frame.danmaku.iter().map(|danmaku| std::str::from_utf8(&danmaku.content).unwrap()).collect()
}

#[test]
fn a_silent_room_has_nothing_to_say() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    assert!(room.tick(NOW_MS).is_none());
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.tick(NOW_MS).is_some());
    assert!(room.tick(NOW_MS + 10).is_none());
}

#[test]
fn slices_are_interleaved_by_receipt_and_keep_their_own_order() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS + 5, &["a1"]), NOW_MS);
    // A gateway's clock is behind: log order wins within the slice.
    room.offer(candidates(0, 1, NOW_MS + 1, &["a2"]), NOW_MS);
    room.offer(candidates(1, 0, NOW_MS + 2, &["b1"]), NOW_MS);
    room.offer(candidates(1, 1, NOW_MS + 9, &["b2"]), NOW_MS);
    let frame = room.tick(NOW_MS + 10).unwrap();
    assert_eq!(texts(&frame), ["b1", "a1", "a2", "b2"]);
    assert_eq!((frame.epoch, frame.number), (1, 1));
    assert!(frame.watermark.covers(1, Position { partition: 1, offset: 1, index: 0 }));
}

#[test]
fn what_was_seen_is_not_shown_again_but_accounted_for_again() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    let (books, accounted) = room.books(&RoomId::from("demo")).unwrap();
    assert_eq!((books.counts.shown, accounted.len()), (1, 1));
    let mut taken_over = RankedRoom::new(books, 200, NOW_MS);
    assert_eq!(taken_over.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS).seen, 1);
    assert!(taken_over.tick(NOW_MS).is_none());
    let (books, accounted) = taken_over.books(&RoomId::from("demo")).unwrap();
    assert_eq!((books.epoch, books.counts.shown, accounted.len()), (2, 1, 1));
}

#[test]
fn danmaku_over_5_s_late_expire() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS - EXPIRED_MS - 1, &["late"]), NOW_MS);
    room.offer(candidates(0, 1, NOW_MS - EXPIRED_MS, &["in time"]), NOW_MS);
    let frame = room.tick(NOW_MS).unwrap();
    assert_eq!(texts(&frame), ["in time"]);
    assert_eq!(frame.left_out.expired, 1);
}

#[test]
fn candidates_that_wait_for_a_tick_are_not_in_the_books() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.books(&RoomId::from("demo")).is_none());
    room.tick(NOW_MS);
    assert!(room.books(&RoomId::from("demo")).is_some());
    assert!(room.books(&RoomId::from("demo")).is_none());
}

#[test]
fn a_room_sleeps_once_everything_is_said_and_saved() {
    let mut room = RankedRoom::new(Books::default(), 200, NOW_MS);
    room.awake = true;
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
    let (_, accounted) = room.books(&RoomId::from("demo")).unwrap();
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save is under way");
    room.saved(&accounted[0], false);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save failed");
    let (_, accounted) = room.books(&RoomId::from("demo")).unwrap();
    room.saved(&accounted[0], true);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS - 1));
    assert!(room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
}

proptest! {
    /// logged = shown + merged + sampled out + expired, whatever comes and however small the budget; and what frames
    /// say adds up to what the books say.
    #[test]
    fn books_balance(
        records in prop::collection::vec((0..3_u32, 0..20_usize, 0..8_000_i64, 0..30_i64), 1..60),
        budget in 1..300_u32,
        words in prop::collection::vec("[a-c]", 20),
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut room = RankedRoom::new(Books::default(), budget, NOW_MS);
        let (mut now_ms, mut logged, mut said) = (NOW_MS, 0, 0);
        for (offset, (shard, count, age_ms, pause_ms)) in (0_u64..).zip(records) {
            now_ms += pause_ms;
            room.offer(candidates(shard, offset, now_ms - age_ms, &words[..count]), now_ms);
            logged += count as u64;
            if offset % 3 == 0 && let Some(frame) = room.tick(now_ms) {
                let LeftOut { merged, sampled_out, expired } = frame.left_out;
                said += frame.danmaku.len() as u64 + u64::from(merged + sampled_out + expired);
            }
        }
        if let Some(frame) = room.tick(now_ms) {
            let LeftOut { merged, sampled_out, expired } = frame.left_out;
            said += frame.danmaku.len() as u64 + u64::from(merged + sampled_out + expired);
        }
        let counts = room.books(&RoomId::from("demo")).unwrap().0.counts;
        prop_assert_eq!(counts.shown + counts.merged + counts.sampled_out + counts.expired, logged);
        prop_assert_eq!(said, logged);
    }
}
