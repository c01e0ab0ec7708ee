//! A slice whose last minute stands in several partitions.

use barrage_proto::log::{Entry, Mark};

use super::*;
use barrage_core::{
    room::{RoomId, Rooms},
    routes::Moved,
};

fn record(moved: u32, seq: u64) -> Record {
    let entries = vec![Entry { user: 7, session: 9, seq, ..Entry::default() }];
    Record { moved, entries, ..Record::default() }
}

fn closed(number: u32, from: Option<u32>) -> Record {
    let mark = Mark { kind: mark::Kind::Closed.into(), r#move: number, member: String::new(), from };
    Record { moved: number - 1, mark: Some(mark), ..Record::default() }
}

fn seqs(search: Search) -> Vec<u64> {
    search.into_window().iter().map(|(_, (_, _, seq))| *seq).collect()
}

#[test]
fn the_window_ends_with_the_closing_and_goes_on_where_the_slice_was_before() {
    let (slice, origins) = ((RoomId::from("demo"), 3), Origins::default());
    let mut search = Search::new(slice, 2, 0);
    search.partition = Some(1);
    for (at, record) in [(40, record(1, 1)), (50, record(2, 99)), (60, record(1, 2))] {
        assert_eq!(search.take(at, &record, &origins), Step::On);
    }
    assert_eq!(search.take(70, &closed(2, Some(0)), &origins), Step::Elsewhere);
    assert_eq!((search.number, search.partition, search.next), (1, Some(0), None));
    assert_eq!(search.take(10, &record(0, 0), &origins), Step::On);
    assert_eq!(search.take(20, &closed(1, None), &origins), Step::Done);
    assert_eq!(seqs(search), [0, 1, 2]);
}

#[test]
fn what_an_earlier_closing_shut_out_is_no_original() {
    let (slice, origins) = ((RoomId::from("demo"), 3), Origins::default());
    let mut search = Search::new(slice, 3, 0);
    for record in [record(0, 1), closed(1, None), record(0, 2), record(2, 3)] {
        assert_eq!(search.take(5, &record, &origins), Step::On);
    }
    assert_eq!(search.take(6, &closed(3, None), &origins), Step::Done);
    assert_eq!(seqs(search), [1, 3]);
}

#[test]
fn where_a_slice_came_from_is_remembered_for_its_last_moves() {
    let slice = (RoomId::from("demo"), 3);
    let mut origins = Origins::default();
    let table = |number, from, epoch| {
        let mut table = Table { epoch, ..Table::of_one(&"c".into(), 4, Rooms::default()) };
        table.slices.insert(slice.clone(), Moved { partition: 1, from, number, epoch });
        table
    };
    assert_eq!(origins.find(&slice, 4), Origin::NotYet);
    origins.learn(&table(4, 2, 7));
    origins.learn(&table(5, 3, 8));
    assert_eq!(
        [3, 4, 5, 6].map(|number| origins.find(&slice, number)),
        [Origin::Unknown, Origin::From(2), Origin::From(3), Origin::NotYet,]
    );
}
