//! A room at its ranker: the ledger balances, nothing is counted twice, late ones expire.

use barrage_proto::log::{Entry, Record};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const NOW_MS: i64 = 1_000_000;

fn candidates(shard: u32, offset: u64, received_ms: i64, texts: &[&str]) -> Candidates {
    let entry = |(index, text): (u64, &&str)| Entry {
        user: u64::from(shard) + 1,
        session: 5,
        seq: offset * 100 + index,
        content: Bytes::copy_from_slice(text.as_bytes()),
        ..Entry::default()
    };
    of_entries(shard, offset, received_ms, (0..).zip(texts).map(entry).collect())
}

fn of_entries(shard: u32, offset: u64, received_ms: i64, entries: Vec<Entry>) -> Candidates {
    Candidates {
        room: RoomId::from("demo"),
        shard,
        record: Position { partition: 1, offset, index: 0 },
        owner_epoch: 1,
        said: Record { received_ms, entries, ..Record::default() }.into(),
        payload: None,
        trace: None,
    }
}

/// The ledger of a room that has none, as a takeover gives it.
fn first() -> Ledger {
    Ledger { epoch: 1, ..Ledger::default() }
}

fn texts(frame: &RoomFrame) -> Vec<&str> {
    frame.danmaku.iter().map(|danmaku| std::str::from_utf8(&danmaku.content).unwrap()).collect()
}

#[test]
fn what_is_no_text_is_shown_as_far_as_it_is_one() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    let entry = Entry { user: 1, content: Bytes::from_static(b"a\xff"), ..Entry::default() };
    room.offer(of_entries(0, 1, NOW_MS, vec![entry]), NOW_MS);
    assert_eq!(texts(&room.tick(NOW_MS).unwrap()), ["a\u{fffd}"]);
}

/// What a moderator did in a slice, as a record of its own.
fn act(shard: u32, offset: u64, kind: barrage_proto::log::act::Kind) -> Candidates {
    let act = barrage_proto::log::Act { kind: Some(kind), ..<_>::default() };
    of_entries(shard, offset, NOW_MS, vec![Entry { act: Some(act.into()), ..Entry::default() }])
}

#[test]
fn what_stands_behind_a_mute_is_deleted_and_gateways_are_told_of_the_mute_once() {
    use barrage_proto::log::{Sanction, act::Kind, sanction};
    let user = (1..).find(|&user| barrage_core::room::shard_of(user) == 0).unwrap();
    let said = |offset, text| {
        let content = Bytes::from_static(str::as_bytes(text));
        of_entries(0, offset, NOW_MS, vec![Entry { user, content, ..Entry::default() }])
    };
    let mute = || act(0, 2, Kind::Sanction(Sanction { user, kind: sanction::Kind::Muted.into(), until_ms: 0 }));
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    room.offer(said(1, "before"), NOW_MS);
    room.offer(mute(), NOW_MS);
    room.offer(said(3, "behind"), NOW_MS);
    let frame = room.tick(NOW_MS).unwrap();
    assert_eq!((texts(&frame), frame.left_out.deleted, frame.acts.len()), (vec!["before"], 1, 1));
    // A consumer that began again hands everything on again.
    room.offer(mute(), NOW_MS);
    assert!(room.tick(NOW_MS + 10).is_none());
    let counts = room.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap().0.counts;
    assert_eq!((counts.shown, counts.deleted), (1, 1));
}

#[test]
fn an_act_that_the_store_had_before_the_gateways_is_told_to_them() {
    use barrage_proto::log::act::Kind;
    let removal = || act(0, 2, Kind::RemoveUser(1));
    let mut stored = RoomRules::default();
    removal().acts().for_each(|act| assert!(stored.take(&act)));
    let mut room = RankedRoom::new(first(), stored, 200, NOW_MS);
    room.offer(removal(), NOW_MS);
    assert_eq!(room.tick(NOW_MS).unwrap().acts.len(), 1);
    room.offer(removal(), NOW_MS);
    assert!(room.tick(NOW_MS + 10).is_none());
}

#[test]
fn what_is_removed_before_its_tick_is_never_shown() {
    use barrage_proto::log::act::Kind;
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    let said = candidates(0, 1, NOW_MS, &["gone", "stays"]);
    let place = said.record.into();
    room.offer(said, NOW_MS);
    // In the slice of whoever said it.
    room.offer(act(barrage_core::room::shard_of(1), 2, Kind::Remove(place)), NOW_MS);
    let frame = room.tick(NOW_MS).unwrap();
    assert_eq!((texts(&frame), frame.left_out.deleted), (vec!["stays"], 1));
}

#[test]
fn likes_are_counted_once() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    let likes = |offset, likes| of_entries(0, offset, NOW_MS, vec![Entry { likes, ..Entry::default() }]);
    room.offer(likes(1, 5), NOW_MS);
    room.offer(likes(1, 5), NOW_MS);
    assert_eq!(room.tick(NOW_MS).unwrap().likes, 5);
    room.offer(candidates(0, 2, NOW_MS, &["a"]), NOW_MS);
    assert_eq!(room.tick(NOW_MS + 10).unwrap().likes, 0, "no more than before");
    room.offer(likes(3, 2), NOW_MS);
    assert_eq!(room.tick(NOW_MS + 20).unwrap().likes, 7);
}

#[test]
fn a_silent_room_has_nothing_to_say() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    assert!(room.tick(NOW_MS).is_none());
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.tick(NOW_MS).is_some());
    assert!(room.tick(NOW_MS + 10).is_none());
}

#[test]
fn slices_are_interleaved_by_receipt_and_keep_their_own_order() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
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
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    let (ledger, accounted) = room.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert_eq!((ledger.counts.shown, accounted.len()), (1, 1));
    let mut taken_over = RankedRoom::new(Ledger { epoch: 2, ..ledger }, RoomRules::default(), 200, NOW_MS);
    assert_eq!(taken_over.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS).seen, 1);
    assert!(taken_over.tick(NOW_MS).is_none());
    let (ledger, accounted) = taken_over.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert_eq!((ledger.epoch, ledger.counts.shown, accounted.len()), (2, 1, 1));
}

#[test]
fn danmaku_over_5_s_late_expire() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS - EXPIRED_MS - 1, &["late"]), NOW_MS);
    room.offer(candidates(0, 1, NOW_MS - EXPIRED_MS, &["in time"]), NOW_MS);
    let frame = room.tick(NOW_MS).unwrap();
    assert_eq!(texts(&frame), ["in time"]);
    assert_eq!(frame.left_out.expired, 1);
}

#[test]
fn candidates_that_wait_for_a_tick_are_not_in_the_ledger() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    assert!(room.ledger(&RoomId::from("demo"), None, NOW_MS).is_none());
    room.tick(NOW_MS);
    assert!(room.ledger(&RoomId::from("demo"), None, NOW_MS).is_some());
    assert!(room.ledger(&RoomId::from("demo"), None, NOW_MS).is_none());
}

#[test]
fn a_room_sleeps_once_everything_is_said_and_saved() {
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    room.awake = true;
    room.offer(candidates(0, 0, NOW_MS, &["a"]), NOW_MS);
    room.tick(NOW_MS);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
    let (_, accounted) = room.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap();
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save is under way");
    room.saved(&accounted, false);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS), "the save failed");
    let (_, accounted) = room.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap();
    room.saved(&accounted, true);
    assert!(!room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS - 1));
    assert!(room.falls_asleep(NOW_MS + ASLEEP_AFTER_MS));
}

#[test]
fn the_ledger_is_saved_up_to_what_every_gateway_has() {
    let demo = RoomId::from("demo");
    let mut room = RankedRoom::new(first(), RoomRules::default(), 200, NOW_MS);
    for offset in 0..3 {
        room.offer(candidates(0, offset, NOW_MS, &["a"]), NOW_MS);
        room.tick(NOW_MS);
    }
    assert!(room.ledger(&demo, Some(0), NOW_MS).is_none());
    let (ledger, accounted) = room.ledger(&demo, Some(2), NOW_MS).unwrap();
    assert_eq!(ledger.counts.shown, 2);
    assert!(accounted.is_empty(), "the slice's last record waits");
    assert!(room.ledger(&demo, Some(2), NOW_MS + SETTLED_AFTER_MS).is_none());
    let (ledger, accounted) = room.ledger(&demo, Some(2), NOW_MS + SETTLED_AFTER_MS + 1).unwrap();
    assert_eq!((ledger.counts.shown, accounted[0].record.offset), (3, 2));
}

proptest! {
    /// logged = shown + merged + sampled out + expired, whatever comes and however small the budget; and what frames
    /// say adds up to what the ledger says.
    #[test]
    fn the_ledger_balances(
        records in prop::collection::vec((0..3_u32, 0..20_usize, 0..8_000_i64, 0..30_i64), 1..60),
        budget in 1..300_u32,
        words in prop::collection::vec("[a-c]", 20),
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut room = RankedRoom::new(first(), RoomRules::default(), budget, NOW_MS);
        let (mut now_ms, mut logged, mut said) = (NOW_MS, 0, 0);
        for (offset, (shard, count, age_ms, pause_ms)) in (0_u64..).zip(records) {
            now_ms += pause_ms;
            room.offer(candidates(shard, offset, now_ms - age_ms, &words[..count]), now_ms);
            logged += count as u64;
            if offset % 3 == 0 && let Some(frame) = room.tick(now_ms) {
                let LeftOut { merged, sampled_out, expired, .. } = frame.left_out;
                said += frame.danmaku.len() as u64 + u64::from(merged + sampled_out + expired);
            }
        }
        if let Some(frame) = room.tick(now_ms) {
            let LeftOut { merged, sampled_out, expired, .. } = frame.left_out;
            said += frame.danmaku.len() as u64 + u64::from(merged + sampled_out + expired);
        }
        let counts = room.ledger(&RoomId::from("demo"), None, NOW_MS).unwrap().0.counts;
        prop_assert_eq!(counts.shown + counts.merged + counts.sampled_out + counts.expired, logged);
        prop_assert_eq!(said, logged);
    }
}
