//! The table as a file that an engineer edits: who owns what, in TOML like all settings. It holds the epoch at which it
//! was read, so that what somebody else wrote meanwhile is not undone. Rooms have manifests of their own and are not in
//! it, their rankers are. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Display, Write},
    ops::Range,
};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::{Owner, Table};
use crate::{link::Peer, room::RoomId};

/// A file does not say what the table should be.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not TOML, or not these fields.
    #[error("{source_name}: {reason}")]
    Syntax {
        source_name: String,
        /// Where, and what is wrong; lines of text.
        reason: String,
    },
    /// It contradicts itself or the pool.
    #[error("{source_name}:{line}: {field}: {reason}")]
    Field {
        source_name: String,
        /// The line, from 1.
        line: usize,
        field: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The table has changed since it was printed.
    #[error(
        "{source_name}: written against epoch {read}, but the table is at {current}: print it again with `barrage routes show -o file` and repeat what you changed"
    )]
    Moved {
        source_name: String,
        /// Epoch in the file.
        read: u64,
        /// Epoch of the table.
        current: u64,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    epoch: u64,
    unowned: Vec<Spanned<u32>>,
    consumers: BTreeMap<String, Vec<Spanned<u32>>>,
    rankers: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    room_rankers: BTreeMap<String, Spanned<String>>,
}

/// The file's text for a table.
#[must_use]
pub fn print(table: &Table, pool: &str) -> String {
    let mut text = format!(
        "# The route table of the pool {pool}. Edit it, then: barrage routes apply -f FILE --dry-run\n\
         # It is refused when the table has changed since; who applies it takes over from an operator.\n\
         epoch = {}\n\n# Partitions that nobody reads.\nunowned = {:?}\n\n# Partitions by consumer.\n[consumers]\n",
        table.epoch,
        owned(table, None)
    );
    let consumers: BTreeSet<&Peer> = table.partitions.iter().filter_map(|owner| owner.consumer.as_ref()).collect();
    for consumer in consumers {
        line(&mut text, consumer, format!("{:?}", owned(table, Some(consumer))));
    }
    text.push_str("\n# Where the links of each ranker are reached.\n[rankers]\n");
    for (name, address) in &table.rankers {
        line(&mut text, name, format!("{address:?}"));
    }
    text.push_str("\n# Rooms whose ranker is not the one that the hash of their ID chooses.\n[room-rankers]\n");
    for (room, ranker) in table.room_rankers.iter().collect::<BTreeMap<_, _>>() {
        line(&mut text, room, format!("{:?}", &**ranker));
    }
    text
}

/// The table that a file asks for, in place of `table`.
///
/// # Errors
/// The file is not as [`print()`] writes it, contradicts itself or the pool, or was written against another epoch.
pub fn parse(source_name: &str, text: &str, table: &Table) -> Result<Table, FileError> {
    let document: Document = toml::from_str(text).map_err(|error| FileError::Syntax {
        source_name: source_name.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    })?;
    if document.epoch != table.epoch {
        let source_name = source_name.to_owned();
        return Err(FileError::Moved { source_name, read: document.epoch, current: table.epoch });
    }
    let check = Check { source_name, text, table };
    let mut new = Table { epoch: table.epoch + 1, ..table.clone() };
    new.partitions = check.owners(&document, new.epoch)?;
    new.rankers = BTreeMap::new();
    for (name, address) in &document.rankers {
        new.rankers.insert(name.as_str().into(), check.address(name, address)?);
    }
    new.room_rankers.clear();
    for (room, ranker) in &document.room_rankers {
        let field = format!("room-rankers.{room}");
        let known = check.room(&field, room, ranker.span())?;
        let Some((name, _)) = new.rankers.get_key_value(ranker.get_ref().as_str()) else {
            return Err(check.wrong(&field, ranker.span(), format!("{:?} is not in [rankers]", ranker.get_ref())));
        };
        new.room_rankers.insert(known, name.clone());
    }
    Ok(new)
}

fn owned(table: &Table, consumer: Option<&Peer>) -> Vec<u32> {
    let owners = (0..).zip(&table.partitions);
    owners.filter(|(_, owner)| owner.consumer.as_ref() == consumer).map(|(number, _)| number).collect()
}

/// A name in quotes and its value; writing to a string cannot fail.
fn line(text: &mut String, name: impl Display, value: String) {
    let _ = writeln!(text, "{:?} = {value}", name.to_string());
}

struct Check<'a> {
    source_name: &'a str,
    text: &'a str,
    table: &'a Table,
}

impl Check<'_> {
    fn owners(&self, document: &Document, epoch: u64) -> Result<Vec<Owner>, FileError> {
        let mut owners: Vec<Option<Option<Peer>>> = vec![None; self.table.partitions.len()];
        let by_consumer = document.consumers.iter().map(|(name, partitions)| (Some(name), partitions));
        for (consumer, partitions) in by_consumer.chain([(None, &document.unowned)]) {
            let field = consumer.map_or_else(|| "unowned".to_owned(), |name| format!("consumers.{name}"));
            for partition in partitions {
                let number = *partition.get_ref();
                let wrong = |reason| Err(self.wrong(&field, partition.span(), reason));
                match owners.get_mut(number as usize) {
                    None => return wrong(self.no_partition(number)),
                    Some(Some(_)) => return wrong(format!("partition {number} is here a second time")),
                    Some(owner) => *owner = Some(consumer.map(|name| name.as_str().into())),
                }
            }
        }
        let mut all = Vec::new();
        for (number, (owner, before)) in owners.into_iter().zip(&self.table.partitions).enumerate() {
            let Some(consumer) = owner else {
                let reason = format!("partition {number} is missing: give it to a consumer, or list it in unowned");
                return Err(self.wrong("consumers", 0..0, reason));
            };
            let same = consumer == before.consumer;
            all.push(if same { before.clone() } else { Owner { consumer, epoch } });
        }
        Ok(all)
    }

    fn address(&self, name: &str, address: &Spanned<String>) -> Result<String, FileError> {
        let parts = address.get_ref().rsplit_once(':');
        if parts.is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            let reason = format!("{:?} is no address: allowed is host:port", address.get_ref());
            return Err(self.wrong(&format!("rankers.{name}"), address.span(), reason));
        }
        Ok(address.get_ref().clone())
    }

    fn room(&self, field: &str, room: &str, at: Range<usize>) -> Result<RoomId, FileError> {
        let known = self.table.rooms.find(room).map(|room| room.id.clone());
        known.ok_or_else(|| self.wrong(field, at, format!("room {room:?} is not served: see `barrage rooms list`")))
    }

    fn no_partition(&self, number: u32) -> String {
        let count = self.table.partition_count();
        format!("there is no partition {number}: the pool has {count}, from 0")
    }

    fn wrong(&self, field: &str, at: Range<usize>, reason: String) -> FileError {
        let before = self.text.as_bytes().iter().take(at.start);
        let (source_name, field) = (self.source_name.to_owned(), field.to_owned());
        FileError::Field { source_name, line: 1 + before.filter(|&&byte| byte == b'\n').count(), field, reason }
    }
}

#[cfg(test)]
mod tests;
