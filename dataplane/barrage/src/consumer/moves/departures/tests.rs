//! Who waits for whom, and for how long.

use super::*;
use barrage_core::{
    room::{RoomId, Rooms},
    routes::Moved,
};

fn slice() -> Slice {
    (RoomId::from("demo"), 3)
}

fn table(epoch: u64, moved: Option<Moved>) -> Table {
    let mut table = Table { epoch, ..Table::of_one(&"c".into(), 4, Rooms::default()) };
    table.slices = moved.into_iter().map(|moved| (slice(), moved)).collect();
    table
}

fn mark(kind: mark::Kind, number: u32, member: &str) -> Mark {
    Mark { kind: kind.into(), r#move: number, member: member.to_owned(), from: None }
}

fn moved(number: u32, from: u32, partition: u32, epoch: u64) -> Table {
    table(epoch, Some(Moved { partition, from, number, epoch }))
}

#[test]
fn a_move_is_closed_when_all_have_ended_it_and_only_once() {
    let (now, own) = (Instant::now(), table(1, None).home(&slice().0, 3).partition);
    let mut departures = Departures::new(own);
    departures.follow(&table(1, None), &moved(1, own, (own + 1) % 4, 2), now);
    assert!(departures.wants_members() && departures.due(now).is_empty());
    departures.hear(&slice(), &mark(mark::Kind::End, 1, "g-0"), now);
    departures.heard(["g-0".into(), "g-1".into()].into(), now);
    assert!(departures.due(now).is_empty(), "g-1 may write still");
    departures.hear(&slice(), &mark(mark::Kind::End, 1, "g-1"), now);
    assert_eq!(departures.due(now), [(slice(), 1)]);
    assert!(departures.due(now + END_WITHIN).is_empty(), "it is on its way");
    departures.failed(&[(slice(), 1)]);
    assert_eq!(departures.due(now), [(slice(), 1)]);
    departures.hear(&slice(), &mark(mark::Kind::Closed, 1, ""), now);
    departures.hear(&slice(), &mark(mark::Kind::End, 1, "g-2"), now);
    assert!(departures.due(now + END_WITHIN).is_empty(), "closed");
}

#[test]
fn who_does_not_end_is_waited_for_ten_seconds() {
    let (now, own) = (Instant::now(), table(1, None).home(&slice().0, 3).partition);
    let mut departures = Departures::new(own);
    departures.begin(&moved(1, own, (own + 1) % 4, 9), now);
    // Asked before the move was known: who announced himself since is missing.
    departures.heard(BTreeSet::new(), now.checked_sub(Duration::from_secs(1)).unwrap());
    assert!(departures.due(now + Duration::from_secs(9)).is_empty());
    assert_eq!(departures.due(now + END_WITHIN), [(slice(), 1)]);
}

#[test]
fn a_move_that_another_has_replaced_is_closed_too() {
    let (now, own) = (Instant::now(), table(1, None).home(&slice().0, 3).partition);
    let between = (own + 1) % 4;
    let newest = moved(2, between, (own + 2) % 4, 3);
    for (partition, number) in [(own, 1), (between, 2)] {
        let mut departures = Departures::new(partition);
        departures.follow(&table(1, None), &newest, now);
        assert_eq!(departures.due(now + END_WITHIN), [(slice(), number)]);
    }
    let mut taken = Departures::new(own);
    taken.begin(&newest, now);
    taken.hear(&slice(), &mark(mark::Kind::End, 1, "g"), now);
    assert_eq!(taken.due(now + END_WITHIN), [(slice(), 1)], "only the mark tells of it");
}
