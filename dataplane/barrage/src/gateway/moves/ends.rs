//! Which moves to end when the table changes, and the marks that say so. Pure.

use barrage_proto::log::{Mark, Record, mark};
use prost::Message;

use super::Slice;
use barrage_core::{log::NewRecord, routes::Table};

/// Changes of the table whose moves may not be complete yet when a gateway starts. A change is made by hand or by a
/// planner at its leisure, and a move takes ten seconds at the most.
const RECENT_CHANGES: u64 = 8;

/// The end of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) slice: Slice,
    /// Number of the move that brings the slice where it is written from now on.
    pub(super) number: u32,
    /// The partition that this gateway wrote it to, and the number of moves then.
    pub(super) leaves: u32,
    moved: u32,
    /// The partition that the move is from: another where this gateway did not hear of a move between.
    from: u32,
}

impl End {
    /// The records that say it, each with its partition.
    pub(super) fn marks(&self, member: &str, now_ms: i64) -> impl Iterator<Item = NewRecord> {
        // Nothing was ever written under a move between; but its owner waits to hear that.
        let passed = (self.moved + 1 < self.number).then_some((self.from, self.number));
        let left = (self.leaves, self.moved + 1);
        [Some(left), passed].into_iter().flatten().map(move |(partition, number)| {
            let record = Record {
                room: self.slice.0.to_string(),
                shard: self.slice.1,
                received_ms: now_ms,
                moved: number - 1,
                mark: Some(Mark {
                    kind: mark::Kind::End.into(),
                    r#move: number,
                    member: member.to_owned(),
                    from: None,
                }),
                ..Record::default()
            };
            NewRecord { partition, payload: record.encode_to_vec().into(), trace: None }
        })
    }
}

/// What `new` moves that `old` had elsewhere.
pub(super) fn ends(old: &Table, new: &Table) -> Vec<End> {
    let moved = new.slices.iter().filter_map(|((room, shard), moved)| {
        let home = old.home(room, *shard);
        (moved.number > home.moved).then(|| End {
            slice: (room.clone(), *shard),
            number: moved.number,
            leaves: home.partition,
            moved: home.moved,
            from: moved.from,
        })
    });
    moved.collect()
}

/// What an owner may wait for when a gateway starts with this table.
pub(super) fn recent_ends(table: &Table) -> Vec<End> {
    let recent = table.slices.iter().filter(|(_, moved)| moved.epoch + RECENT_CHANGES > table.epoch);
    let end = recent.map(|(slice, moved)| End {
        slice: slice.clone(),
        number: moved.number,
        leaves: moved.from,
        moved: moved.number - 1,
        from: moved.from,
    });
    end.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use barrage_core::{
        room::{RoomId, Rooms},
        routes::Moved,
    };

    fn table(epoch: u64, moves: &[(u32, Moved)]) -> Table {
        let mut table = Table { epoch, ..Table::of_one(&"c".into(), 4, Rooms::default()) };
        table.slices = moves.iter().map(|(shard, moved)| ((RoomId::from("demo"), *shard), *moved)).collect();
        table
    }

    fn said(end: &End) -> Vec<(u32, u32, u32)> {
        let said = end.marks("g", 5).map(|new| {
            let record = Record::decode(new.payload).unwrap();
            let mark = record.mark.unwrap();
            assert_eq!((mark.kind(), mark.member.as_str(), &*record.room), (mark::Kind::End, "g", "demo"));
            (new.partition, record.moved, mark.r#move)
        });
        said.collect()
    }

    #[test]
    fn a_move_is_ended_where_the_slice_was_written_and_one_that_was_missed_where_it_came_from() {
        let own = table(1, &[]).home(&"demo".into(), 3).partition;
        let first = Moved { partition: (own + 1) % 4, from: own, number: 1, epoch: 2 };
        let second = Moved { partition: (own + 2) % 4, from: first.partition, number: 2, epoch: 3 };
        let (old, new, newest) = (table(1, &[]), table(2, &[(3, first)]), table(3, &[(3, second)]));
        assert_eq!(said(&ends(&old, &new)[0]), [(own, 0, 1)]);
        assert_eq!(said(&ends(&new, &newest)[0]), [(first.partition, 1, 2)]);
        assert_eq!(said(&ends(&old, &newest)[0]), [(own, 0, 1), (first.partition, 1, 2)]);
        assert!(ends(&newest, &newest).is_empty());
    }

    #[test]
    fn who_starts_ends_what_may_not_be_complete_only() {
        let moved = |epoch| Moved { partition: 1, from: 2, number: 3, epoch };
        let table = table(20, &[(1, moved(12)), (2, moved(13)), (3, moved(20))]);
        let mut shards: Vec<_> = recent_ends(&table).iter().map(|end| end.slice.1).collect();
        shards.sort_unstable();
        assert_eq!(shards, [2, 3]);
        assert_eq!(said(&recent_ends(&table)[0]), [(2, 2, 3)]);
    }
}
