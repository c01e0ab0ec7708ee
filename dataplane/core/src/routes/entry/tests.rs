//! Entries make the table that they were made of, whatever else stands in the topic.

use super::{super::change::Change, *};

fn room(name: &str) -> RoomManifest {
    RoomManifest::new(name, barrage_crds::LiveRoomSpec::default())
}

/// Writes a change as the topic would hold it.
fn write(change: &Change, stored: &HashMap<RoomId, pb::Room>) -> Vec<(String, Option<Vec<u8>>)> {
    let entries = change.entries(stored, 1, "test").unwrap();
    entries.into_iter().map(|(key, entry)| (key.to_string(), entry.map(|entry| entry.encode_to_vec()))).collect()
}

fn read(draft: &mut Draft, records: &[(String, Option<Vec<u8>>)]) -> Option<Table> {
    let mut newest = None;
    for (key, value) in records {
        newest = draft.apply(key.as_bytes(), value.as_deref()).unwrap().or(newest);
    }
    newest
}

fn wanted() -> Table {
    let owner = |name: &str| Owner { consumer: Some(name.into()), epoch: 1 };
    Table {
        epoch: 1,
        manual: true,
        partitions: vec![owner("consumer-0"), owner("consumer-1"), Owner { consumer: None, epoch: 1 }],
        spread: 2,
        rankers: [(Peer::from("ranker-0"), "127.0.0.1:1".to_owned())].into(),
        room_rankers: [(RoomId::from("demo"), Peer::from("ranker-0"))].into(),
        rooms: Rooms::new(&[room("demo")]),
    }
}

fn creation() -> Change {
    let rooms = [(RoomId::from("demo"), Some(room("demo")))].into();
    Change { rooms, ..Change::between(&Table::default(), &wanted()) }
}

#[test]
fn a_table_comes_back_as_it_was_written() {
    let mut draft = Draft::with_manifests();
    let records = write(&creation(), &HashMap::new());
    assert_eq!(records.last().unwrap().0, "head");
    assert_eq!(read(&mut draft, &records), Some(wanted()));

    let mut next = Table { epoch: 2, manual: false, ..wanted() };
    next.partitions[0] = Owner { consumer: Some("consumer-1".into()), epoch: 2 };
    next.rankers = [(Peer::from("ranker-1"), "127.0.0.1:2".to_owned())].into();
    next.room_rankers.clear();
    let change = Change::between(&wanted(), &next);
    let records = write(&change, &draft.stored.clone().unwrap());
    assert_eq!(read(&mut draft, &records), Some(next.clone()), "{change:?}");
    assert_eq!(
        change.describe(&wanted()),
        [
            "mode: manual → auto",
            "partition 0: consumer-0 → consumer-1",
            "ranker ranker-0: gone (was at 127.0.0.1:1)",
            "ranker ranker-1: new at 127.0.0.1:2",
            "room demo: ranker ranker-0 → chosen by hash",
        ]
    );
    assert!(Change::between(&next, &next).is_empty(&next));
}

#[test]
fn nothing_counts_before_its_head_and_a_deleted_room_is_gone() {
    let mut draft = Draft::with_manifests();
    let records = write(&creation(), &HashMap::new());
    let (head, before) = records.split_last().unwrap();
    assert_eq!(read(&mut draft, before), None);
    let table = read(&mut draft, std::slice::from_ref(head)).unwrap();
    assert!(table.rooms.find("demo").is_some());

    let change = Change { rooms: creation().rooms, ..Change::on(&table) };
    let records = write(&change, &draft.stored.clone().unwrap());
    let table = read(&mut draft, &records).unwrap();
    assert_eq!(table.room_rankers, wanted().room_rankers, "a manifest that changes leaves the ranker alone");

    let change = Change { rooms: [(RoomId::from("demo"), None)].into(), ..Change::on(&table) };
    let records = write(&change, &draft.stored.clone().unwrap());
    let next = read(&mut draft, &records).unwrap();
    assert!(next.rooms.find("demo").is_none() && next.room_rankers.is_empty());
}

#[test]
fn of_two_entries_for_a_key_the_higher_epoch_counts() {
    let owner = |epoch, consumer: &str| {
        let kind = Kind::Partition(pb::Partition { partition: 0, consumer: consumer.to_owned() });
        pb::Entry { epoch, kind: Some(kind) }.encode_to_vec()
    };
    let head = pb::Head { partitions: 1, ..pb::Head::default() };
    let head = pb::Entry { epoch: 9, kind: Some(Kind::Head(head)) }.encode_to_vec();
    let mut draft = Draft::default();
    draft.apply(b"partition/0", Some(&owner(7, "new"))).unwrap();
    draft.apply(b"partition/0", Some(&owner(6, "stale"))).unwrap();
    let table = draft.apply(b"head", Some(&head)).unwrap().unwrap();
    assert_eq!(table.partitions, [Owner { consumer: Some("new".into()), epoch: 7 }]);
}

#[test]
fn what_is_not_understood_is_counted_and_left_out_and_the_rest_lives_on() {
    let mut draft = Draft::default();
    read(&mut draft, &write(&creation(), &HashMap::new())).unwrap();
    let broken = |live_room: &str| {
        let room = pb::Room { ranker: String::new(), live_room: live_room.to_owned() };
        pb::Entry { epoch: 2, kind: Some(Kind::Room(room)) }.encode_to_vec()
    };
    let other = serde_json::to_string(&room("other")).unwrap();
    for (key, value) in [
        ("room/demo", broken("{}")),
        ("room/demo", broken(r#"{"apiVersion": "barrage.live/v9"}"#)),
        ("room/demo", broken(&other)),
        ("partition/1", broken(&other)),
        ("partition/01", broken(&other)),
        ("weather", Vec::new()),
        ("ranker/x", b"\xff".to_vec()),
        ("head", pb::Entry { epoch: 2, kind: None }.encode_to_vec()),
    ] {
        let error = draft.apply(key.as_bytes(), Some(&value)).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    assert_eq!(draft.unreadable(), 6);
    let records = write(&Change { planned_at: 2, ..creation() }, &HashMap::new());
    let table = read(&mut draft, &records).unwrap();
    assert!(table.rooms.find("demo").is_some(), "written again, it is served again");
    assert_eq!(draft.unreadable(), 3);
}

#[test]
fn a_table_of_which_slices_have_moved_is_no_table() {
    let mut draft = Draft::default();
    read(&mut draft, &write(&creation(), &HashMap::new())).unwrap();
    assert_eq!(draft.check(), Ok(()));
    // Entry 4 with the epoch 2: room, shard 5, partition 1, from 0, move 1.
    let moved = b"\x08\x02\x22\x0c\x0a\x04demo\x10\x05\x18\x01\x28\x01";
    for shard in [5, 11] {
        assert_eq!(draft.apply(format!("slice/demo/{shard}").as_bytes(), Some(moved)), Ok(None));
    }
    assert_eq!(draft.check(), Err(MovedSlices { count: 2, first: "slice/demo/11".to_owned() }));
    assert!(draft.check().unwrap_err().to_string().contains("make a new pool"));
    for shard in [5, 11] {
        draft.apply(format!("slice/demo/{shard}").as_bytes(), None).unwrap();
    }
    assert_eq!(draft.check(), Ok(()));
}

#[test]
fn a_table_of_before_has_each_room_on_one_partition() {
    let (mut draft, room) = (Draft::default(), RoomId::from("demo"));
    // The head of epoch 7 with 12 partitions, written in ms 5 by "barrage pool", as it was before rooms were spread.
    let head = b"\x08\x07\x12\x12\x10\x0c\x18\x0a\x22\x0cbarrage pool";
    let table = draft.apply(b"head", Some(head)).unwrap().unwrap();
    assert_eq!((table.epoch, table.partition_count(), table.placement().spread()), (7, 12, 1));
    assert!((0..16).all(|shard| table.partition_of(&room, shard) == 2));
    // What is written next says no more than before.
    let next = write(&Change { manual: true, ..Change::on(&table) }, &HashMap::new());
    let Kind::Head(written) = pb::Entry::decode(next[0].1.as_deref().unwrap()).unwrap().kind.unwrap() else {
        panic!("no head")
    };
    assert_eq!((written.partitions, written.spread), (12, None));
    assert_eq!(read(&mut draft, &next).unwrap().placement(), table.placement());
}

#[test]
fn who_does_not_know_of_spreads_finds_no_partitions() {
    let records = write(&creation(), &HashMap::new());
    let head = pb::Entry::decode(records.last().unwrap().1.as_deref().unwrap()).unwrap();
    let Some(Kind::Head(head)) = head.kind else { panic!("no head") };
    assert_eq!((head.partitions, head.spread), (0, Some(pb::Spread { partitions: 3, over: 2 })));
    for over in [0, 4, 17] {
        let head = pb::Head { spread: Some(pb::Spread { partitions: 3, over }), ..pb::Head::default() };
        let value = pb::Entry { epoch: 1, kind: Some(Kind::Head(head)) }.encode_to_vec();
        assert!(Draft::default().apply(b"head", Some(&value)).is_err(), "over {over}");
    }
}
