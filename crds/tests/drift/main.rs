//! The committed CRDs and their reference are what the Rust types generate, byte for byte. After a change of the types,
//! `UPDATE=1 cargo test -p barrage-crds --test drift` writes them anew.

mod reference;

use std::path::{Path, PathBuf};

use barrage_crds::{LiveRoom, RoomPool};
use kube::CustomResourceExt;
use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};
use serde_json::Value;

#[test]
fn the_committed_crds_are_what_the_types_generate() {
    check(&committed(LiveRoom::crd_name()), &generate(&serde_json::to_value(LiveRoom::crd()).unwrap()));
    check(&committed(RoomPool::crd_name()), &generate(&serde_json::to_value(RoomPool::crd()).unwrap()));
}

#[test]
fn the_reference_is_what_the_types_generate() {
    let crds = [LiveRoom::crd(), RoomPool::crd()].map(|crd| serde_json::to_value(crd).unwrap());
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), &reference::page(&crds));
}

fn committed(crd_name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("yaml/{crd_name}.yaml"))
}

fn check(path: &Path, generated: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what the types generate: run UPDATE=1 cargo test -p barrage-crds --test drift, and look at the difference",
        path.display(),
    );
}

fn generate(crd: &Value) -> String {
    let mut text = String::from(
        "# @generated from the types in crds/src; to write it anew: UPDATE=1 cargo test -p barrage-crds --test drift\n",
    );
    YamlEmitter::new(&mut text).dump(&to_yaml(crd)).unwrap();
    text + "\n"
}

/// Keys are sorted here: whether serde_json sorts them hangs on what else is built beside it.
fn to_yaml(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(b) => Yaml::Value(Scalar::Boolean(*b)),
        Value::Number(n) => match n.as_f64() {
            // The API's type for limits is a float; whole numbers read better, and mean the same, without ".0".
            Some(f) if f.fract() == 0.0 => Yaml::value_from_cow(format!("{f:.0}").into()),
            _ => Yaml::value_from_cow(n.to_string().into()),
        },
        Value::String(s) => Yaml::Value(Scalar::String(s.into())),
        Value::Array(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let entries =
                sorted.into_iter().map(|(name, value)| (Yaml::Value(Scalar::String(name.into())), to_yaml(value)));
            Yaml::Mapping(entries.collect::<Mapping<'_>>())
        }
    }
}
