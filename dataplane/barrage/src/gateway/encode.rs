//! A room's flush, encoded once per wire format: WebSocket messages that are equal for every viewer.

use std::sync::Arc;

use barrage_proto::{
    Cursor, Position,
    batch::BatchBuilder,
    v1,
    v2::{Encoder, Payload, pb},
};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Data, OpCode},
};

use barrage_core::{
    link::{BoardChange, Danmaku, LeftOut},
    room::RoomId,
    store::Scored,
    trace::Span,
};

/// Longest header of an unmasked frame: opcode and length 2, extended length 8.
const WEBSOCKET_HEADER_BYTES_MAX: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// Flushes of several rooms, handed over together.
pub(crate) type Flushes = Arc<[Arc<Flush>]>;

/// One flush of a room, ready to be written. An empty message is nothing to write.
pub(crate) struct Flush {
    pub(crate) room: RoomId,
    /// Slices that moved, and up to where.
    pub(crate) watermark: Cursor,
    /// What is shown, to find senders' own among it.
    pub(crate) danmaku: Vec<Danmaku>,
    /// WebSocket message for version 1.
    pub(crate) v1: Bytes,
    /// WebSocket message for version 2.
    pub(crate) v2: Bytes,
    pub(crate) notices: Vec<Notice>,
}

impl Flush {
    /// The message for a version; empty when it has nothing to say to it.
    pub(crate) const fn message(&self, version: Version) -> &Bytes {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }
}

pub(crate) struct Notice {
    pub(crate) user: u64,
    pub(crate) notice: pb::Notice,
}

#[derive(Default)]
pub(crate) struct Content {
    pub(crate) watermark: Cursor,
    pub(crate) danmaku: Vec<Danmaku>,
    pub(crate) merges: Vec<(Position, u32)>,
    pub(crate) left_out: LeftOut,
    pub(crate) board: Vec<BoardChange>,
    pub(crate) state: Option<pb::RoomState>,
    pub(crate) cursor: Vec<u8>,
    pub(crate) removal: pb::Removal,
    pub(crate) settings: Option<pb::RoomSettings>,
    pub(crate) highlights: Option<pb::Highlights>,
    pub(crate) notices: Vec<Notice>,
    /// Of the traced records in it; they end when it is handed to the shards.
    pub(crate) spans: Vec<Span>,
}

impl Content {
    /// Encodes for both versions.
    pub(crate) fn encode(self, room: RoomId, encoder: &mut Encoder) -> Flush {
        Flush {
            v1: self.encode_v1(),
            v2: self.encode_v2(encoder),
            room,
            watermark: self.watermark,
            danmaku: self.danmaku,
            notices: self.notices,
        }
    }

    fn encode_v1(&self) -> Bytes {
        let bytes: usize = self.danmaku.iter().map(|danmaku| v1::HEADER_BYTES + danmaku.content.len()).sum();
        let mut frames = Vec::with_capacity(bytes);
        for danmaku in &self.danmaku {
            v1_frame(danmaku, &mut frames);
        }
        message(&frames)
    }

    fn encode_v2(&self, encoder: &mut Encoder) -> Bytes {
        let mut frames = Vec::new();
        // First: it is about what was sent before, not about what comes now.
        if self.removal != pb::Removal::default() {
            encoder.encode(&self.removal, &mut frames);
        }
        for batch in self.batches() {
            encoder.encode(&batch, &mut frames);
        }
        for change in &self.board {
            encode_board(change, encoder, &mut frames);
        }
        if let Some(state) = &self.state {
            encoder.encode(state, &mut frames);
        }
        if let Some(settings) = &self.settings {
            encoder.encode(settings, &mut frames);
        }
        if let Some(highlights) = &self.highlights {
            encoder.encode(highlights, &mut frames);
        }
        message(&frames)
    }

    /// One batch, or several where a room's slices stand in several partitions; the last says what was left out.
    fn batches(&self) -> Vec<pb::Batch> {
        let mut batches = batches(self.danmaku.iter());
        let LeftOut { merged, sampled_out, expired, .. } = self.left_out;
        let left_out = (merged, sampled_out, expired) != (0, 0, 0) || !self.merges.is_empty();
        if batches.is_empty() && (left_out || !self.cursor.is_empty()) {
            batches.push(pb::Batch::default());
        }
        if let Some(last) = batches.last_mut() {
            let merge =
                |&(Position { partition, offset, index, .. }, total)| pb::Merge { partition, offset, index, total };
            last.merge = self.merges.iter().map(merge).collect();
            (last.merged, last.sampled_out, last.expired) = (merged, sampled_out, expired);
            last.cursor.clone_from(&self.cursor);
        }
        batches
    }
}

/// Danmaku as batches, one for each run in one partition.
pub(crate) fn batches<'a>(danmaku: impl Iterator<Item = &'a Danmaku>) -> Vec<pb::Batch> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::default();
    for danmaku in danmaku {
        let row = danmaku.row();
        if builder.push(&row).is_err() {
            batches.push(std::mem::take(&mut builder).build());
            // An empty builder takes a row of any partition.
            let _ = builder.push(&row);
        }
    }
    if !builder.is_empty() {
        batches.push(builder.build());
    }
    batches
}

/// Appends a danmaku's version 1 frame.
pub(crate) fn v1_frame(danmaku: &Danmaku, frames: &mut Vec<u8>) {
    let frame = v1::Frame {
        frame_type: v1::FrameType::Danmaku,
        timestamp_ms: danmaku.sent_ms,
        user_id: danmaku.user,
        content: danmaku.text(),
    };
    // Refuses only what is longer than any gateway accepts.
    let _ = frame.encode(frames);
}

fn encode_board(change: &BoardChange, encoder: &mut Encoder, frames: &mut Vec<u8>) {
    let (user, score) = columns(&change.scores);
    if change.reset {
        encoder.encode(&pb::RankingSnapshot { user, score }, frames);
    } else {
        encoder.encode(&pb::RankingDelta { user, score, removed: change.removed.clone() }, frames);
    }
}

/// A leaderboard, best first.
pub(crate) fn ranking_snapshot(scores: &[Scored]) -> pb::RankingSnapshot {
    let (user, score) = columns(scores);
    pb::RankingSnapshot { user, score }
}

fn columns(scores: &[Scored]) -> (Vec<u64>, Vec<u64>) {
    scores.iter().map(|scored| (scored.user, scored.score)).unzip()
}

/// A WebSocket message of one version 2 frame.
pub(crate) fn message_of(payload: &impl Payload, encoder: &mut Encoder) -> Bytes {
    let mut frames = Vec::new();
    encoder.encode(payload, &mut frames);
    message(&frames)
}

/// A binary WebSocket message from a server: a header, then the payload unmasked (RFC 6455, section 5.2).
pub(crate) fn message(payload: &[u8]) -> Bytes {
    if payload.is_empty() {
        return Bytes::new();
    }
    let mut out = Vec::with_capacity(WEBSOCKET_HEADER_BYTES_MAX + payload.len());
    let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    // Writing to a vector does not fail.
    let _ = header.format(payload.len() as u64, &mut out);
    out.extend_from_slice(payload);
    out.into()
}

#[cfg(test)]
mod tests;
