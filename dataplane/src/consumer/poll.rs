//! What one read of a partition yields: records by slice, repeats blanked.

use std::{collections::BTreeMap, sync::Arc};

use barrage_proto::{Position, log::Record};
use bytes::Bytes;

use super::dedupe::Dedupe;
use crate::{
    link::Candidates,
    log::{DeadLetter, LogRecord},
    room::RoomId,
    routes::Table,
    store::SliceRecord,
    trace::TraceParent,
};

/// The version of a record that this reads, and those below.
const RECORD_VERSION: u32 = 0;

/// Records of one partition, grouped by slice, and from where to where they go.
pub(super) struct Poll {
    pub(super) start: u64,
    /// Offset after the last record read, those that hold nothing included.
    pub(super) end: u64,
    pub(super) slices: BTreeMap<Slice, Vec<SliceRecord>>,
    /// Records that are none, or that a newer version wrote.
    pub(super) unreadable: Vec<DeadLetter>,
    pub(super) records: u64,
    pub(super) repeats: u64,
    /// What the log has of records that repeat nothing, by offset, ascending.
    payloads: Vec<(u64, Bytes)>,
    /// Offsets of the few records that are traced, ascending.
    pub(super) traces: Vec<(u64, TraceParent)>,
}

/// Room and shard.
pub(super) type Slice = (RoomId, u32);

impl Poll {
    pub(super) fn read(partition: u32, start: u64, records: Vec<LogRecord>, dedupe: &mut Dedupe) -> Self {
        let end = records.last().map_or(start, |record| record.offset + 1);
        let (slices, count) = (BTreeMap::new(), records.len() as u64);
        let (unreadable, payloads, traces) = (Vec::new(), Vec::new(), Vec::new());
        let mut poll = Self { start, end, slices, unreadable, records: count, repeats: 0, payloads, traces };
        for LogRecord { offset, append_ms, payload, trace } in records {
            poll.traces.extend(trace.map(|trace| (offset, trace)));
            let mut record = match decode(&payload) {
                Ok(record) => record,
                Err(reason) => {
                    poll.unreadable.push(DeadLetter { partition, offset, reason, payload });
                    continue;
                }
            };
            let slice = (RoomId::from(record.room.as_str()), record.shard);
            let repeats = dedupe.blank_repeats(append_ms, &mut record);
            poll.repeats += repeats;
            if repeats == 0 {
                poll.payloads.push((offset, payload));
            }
            poll.slices.entry(slice).or_default().push(SliceRecord { offset, record: record.into() });
        }
        poll
    }

    /// Offsets of the slices of rooms that are served.
    pub(super) fn served<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = (&'a Slice, u64)> {
        let all = self.slices.iter().flat_map(|(slice, records)| records.iter().map(move |r| (slice, r.offset)));
        all.filter(|((room, _), _)| table.serves(room))
    }

    /// The trace that the record at an offset is part of.
    pub(super) fn trace(&self, offset: u64) -> Option<TraceParent> {
        self.traces.iter().find(|(traced, _)| *traced == offset).map(|(_, trace)| *trace)
    }

    /// The bytes of the record at an offset, if it is as the log has it.
    pub(super) fn payload(&self, offset: u64) -> Option<Bytes> {
        let found = self.payloads.binary_search_by_key(&offset, |(at, _)| *at);
        found.ok().map(|index| self.payloads[index].1.clone())
    }

    /// Danmaku in it, repeats included.
    pub(super) fn danmaku(&self) -> usize {
        self.slices.values().flatten().map(|record| record.record.entries.len()).sum()
    }
}

/// What a ranker gets of a slice: one for each record, so that its watermark passes those of repeats, too. Nothing where
/// another ranks the room.
///
/// A room that is not served now has no viewers and no ranker; what was acknowledged in it is kept all the same.
pub(super) fn candidates<'a>(
    partition: u32,
    (room, shard): &'a Slice,
    records: &'a [SliceRecord],
    table: &Table,
    ranker: &str,
) -> impl Iterator<Item = Candidates> + use<'a> {
    let owner_epoch = table.partitions.get(partition as usize).map_or(0, |owner| owner.epoch);
    let its = table.serves(room) && table.ranker_of(room).map(|r| &**r) == Some(ranker);
    records.iter().filter(move |_| its).map(move |SliceRecord { offset, record }| Candidates {
        room: room.clone(),
        shard: *shard,
        record: Position { partition, offset: *offset, index: 0 },
        owner_epoch,
        said: Arc::clone(record),
        payload: None,
        trace: None,
    })
}

fn decode(payload: &Bytes) -> Result<Record, String> {
    let record = Record::read(payload.clone()).map_err(|error| format!("no record: {error}"))?;
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
