//! Every manifest in `examples/` is one that an API server takes, so that what the documentation points at works.

use std::path::{Path, PathBuf};

use barrage_crds::{RoomManifest, RoomPool, manifest};
use kube::Resource;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_room_loads_and_every_pool_keeps_all_that_it_says() {
    let (mut rooms, mut pools) = (0, 0);
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        for document in Yaml::load_from_str(&text).unwrap() {
            match document["kind"].as_str() {
                Some("LiveRoom") => rooms += manifest::load(&path).unwrap_or_else(|error| panic!("{error}")).len(),
                Some("RoomPool") => {
                    pool(&json(&document), &path);
                    pools += 1;
                }
                other => panic!("{}: kind {other:?}", path.display()),
            }
        }
    }
    assert!(rooms >= 3 && pools >= 3, "{rooms} rooms, {pools} pools");
}

/// A field that no type has is dropped in silence, so what is read is compared with what was written.
fn pool(written: &Value, path: &Path) {
    let read: RoomPool = serde_json::from_value(written.clone()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(written["apiVersion"].as_str(), Some(&*RoomPool::api_version(&())));
    let again = serde_json::to_value(&read).unwrap();
    assert!(holds(&again["spec"], &written["spec"]), "{}: some field is not one of RoomPool's", path.display());
}

fn holds(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            part.iter().all(|(name, value)| all.get(name).is_some_and(|all| holds(all, value)))
        }
        (Value::Array(all), Value::Array(part)) => {
            all.len() == part.len() && all.iter().zip(part).all(|(all, part)| holds(all, part))
        }
        _ => all == part,
    }
}

fn json(yaml: &Yaml<'_>) -> Value {
    if let Some(fields) = yaml.as_mapping() {
        let fields = fields.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), json(value)));
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    if let Some(items) = yaml.as_sequence() {
        return Value::Array(items.iter().map(json).collect());
    }
    let number = yaml.as_integer().map(Value::from);
    number.or_else(|| yaml.as_bool().map(Value::from)).or_else(|| yaml.as_str().map(Value::from)).unwrap_or_default()
}

#[test]
fn the_first_example_is_the_demo_room() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/room.yaml");
    assert_eq!(manifest::load(&example).unwrap(), [RoomManifest::demo()]);
}
