//! From a YAML file to [`RoomManifest`]s, for a process that has no API server: `kubectl apply` and this module
//! take the same files and refuse the same faults, because both check against the schema of the CRD.
//! A fault is answered with the file, the line, the field, what is wrong and what would be allowed.

mod document;
mod faults;
mod room;
mod schema;
#[cfg(test)]
mod tests;
mod yaml;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::RoomManifest;
use document::Position;
use faults::Faults;
pub use faults::{Fault, ManifestError};
use schema::Schema;

/// What a manifest may be long: some thousand rooms.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads the rooms that the file at `path` declares, at least one, in its order.
///
/// # Errors
/// The file cannot be read, is larger than 1 MiB, or is not as [`parse`] wants it.
pub fn load(path: &Path) -> Result<Vec<RoomManifest>, ManifestError> {
    let source_name = path.display().to_string();
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file that is too long from one that just fits.
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ManifestError::TooLong { source_name });
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(&source_name, text),
        Err(error) => {
            let (before, rest) = bytes.split_at(error.valid_up_to());
            let what = format!("the byte {:#04x} is not UTF-8: save the file as UTF-8", rest[0]);
            let before = String::from_utf8_lossy(before);
            let faults = Faults::new(&source_name, &before);
            Err(faults.only(Position::end_of(&before), "", what))
        }
    }
}

/// Reads the rooms that `text` declares: one or more YAML documents, each a `LiveRoom` of
/// `barrage.live/v1alpha1`, no two with the same room ID. `source_name` is what errors call the text.
///
/// What only an API server fills in (`status`, `metadata.uid` and the like) is let through and dropped, so
/// that the output of `kubectl get liveroom NAME -o yaml` can be read.
///
/// # Errors
/// The text is longer than 1 MiB, is not YAML, declares no room, or has faults: then all of them.
pub fn parse(source_name: &str, text: &str) -> Result<Vec<RoomManifest>, ManifestError> {
    if text.len() > FILE_BYTES_MAX {
        let source_name = source_name.to_owned();
        return Err(ManifestError::TooLong { source_name });
    }
    let mut faults = Faults::new(source_name, text);
    let documents = match yaml::read(text) {
        Ok(documents) => documents,
        Err(error) => return Err(faults.only(error.at, "", error.what)),
    };
    if documents.is_empty() {
        let what = "empty (allowed: one or more documents of kind LiveRoom)";
        return Err(faults.only(Position::START, "", what.to_owned()));
    }
    let Some(schema) = room::schema().and_then(|schema| serde_json::from_value::<Schema>(schema).ok()) else {
        return Err(faults.only(Position::START, "", "cannot be checked: this program has no schema".to_owned()));
    };
    let mut rooms = Vec::new();
    for document in &documents {
        let (value, findings) = schema::check(document, &schema);
        if findings.is_empty() {
            let room = room::room(document, value, &mut faults);
            rooms.extend(room.map(|room| (document, room)));
        } else {
            faults.extend(room::telling(findings));
        }
    }
    room::refuse_doubles(&rooms, &mut faults);
    faults.none_or_error()?;
    Ok(rooms.into_iter().map(|(_, room)| room).collect())
}
