//! What counts in a partition that slices leave and come to.

use barrage_proto::log::{Mark, mark};

use super::*;

fn record(moved: u32, seqs: &[u64]) -> Record {
    let entry = |&seq: &u64| Entry { user: 7, session: 9, seq, ..Entry::default() };
    Record { moved, entries: seqs.iter().map(entry).collect(), ..Record::default() }
}

fn counting(judge: &mut Judge, mut record: Record) -> Option<Vec<u64>> {
    match judge.judge(&("demo".into(), 3), &mut record, 1_000) {
        Verdict::Judged(_) => Some(record.entries.iter().filter(|entry| entry.user != 0).map(|e| e.seq).collect()),
        Verdict::Waits(_) => None,
    }
}

#[test]
fn what_stands_behind_a_closing_counts_nowhere_and_is_no_original() {
    let mut judge = Judge::new(0, Arc::default());
    assert_eq!(counting(&mut judge, record(0, &[1, 2, 1])), Some(vec![1, 2]));
    let mark = Mark { kind: mark::Kind::Closed.into(), r#move: 1, ..Mark::default() };
    assert_eq!(counting(&mut judge, Record { mark: Some(mark), ..record(0, &[]) }), Some(vec![]));
    assert_eq!(counting(&mut judge, record(0, &[3])), Some(vec![]));
    assert_eq!(counting(&mut judge, record(2, &[3])), None, "the slice is back, its past is not known");
}

#[test]
fn what_came_before_the_past_was_known_is_remembered() {
    let arrivals = Arc::new(Arrivals::default());
    let mut judge = Judge::new(0, Arc::clone(&arrivals));
    assert_eq!(counting(&mut judge, record(1, &[1, 2])), None);
    assert_eq!(counting(&mut judge, record(1, &[3])), None);
    arrivals.find(vec![(500, (7, 9, 5))]);
    assert_eq!(counting(&mut judge, record(1, &[1, 3, 4, 5])), Some(vec![4]));
    // Whoever reads the same later decides alike.
    let mut other = Judge::new(0, arrivals);
    assert_eq!(counting(&mut other, record(1, &[1, 2])), Some(vec![1, 2]));
    assert_eq!(counting(&mut other, record(1, &[1, 3, 4, 5])), Some(vec![3, 4]));
}
