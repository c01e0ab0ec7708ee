//! A room at its ranker: books balance, nothing is counted twice, late ones expire.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_000_000;

fn candidates(shard: u32, offset: u64, received_ms: i64, texts: &[&str]) -> Candidates {
    let record = Position { moved: 0, partition: 1, offset, index: 0 };
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
    let (room, danmaku) = (RoomId::from("demo"), danmaku.collect());
    Candidates { room, shard, record, owner_epoch: 1, closed: false, danmaku, trace: None }
}

/// Books of a room that has none, as a takeover gives them.
fn first() -> Books {
    Books { epoch: 1, ..Books::default() }
}

fn texts(frame: &RoomFrame) -> Vec<&str> {
    frame.danmaku.iter().map(|danmaku| std::str::from_utf8(&danmaku.content).unwrap()).collect()
}

#[test]
fn a_silent_room_has_nothing_to_say() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    assert!(room.tick(NOW_MS).is_none());
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.tick(NOW_MS).is_some());
    assert!(room.tick(NOW_MS + 10).is_none());
}

#[test]
fn slices_are_interleaved_by_receipt_and_keep_their_own_order() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS + 5, &["a1"]), NOW_MS);
    // A gateway's clock is behind: log order wins within the slice.
    room.offer(candidates(0, 1, NOW_MS + 1, &["a2"]), NOW_MS);
    room.offer(candidates(1, 0, NOW_MS + 2, &["b1"]), NOW_MS);
    room.offer(candidates(1, 1, NOW_MS + 9, &["b2"]), NOW_MS);
    let frame = room.tick(NOW_MS + 10).unwrap();
    assert_eq!(texts(&frame), ["b1", "a1", "a2", "b2"]);
    assert_eq!((frame.epoch, frame.number), (1, 1));
    assert!(frame.watermark.covers(1, Position { moved: 0, partition: 1, offset: 1, index: 0 }));
}

#[test]
fn what_was_seen_is_not_shown_again_but_accounted_for_again() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    let (books, accounted) = room.books(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert_eq!((books.counts.shown, accounted.len()), (1, 1));
    let mut taken_over = RankedRoom::new(Books { epoch: 2, ..books }, 200, NOW_MS);
    assert_eq!(taken_over.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS).seen, 1);
    assert!(taken_over.tick(NOW_MS).is_none());
    let (books, accounted) = taken_over.books(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert_eq!((books.epoch, books.counts.shown, accounted.len()), (2, 1, 1));
}

#[test]
fn danmaku_over_5_s_late_expire() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS - EXPIRED_MS - 1, &["late"]), NOW_MS);
    room.offer(candidates(0, 1, NOW_MS - EXPIRED_MS, &["in time"]), NOW_MS);
    let frame = room.tick(NOW_MS).unwrap();
    assert_eq!(texts(&frame), ["in time"]);
    assert_eq!(frame.left_out.expired, 1);
}

#[test]
fn candidates_that_wait_for_a_tick_are_not_in_the_books() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.books(&RoomId::from("demo"), None, NOW_MS).is_none());
    room.tick(NOW_MS);
    assert!(room.books(&RoomId::from("demo"), None, NOW_MS).is_some());
    assert!(room.books(&RoomId::from("demo"), None, NOW_MS).is_none());
}

#[test]
fn a_room_sleeps_once_everything_is_said_and_saved() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    room.awake = true;
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
    let (_, accounted) = room.books(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save is under way");
    room.saved(&accounted, false);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save failed");
    let (_, accounted) = room.books(&RoomId::from("demo"), None, NOW_MS).unwrap();
    room.saved(&accounted, true);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS - 1));
    assert!(room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
}

#[test]
fn books_are_saved_up_to_what_every_gateway_has() {
    let demo = RoomId::from("demo");
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    for offset in 0..3 {
        room.offer(candidates(0, offset, NOW_MS, &["a"]), NOW_MS);
        room.tick(NOW_MS);
    }
    assert!(room.books(&demo, Some(0), NOW_MS).is_none());
    let (books, accounted) = room.books(&demo, Some(2), NOW_MS).unwrap();
    assert_eq!(books.counts.shown, 2);
    assert!(accounted.is_empty(), "the slice's last record waits");
    assert!(room.books(&demo, Some(2), NOW_MS + SETTLED_AFTER_MS).is_none());
    let (books, accounted) = room.books(&demo, Some(2), NOW_MS + SETTLED_AFTER_MS + 1).unwrap();
    assert_eq!((books.counts.shown, accounted[0].record.offset), (3, 2));
}

#[test]
fn a_slice_that_moved_goes_on_behind_the_end_of_its_move() {
    let mut room = RankedRoom::new(first(), 200, NOW_MS);
    let moved = |offset, text| {
        let mut candidates = candidates(0, offset, NOW_MS, &[text]);
        candidates.record = Position { moved: 1, partition: 9, ..candidates.record };
        candidates.danmaku[0].position = candidates.record;
        candidates
    };
    room.offer(candidates(0, 7, NOW_MS, &["a"]), NOW_MS);
    room.offer(moved(0, "c"), NOW_MS);
    room.offer(moved(1, "d"), NOW_MS);
    room.offer(candidates(0, 8, NOW_MS, &["b"]), NOW_MS);
    assert_eq!(texts(&room.tick(NOW_MS).unwrap()), ["a", "b"]);
    room.offer(Candidates { closed: true, ..candidates(0, 9, NOW_MS, &[]) }, NOW_MS);
    assert_eq!(texts(&room.tick(NOW_MS).unwrap()), ["c", "d"]);
    // A stray behind the end does not count.
    assert_eq!(room.offer(candidates(0, 10, NOW_MS, &["stray"]), NOW_MS).seen, 1);
    let (_, accounted) = room.books(&RoomId::from("demo"), None, NOW_MS).unwrap();
    let mut of: Vec<_> = accounted.iter().map(|done| (done.record.partition, done.record.offset)).collect();
    of.sort_unstable();
    assert_eq!(of, [(1, 10), (9, 1)]);
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
        let mut room = RankedRoom::new(first(), budget, NOW_MS);
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
        let counts = room.books(&RoomId::from("demo"), None, NOW_MS).unwrap().0.counts;
        prop_assert_eq!(counts.shown + counts.merged + counts.sampled_out + counts.expired, logged);
        prop_assert_eq!(said, logged);
    }
}
