//! How the vector files are read: `vectors/README.md` is the description.

use std::{fs, path::Path};

use serde_json::Value;

/// One vector, repetitions written out.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) kind: String,
    fields: Value,
}

impl Vector {
    /// A member of the vector's object; null where there is none.
    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.fields[name]
    }

    /// The member `bytes`.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes_of(self.field("bytes"))
            .unwrap_or_else(|| panic!("{}: bytes are hex, or a list of hex and repeats", self.name))
    }
}

/// Every vector of every file in `vectors/`, by file name.
pub(crate) fn load() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files.iter().flat_map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<Vector> {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let vectors = file["vectors"].as_array().unwrap_or_else(|| panic!("{}: no vectors", path.display()));
    vectors.iter().map(read_vector).collect()
}

pub(crate) fn read_vector(value: &Value) -> Vector {
    let text =
        |name: &str| value[name].as_str().unwrap_or_else(|| panic!("a vector without {name}: {value}")).to_owned();
    Vector { name: text("name"), kind: text("kind"), fields: written_out(value) }
}

/// Replaces every `{"text": …, "times": …}` by the text that it stands for.
fn written_out(value: &Value) -> Value {
    if let (Some(text), Some(times)) = (value["text"].as_str(), value["times"].as_u64()) {
        return text.repeat(usize::try_from(times).unwrap()).into();
    }
    match value {
        Value::Array(items) => items.iter().map(written_out).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), written_out(value))).collect(),
        other => other.clone(),
    }
}

fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(hex) => unhex(hex),
        Value::Array(parts) => Some(parts.iter().map(bytes_of).collect::<Option<Vec<_>>>()?.concat()),
        Value::Object(repeat) => {
            let times = usize::try_from(repeat.get("times")?.as_u64()?).ok()?;
            Some(unhex(repeat.get("hex")?.as_str()?)?.repeat(times))
        }
        _ => None,
    }
}

/// Bytes of hex digits; spaces and line ends between them mean nothing.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}
