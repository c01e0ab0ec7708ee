//! What one read of a partition yields: records by slice, repeats blanked.

use std::collections::BTreeMap;

use barrage_proto::{
    Position,
    log::{Entry, Record},
    v2::pb::Role,
};
use prost::Message;

use super::{dedupe::Dedupe, metrics::Metrics};
use crate::{
    link::{Candidates, Danmaku},
    log::LogRecord,
    room::{RoomId, Rooms},
    store::SliceRecord,
};

/// Records of one partition, grouped by slice, and up to where they go.
pub(super) struct Poll {
    pub(super) partition: u32,
    /// Offset after the last record read, those that hold nothing included.
    pub(super) end: u64,
    pub(super) slices: BTreeMap<Slice, Vec<SliceRecord>>,
}

/// Room and shard.
pub(super) type Slice = (RoomId, u32);

impl Poll {
    pub(super) fn read(partition: u32, records: Vec<LogRecord>, dedupe: &mut Dedupe, metrics: &Metrics) -> Self {
        metrics.records.inc_by(records.len() as u64);
        let end = records.last().map_or(0, |record| record.offset + 1);
        let mut slices: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for LogRecord { offset, append_ms, payload } in records {
            let Ok(mut record) = Record::decode(payload) else {
                metrics.unreadable.inc();
                tracing::warn!(partition, offset, "a record of the log is none; passed over");
                continue;
            };
            blank_repeats(&mut record, append_ms, dedupe, metrics);
            slices
                .entry((RoomId::from(record.room.as_str()), record.shard))
                .or_default()
                .push(SliceRecord { offset, record });
        }
        Self { partition, end, slices }
    }

    /// The slices of rooms that are served.
    pub(super) fn served<'a>(&'a self, rooms: &'a Rooms) -> impl Iterator<Item = (&'a Slice, &'a Vec<SliceRecord>)> {
        self.slices.iter().filter(|((room, _), _)| rooms.find(room.as_str()).is_some())
    }

    /// Danmaku in it, repeats included.
    pub(super) fn danmaku(&self) -> usize {
        self.slices.values().flatten().map(|record| record.record.entries.len()).sum()
    }

    /// What the ranker gets: one for each record, so that its watermark passes those of repeats, too.
    ///
    /// A room that is not served now has no viewers and no ranker; what was acknowledged in it is kept all the same.
    pub(super) fn candidates<'a>(&'a self, rooms: &'a Rooms) -> impl Iterator<Item = Candidates> + 'a {
        self.served(rooms).flat_map(|((room, shard), records)| {
            records.iter().map(|SliceRecord { offset, record }| {
                let place = Position { partition: self.partition, offset: *offset, index: 0 };
                let counting = (0..).zip(&record.entries).filter(|(_, entry)| entry.user != 0);
                let danmaku = counting.map(|(index, entry)| danmaku(Position { index, ..place }, record, entry));
                Candidates { room: room.clone(), shard: *shard, record: place, danmaku: danmaku.collect() }
            })
        })
    }
}

/// An entry that does not count becomes one of user 0, who cannot send: the indexes of the others stay.
fn blank_repeats(record: &mut Record, append_ms: i64, dedupe: &mut Dedupe, metrics: &Metrics) {
    for entry in &mut record.entries {
        if dedupe.first(append_ms, (entry.user, entry.session, entry.seq)) {
            metrics.danmaku.inc();
        } else {
            metrics.repeats.inc();
            *entry = Entry::default();
        }
    }
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
