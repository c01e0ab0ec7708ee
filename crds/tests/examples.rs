//! Every manifest in `examples/` loads, so that what the documentation points at works.

use std::path::Path;

use barrage_crds::{LiveRoom, manifest};

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let rooms = manifest::load(&entry.unwrap().path()).unwrap_or_else(|error| panic!("{error}"));
        loaded += rooms.len();
    }
    assert!(loaded > 0);
}

#[test]
fn the_first_example_is_the_demo_room() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/room.yaml");
    assert_eq!(manifest::load(&example).unwrap(), [LiveRoom::demo()]);
}
