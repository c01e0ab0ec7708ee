//! Plans are even, move as little as can be, and leave alone what is as it should be.

use proptest::prelude::*;

use super::*;
use crate::room::{RoomId, Rooms};

fn names(prefix: &str, numbers: impl IntoIterator<Item = u8>) -> BTreeSet<Peer> {
    numbers.into_iter().map(|number| Peer::from(format!("{prefix}-{number}"))).collect()
}

fn alive(consumers: BTreeSet<Peer>) -> Alive {
    Alive { consumers, rankers: [(Peer::from("ranker-0"), "127.0.0.1:1".to_owned())].into() }
}

fn table(owners: &[Option<u8>]) -> Table {
    let owner = |number: &Option<u8>| Owner { consumer: number.map(|n| format!("c-{n}").into()), epoch: 3 };
    let rooms = Rooms::new(&[barrage_crds::RoomManifest::demo()]);
    Table { epoch: 3, partitions: owners.iter().map(owner).collect(), rooms, ..Table::default() }
}

fn counts(table: &Table, alive: &Alive) -> Vec<usize> {
    alive.consumers.iter().map(|consumer| table.owned_by(consumer).count()).collect()
}

/// The most items that any even distribution keeps, by trying all.
fn kept_at_best(held: &[usize], items: usize) -> usize {
    let (least, larger) = (items / held.len(), items % held.len());
    let subsets = (0_u32..1 << held.len()).filter(|subset| subset.count_ones() as usize == larger);
    let kept = subsets.map(|subset| {
        let quota = |at: usize| least + usize::from(subset & 1 << at != 0);
        held.iter().enumerate().map(|(at, &held)| held.min(quota(at))).sum()
    });
    kept.max().unwrap()
}

proptest! {
    #[test]
    fn partitions_are_even_with_the_fewest_moves(
        owners in prop::collection::vec(prop::option::of(0_u8..6), 1..40),
        consumers in prop::collection::btree_set(0_u8..6, 1..6),
    ) {
        let (old, alive) = (table(&owners), alive(names("c", consumers)));
        let before = counts(&old, &alive);
        let new = plan(&old, &alive, None).unwrap();
        let after = counts(&new, &alive);
        prop_assert_eq!(after.iter().sum::<usize>(), owners.len());
        prop_assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{:?}", after);
        let unmoved = old.partitions.iter().zip(&new.partitions).filter(|(old, new)| old == new).count();
        prop_assert_eq!(unmoved, kept_at_best(&before, owners.len()));
        prop_assert!(new.partitions.iter().all(|owner| owner.epoch == 3 || owner.epoch == 4));
        // Once more, nothing changes.
        let again = plan(&new, &alive, None).unwrap();
        prop_assert_eq!(&again.partitions, &new.partitions);
    }
}

#[test]
fn rankers_are_those_alive_unless_none_is() {
    let mut old = table(&[Some(0)]);
    old.rankers = names("r", [0, 1]).into_iter().map(|name| (name, "127.0.0.1:1".to_owned())).collect();
    old.room_rankers = [(RoomId::from("demo"), "r-1".into()), (RoomId::from("x"), "r-0".into())].into();
    let mut alive = Alive { consumers: names("c", [0]), rankers: BTreeMap::new() };
    let new = plan(&old, &alive, None).unwrap();
    assert_eq!((&new.rankers, &new.room_rankers), (&old.rankers, &old.room_rankers));
    alive.rankers.insert("r-0".into(), "127.0.0.1:2".to_owned());
    let new = plan(&old, &alive, None).unwrap();
    assert_eq!(new.rankers, alive.rankers);
    assert_eq!(new.room_rankers, [(RoomId::from("x"), "r-0".into())].into());
}

#[test]
fn what_cannot_be_is_refused() {
    let (empty, someone) = (Table::default(), alive(names("c", [0])));
    assert_eq!(plan(&empty, &someone, None), Err(PlanError::NoTable));
    assert_eq!(plan(&empty, &someone, Some(0)), Err(PlanError::Partitions(0)));
    assert_eq!(plan(&empty, &Alive::default(), Some(3)), Err(PlanError::NoConsumers));
    assert_eq!(plan(&empty, &someone, Some(3)).unwrap().partition_count(), 3);
    assert_eq!(plan(&table(&[None]), &someone, Some(3)), Err(PlanError::Made { made: 1, asked: 3 }));
}

#[test]
fn the_partitions_of_a_room_fall_to_different_consumers() {
    let someone = |consumers| alive(names("c", 0..consumers));
    for (partitions, spread, consumers) in [(12, 4, 3), (12, 4, 4), (12, 4, 12), (48, 16, 3), (48, 16, 16), (48, 4, 8)]
    {
        let new = Table { partitions: vec![Owner::default(); partitions], spread, ..Table::default() };
        let table = plan(&new, &someone(consumers), None).unwrap();
        assert_eq!(table.spread, spread);
        for room in (0..100).map(|number| format!("room-{number}")) {
            let on = table.placement().partitions_of(&room);
            let owners: BTreeSet<_> = on.iter().map(|&on| table.partitions[on as usize].consumer.clone()).collect();
            let wanted = spread.min(consumers.into()) as usize;
            assert_eq!(owners.len(), wanted, "{room}: {spread} of {partitions} partitions, {consumers} consumers");
        }
    }
}
