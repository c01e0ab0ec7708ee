//! Fills the corpora of the fuzz targets from the test vectors: `cargo run -p barrage-proto --example fuzz_seeds`.

use std::{fs, io, path::Path};

use barrage_proto::log::{Entry, Record};
use prost::Message;

#[path = "../tests/vectors/format.rs"]
#[allow(dead_code)]
mod format;

fn main() -> io::Result<()> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut seeds = 0;
    for vector in format::load() {
        let Some(target) = target_of(&vector.kind) else {
            continue;
        };
        seed(&corpora.join(target), &vector.name, &vector.bytes())?;
        seeds += 1;
    }
    // Records are no part of the wire, so no vector has one.
    for (name, record) in [("empty", Record::default()), ("two", record())] {
        seed(&corpora.join("record"), name, &record.encode_to_vec())?;
        seeds += 1;
    }
    println!("{seeds} seeds in {}", corpora.display());
    Ok(())
}

/// The fuzz target that reads the bytes of a vector; none for one that has no bytes.
fn target_of(kind: &str) -> Option<&'static str> {
    match kind {
        "v1-frame" | "v1-frame-error" | "v1-message" => Some("v1"),
        "v2-frame" | "v2-frame-error" | "v2-message" | "v2-payload-error" => Some("v2"),
        "cursor" | "cursor-error" => Some("cursor"),
        "batch-rows" | "batch-error" => Some("batch"),
        _ => None,
    }
}

fn seed(corpus: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(corpus)?;
    fs::write(corpus.join(name), bytes)
}

fn record() -> Record {
    let entry = Entry { user: 123_456, session: 7, seq: 1, sent_ms: 1_696_118_400_000, ..Entry::default() };
    let entries = ["Hello", "666"].map(|text| Entry { content: text.as_bytes().into(), ..entry.clone() });
    Record {
        room: "demo".to_owned(),
        shard: 3,
        received_ms: 1_696_118_400_012,
        entries: entries.into(),
        ..Record::default()
    }
}
