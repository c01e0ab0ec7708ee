//! Runs the test vectors in `vectors/` against this crate, and checks that there is one for each way to go wrong.

use std::{collections::BTreeSet, fmt::Debug};

use serde_json::json;

/// Defines, for an error enum, `VARIANTS` and the name of a value's variant; a new variant does not compile until it
/// is listed, and then needs a vector.
macro_rules! variants {
    ($error:ident: $($name:ident),* $(,)?) => {
        pub(crate) const VARIANTS: &[&str] = &[$(stringify!($name)),*];

        pub(crate) const fn variant(error: &$error) -> &'static str {
            match error {
                $($error::$name { .. } => stringify!($name)),*
            }
        }
    };
}

#[path = "vectors/format.rs"]
mod format;
#[path = "vectors/payloads.rs"]
mod payloads;
#[path = "vectors/v1.rs"]
mod v1;
#[path = "vectors/v2.rs"]
mod v2;

use barrage_proto::v2::{FLAG_ZSTD, FrameType};
use format::Vector;

/// What checking a vector says: nothing, or what is wrong.
type Checked = Result<(), String>;

#[test]
fn every_vector_holds() {
    let vectors = format::load();
    let wrong: Vec<_> = vectors
        .iter()
        .filter_map(|vector| check(vector).err().map(|error| format!("{}: {error}", vector.name)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} vectors fail:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

#[test]
fn names_are_unique() {
    let vectors = format::load();
    let names: BTreeSet<_> = vectors.iter().map(|vector| &vector.name).collect();
    assert_eq!(names.len(), vectors.len());
}

#[test]
fn an_unknown_kind_fails() {
    let vector = format::read_vector(&json!({ "name": "x", "kind": "v3-frame" }));
    assert_eq!(check(&vector), Err("no check for kind v3-frame".to_owned()));
}

#[test]
fn every_error_has_a_vector() {
    let vectors = format::load();
    let expected = [
        ("v1-frame-error", v1::VARIANTS),
        ("v1-encode-error", &["ContentTooLong"]),
        ("v2-frame-error", v2::framing::VARIANTS),
        ("v2-payload-error", v2::payload::VARIANTS),
        ("cursor-error", payloads::VARIANTS),
        ("batch-error", &["UnevenColumns"]),
        ("id-error", &["ParsePositionError"]),
    ];
    for (kind, variants) in expected {
        let of_kind = vectors.iter().filter(|vector| vector.kind == kind);
        let found: BTreeSet<_> = of_kind.filter_map(|vector| vector.field("error")["kind"].as_str()).collect();
        assert_eq!(found, variants.iter().copied().collect(), "errors of {kind} vectors");
    }
}

#[test]
fn every_frame_type_has_a_vector_plain_and_compressed() {
    let vectors = format::load();
    for frame_type in FrameType::ALL {
        for flags in [0, FLAG_ZSTD] {
            let there = vectors.iter().filter(|vector| vector.kind == "v2-frame").any(|vector| {
                let header = vector.field("header");
                header["type"] == frame_type.code() && header["flags"] == flags
            });
            assert!(there, "no vector of a {frame_type:?} with flags {flags:#04x}");
        }
    }
}

fn check(vector: &Vector) -> Checked {
    match vector.kind.as_str() {
        "v1-frame" => v1::frame(vector),
        "v1-frame-error" => v1::frame_error(vector),
        "v1-message" => v1::message(vector),
        "v1-encode-error" => v1::encode_error(vector),
        "v2-frame" => v2::frame(vector),
        "v2-frame-error" => v2::frame_error(vector),
        "v2-message" => v2::message(vector),
        "v2-payload-error" => v2::payload_error(vector),
        "cursor" => payloads::cursor(vector),
        "cursor-error" => payloads::cursor_error(vector),
        "batch-rows" => payloads::batch_rows(vector),
        "batch-error" => payloads::batch_error(vector),
        "id" => payloads::id(vector),
        "id-error" => payloads::id_error(vector),
        other => Err(format!("no check for kind {other}")),
    }
}

fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Checked {
    if found == expected { Ok(()) } else { Err(format!("found {found:?}, expected {expected:?}")) }
}
