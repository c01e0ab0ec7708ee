//! The file says what the table is, and errors say where it does not.

use super::*;
use crate::{room::Rooms, routes::change::Change};

fn table() -> Table {
    let owner = |name: &str| Owner { consumer: Some(name.into()), epoch: 3 };
    let room = RoomId::from("demo");
    Table {
        epoch: 3,
        partitions: vec![owner("c-0"), owner("c-1"), owner("c-0"), Owner::default()],
        rankers: [("r-0".into(), "10.0.0.1:7800".to_owned()), ("r-1".into(), "[::1]:7800".to_owned())].into(),
        room_rankers: [(room, "r-1".into())].into(),
        rooms: Rooms::new(&[barrage_crds::RoomManifest::demo()]),
        ..Table::default()
    }
}

fn edited(edits: &[(&str, &str)]) -> Result<Table, String> {
    let mut text = print(&table(), "default");
    for (what, with) in edits {
        assert!(text.contains(what), "{what:?} in {text}");
        text = text.replacen(what, with, 1);
    }
    parse("routes.toml", &text, &table()).map_err(|error| error.to_string())
}

#[test]
fn a_file_that_is_not_edited_changes_nothing() {
    let change = Change::between(&table(), &edited(&[]).unwrap());
    assert!(change.is_empty(&table()), "{change:?}");
}

#[test]
fn edits_become_a_change() {
    let new = edited(&[
        ("unowned = [3]", "unowned = []"),
        ("\"c-1\" = [1]", "\"c-1\" = [1, 3]"),
        ("\"r-0\" = \"10.0.0.1:7800\"\n", ""),
        ("\"demo\" = \"r-1\"\n", ""),
    ]);
    let new = new.unwrap();
    assert_eq!(
        Change::between(&table(), &new).describe(&table()),
        [
            "partition 3: nobody → c-1",
            "ranker r-0: gone (was at 10.0.0.1:7800)",
            "room demo: ranker r-1 → chosen by hash",
        ]
    );
    assert_eq!((new.partitions[3].epoch, new.partitions[0].epoch), (4, 3));
}

#[test]
fn errors_name_file_line_and_field() {
    let cases = [
        (
            "\"c-1\" = [1]",
            "\"c-1\" = [1, 4]",
            "routes.toml:11: consumers.c-1: there is no partition 4: the pool has 4, from 0",
        ),
        ("\"c-1\" = [1]", "\"c-1\" = [0, 1]", "routes.toml:11: consumers.c-1: partition 0 is here a second time"),
        (
            "unowned = [3]",
            "unowned = []",
            "routes.toml:1: consumers: partition 3 is missing: give it to a consumer, or list it in unowned",
        ),
        ("10.0.0.1:7800", "10.0.0.1", "routes.toml:15: rankers.r-0: \"10.0.0.1\" is no address: allowed is host:port"),
        ("\"demo\" = \"r-1\"", "\"demo\" = \"r-2\"", "routes.toml:20: room-rankers.demo: \"r-2\" is not in [rankers]"),
        (
            "\"demo\" = \"r-1\"",
            "\"x\" = \"r-1\"",
            "routes.toml:20: room-rankers.x: room \"x\" is not served: see `barrage rooms list`",
        ),
    ];
    for (what, with, message) in cases {
        assert_eq!(edited(&[(what, with)]).unwrap_err(), message);
    }
    let syntax = edited(&[("unowned", "unowed")]).unwrap_err();
    assert!(syntax.contains("routes.toml:") && syntax.contains("line 6") && syntax.contains("unowed"), "{syntax}");
    let moved = edited(&[("epoch = 3", "epoch = 2")]).unwrap_err();
    assert!(moved.contains("written against epoch 2, but the table is at 3"), "{moved}");
}
