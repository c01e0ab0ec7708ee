//! What holds for any file and any text: the loader answers, at a bounded cost, and points into the file.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::super::document::Position;
use super::super::{FILE_BYTES_MAX, Fault, ManifestError, load, parse, room};
use super::{HEAD, refused};
use crate::RoomManifest;

#[test]
fn bombs_are_refused_for_what_they_would_cost() {
    refused(&"- ".repeat(100_000), "room.yaml:1:65: nested more than 32 levels deep");
    let mut laughs = String::from("a0: &a0 [ha, ha]\n");
    for i in 1..40 {
        laughs += &format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1);
    }
    let error = parse("room.yaml", &laughs).unwrap_err().to_string();
    let budget = "anchors and aliases make more than 8388608 bytes of this file";
    assert!(error.ends_with(budget), "{error}");
    let long = format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(100_000));
    let error = parse("room.yaml", &long).unwrap_err().to_string();
    assert!(error.ends_with(budget), "{error}");
    // Each alias adds levels to what it stands in, too.
    let mut tower = String::from("a0: &a0 x\n");
    for i in 1..40 {
        tower += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    let error = parse("room.yaml", &tower).unwrap_err().to_string();
    assert!(error.ends_with("nested more than 32 levels deep"), "{error}");
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room.yaml");
    let shown = path.display();
    let message = |path: &Path| load(path).unwrap_err().to_string();

    assert_eq!(
        message(&path),
        format!("cannot read {shown}: No such file or directory (os error 2); give the path of a LiveRoom manifest"),
    );
    std::fs::write(&path, b"# caf\xc3\xa9\n#\xff\xfe\n").unwrap();
    assert_eq!(message(&path), format!("{shown}:2:2: the byte 0xff is not UTF-8: save the file as UTF-8"),);
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX + 1]).unwrap();
    let too_long = format!("{shown}: longer than 1048576 bytes; split it");
    assert_eq!(message(&path), too_long);
    let text = "#".repeat(FILE_BYTES_MAX + 1);
    refused(&text, "room.yaml: longer than 1048576 bytes; split it");
    std::fs::write(&path, format!("{HEAD}spec: {{}}\n")).unwrap();
    assert_eq!(load(&path).unwrap(), [RoomManifest::demo()]);
}

/// A schema that came to use a keyword which the walk ignores would let faults through.
#[test]
fn the_walk_knows_every_keyword_of_the_schema() {
    const CHECKED: &str =
        "additionalProperties enum items maxItems maxLength maximum minLength minimum pattern properties required type";
    const WITHOUT_EFFECT_HERE: &str = "default description format title";
    // CEL rules: what may not change, and that a name has to be fit for a room ID. A file has no past for the
    // first; the last is checked by hand.
    const BY_HAND: &str = "x-kubernetes-validations";
    let known = [CHECKED, WITHOUT_EFFECT_HERE, BY_HAND].join(" ");
    let mut used = BTreeSet::new();
    let schema = room::schema().unwrap();
    keywords(&schema, &mut used);
    assert_eq!(used, known.split(' ').collect());
    let rules = schema["x-kubernetes-validations"].as_array().unwrap().iter();
    let with_past = |rule: &&Value| rule["rule"].as_str().unwrap().contains("oldSelf");
    assert_eq!((rules.len(), rules.filter(with_past).count()), (4, 3));
}

fn keywords<'v>(schema: &'v Value, used: &mut BTreeSet<&'v str>) {
    for (keyword, value) in schema.as_object().unwrap() {
        used.insert(keyword);
        match keyword.as_str() {
            "properties" => value.as_object().unwrap().values().for_each(|s| keywords(s, used)),
            "additionalProperties" | "items" => keywords(value, used),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        let _ = parse("room.yaml", &pieces.concat());
    }

    #[test]
    fn every_fault_stands_within_the_text(pieces in prop::collection::vec(piece(), 0..40)) {
        let text = format!("{HEAD}spec:\n{}", pieces.concat());
        if let Err(ManifestError::Invalid(faults)) = parse("room.yaml", &text) {
            let end = Position::end_of(&text);
            let first = Position::START;
            let within = |f: &Fault| (first..=end).contains(&Position { line: f.line, column: f.column });
            prop_assert!(faults.iter().all(within), "{faults:?} end {end:?}");
        }
    }
}

/// What YAML and our schema are made of, so that random text gets somewhere.
fn piece() -> impl Strategy<Value = String> {
    let words = "\n,\n  ,- ,: ,{,},[,],&a ,*a,!!int ,|\n,>\n,\",',# ,---\n,...\n,? ,~,5,-3,1.5,true,spec,roomId,rateLimit,burst,metadata,name,kind,é,\u{feff},\t,\r\n,%YAML 1.2\n";
    let words: Vec<_> = words.split(',').map(str::to_owned).chain([",".to_owned()]).collect();
    prop_oneof![9 => prop::sample::select(words), 1 => any::<String>()]
}
