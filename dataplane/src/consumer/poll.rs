//! What one read of a partition yields: records by slice, repeats blanked.

use std::collections::BTreeMap;

use barrage_proto::{
    Position,
    log::{Entry, Record, mark},
    v2::pb::Role,
};
use prost::Message;

use super::dedupe::Dedupe;
use crate::{
    link::{Candidates, Danmaku},
    log::{DeadLetter, LogRecord},
    room::RoomId,
    routes::Table,
    store::SliceRecord,
};

/// The version of a record that this reads, and those below.
const RECORD_VERSION: u32 = 0;

/// Records of one partition, grouped by slice, and from where to where they go.
pub(super) struct Poll {
    pub(super) partition: u32,
    pub(super) start: u64,
    /// Offset after the last record read, those that hold nothing included.
    pub(super) end: u64,
    pub(super) slices: BTreeMap<Slice, Vec<SliceRecord>>,
    /// Records that are none, or that a newer version wrote.
    pub(super) unreadable: Vec<DeadLetter>,
    pub(super) records: u64,
    pub(super) repeats: u64,
}

/// Room and shard.
pub(super) type Slice = (RoomId, u32);

impl Poll {
    pub(super) fn read(partition: u32, start: u64, records: Vec<LogRecord>, dedupe: &mut Dedupe) -> Self {
        let end = records.last().map_or(start, |record| record.offset + 1);
        let slices = BTreeMap::new();
        let count = records.len() as u64;
        let mut poll = Self { partition, start, end, slices, unreadable: Vec::new(), records: count, repeats: 0 };
        for LogRecord { offset, append_ms, payload, .. } in records {
            let mut record = match decode(&payload) {
                Ok(record) => record,
                Err(reason) => {
                    poll.unreadable.push(DeadLetter { partition, offset, reason, payload });
                    continue;
                }
            };
            poll.repeats += blank_repeats(&mut record, append_ms, dedupe);
            let slice = (RoomId::from(record.room.as_str()), record.shard);
            poll.slices.entry(slice).or_default().push(SliceRecord { offset, record });
        }
        poll
    }

    /// The slices of rooms that are served.
    pub(super) fn served<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (&'a Slice, &'a Vec<SliceRecord>)> {
        self.slices.iter().filter(|((room, _), _)| table.rooms.find(room.as_str()).is_some())
    }

    /// Danmaku in it, repeats included.
    pub(super) fn danmaku(&self) -> usize {
        self.slices.values().flatten().map(|record| record.record.entries.len()).sum()
    }

    /// What a ranker gets: one for each record of its rooms, so that its watermark passes those of repeats, too.
    ///
    /// A room that is not served now has no viewers and no ranker; what was acknowledged in it is kept all the same.
    pub(super) fn candidates<'a>(&'a self, table: &'a Table, ranker: &'a str) -> impl Iterator<Item = Candidates> + 'a {
        let owner_epoch = table.partitions.get(self.partition as usize).map_or(0, |owner| owner.epoch);
        let its = self.served(table).filter(move |((room, _), _)| table.ranker_of(room).map(|r| &**r) == Some(ranker));
        its.flat_map(move |((room, shard), records)| {
            records.iter().map(move |SliceRecord { offset, record }| {
                let place = Position { moved: record.moved, partition: self.partition, offset: *offset, index: 0 };
                let counting = (0..).zip(&record.entries).filter(|(_, entry)| entry.user != 0);
                let danmaku = counting.map(|(index, entry)| danmaku(Position { index, ..place }, record, entry));
                let closed = closes(record).is_some();
                let (room, shard) = (room.clone(), *shard);
                Candidates { room, shard, record: place, owner_epoch, closed, danmaku: danmaku.collect() }
            })
        })
    }
}

/// The number of the move that a record closes.
pub(super) fn closes(record: &Record) -> Option<u32> {
    let mark = record.mark.as_ref().filter(|mark| mark.kind() == mark::Kind::Closed)?;
    Some(mark.r#move)
}

fn decode(payload: &bytes::Bytes) -> Result<Record, String> {
    let record = Record::decode(payload.clone()).map_err(|error| format!("no record: {error}"))?;
    if record.version > RECORD_VERSION {
        return Err(format!(
            "a record of version {}; this consumer reads up to {RECORD_VERSION}: update it, then append the record again",
            record.version
        ));
    }
    if record.room.is_empty() {
        return Err("no record: it names no room".to_owned());
    }
    Ok(record)
}

/// An entry that does not count becomes one of user 0, who cannot send: the indexes of the others stay.
fn blank_repeats(record: &mut Record, append_ms: i64, dedupe: &mut Dedupe) -> u64 {
    let mut repeats = 0;
    for entry in &mut record.entries {
        if !dedupe.first(append_ms, (entry.user, entry.session, entry.seq)) {
            repeats += 1;
            *entry = Entry::default();
        }
    }
    repeats
}

fn danmaku(position: Position, record: &Record, entry: &Entry) -> Danmaku {
    Danmaku {
        position,
        user: entry.user,
        session: entry.session,
        seq: entry.seq,
        role: Role::try_from(entry.role.cast_signed()).unwrap_or_default(),
        sent_ms: entry.sent_ms,
        received_ms: record.received_ms + i64::from(entry.received_delta_ms),
        content: entry.content.clone(),
    }
}
