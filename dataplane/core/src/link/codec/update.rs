//! What a ranker tells a gateway: frames, and the snapshots that they go on from.

use std::sync::Arc;

use barrage_proto::{
    Cursor,
    link::{self as pb, update::Kind},
};
use bytes::{Bytes, BytesMut};

use super::{
    Malformed, Wire, alone,
    candidates::{act_from_wire, act_to_wire, from_wire, to_wire},
    message, place, position, put, room,
};
use crate::{
    link::{BoardChange, LeftOut, RoomFrame, Snapshot, Update},
    store::Scored,
    trace::TraceParent,
};

/// An update behind its length. A frame's bytes are made by whoever comes first and serve every gateway; they hold the
/// room too, so a frame is of one room.
pub(in crate::link) fn encoded(update: &Update) -> Bytes {
    match update {
        Update::Frame(_, emitted) => Bytes::clone(emitted.encoded.get_or_init(|| alone(update))),
        Update::Snapshot(..) | Update::Viewers(..) | Update::Settled(..) => alone(update),
    }
}

impl Wire for Update {
    fn encode(&self, buffer: &mut BytesMut) {
        let (room, kind) = match self {
            Self::Snapshot(room, snapshot) => (room, Kind::Snapshot(snapshot_to_wire(snapshot))),
            Self::Frame(room, emitted) => (room, Kind::Frame(frame_to_wire(&emitted.frame))),
            Self::Viewers(room, viewers) => (room, Kind::Viewers(*viewers)),
            &Self::Settled(ref room, (epoch, number)) => (room, Kind::Settled(pb::Settled { epoch, number })),
        };
        put(&pb::Update { room: room.as_str().into(), kind: Some(kind) }, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let pb::Update { room: id, kind } = message(bytes)?;
        Ok(match kind {
            None => None,
            Some(Kind::Snapshot(snapshot)) => Some(Self::Snapshot(room(&id)?, snapshot_from_wire(snapshot)?)),
            Some(Kind::Viewers(viewers)) => Some(Self::Viewers(room(&id)?, viewers)),
            Some(Kind::Settled(pb::Settled { epoch, number })) => Some(Self::Settled(room(&id)?, (epoch, number))),
            Some(Kind::Frame(frame)) => Some(Self::Frame(room(&id)?, Arc::new(frame_from_wire(frame)?.into()))),
        })
    }
}

fn snapshot_to_wire(snapshot: &Snapshot) -> pb::Snapshot {
    pb::Snapshot {
        epoch: snapshot.epoch,
        number: snapshot.number,
        watermark: snapshot.watermark.encode().into(),
        board: scores_to_wire(&snapshot.board),
    }
}

fn snapshot_from_wire(snapshot: pb::Snapshot) -> Result<Snapshot, Malformed> {
    let pb::Snapshot { epoch, number, watermark, board } = snapshot;
    Ok(Snapshot { epoch, number, watermark: cursor(&watermark)?, board: scores_from_wire(board) })
}

fn frame_to_wire(frame: &RoomFrame) -> pb::Frame {
    let LeftOut { merged, sampled_out, expired, deleted } = frame.left_out;
    let merges = frame.merges.iter();
    pb::Frame {
        epoch: frame.epoch,
        number: frame.number,
        watermark: frame.watermark.encode().into(),
        danmaku: frame.danmaku.iter().map(to_wire).collect(),
        merges: merges.map(|&(at, total)| pb::Merge { record: Some(place(at)), index: at.index, total }).collect(),
        merged,
        sampled_out,
        expired,
        board: frame.board.as_ref().map(|board| pb::BoardChange {
            reset: board.reset,
            scores: scores_to_wire(&board.scores),
            removed: board.removed.clone(),
        }),
        deleted,
        acts: frame.acts.iter().map(act_to_wire).collect(),
        likes: frame.likes,
        traces: frame.traces.iter().map(ToString::to_string).collect(),
    }
}

fn frame_from_wire(frame: pb::Frame) -> Result<RoomFrame, Malformed> {
    let pb::Frame { epoch, number, merged, sampled_out, expired, deleted, likes, .. } = frame;
    let pb::Frame { watermark, danmaku, merges, board, acts, traces, .. } = frame;
    let merges = merges.into_iter().map(|merge| Ok((position(merge.record, merge.index)?, merge.total)));
    Ok(RoomFrame {
        epoch,
        number,
        watermark: cursor(&watermark)?,
        danmaku: danmaku.into_iter().map(from_wire).collect::<Result<_, _>>()?,
        merges: merges.collect::<Result<_, _>>()?,
        left_out: LeftOut { merged, sampled_out, expired, deleted },
        board: board.map(|pb::BoardChange { reset, scores, removed }| BoardChange {
            reset,
            scores: scores_from_wire(scores),
            removed,
        }),
        acts: acts.into_iter().map(act_from_wire).collect::<Result<_, _>>()?,
        likes,
        traces: traces.iter().filter_map(|trace| TraceParent::parse(trace.as_bytes())).collect(),
    })
}

fn cursor(bytes: &[u8]) -> Result<Cursor, Malformed> {
    Cursor::decode(bytes).map_err(|_| Malformed::Field("watermark"))
}

fn scores_to_wire(scores: &[Scored]) -> Vec<pb::Scored> {
    scores.iter().map(|&Scored { user, score }| pb::Scored { user, score }).collect()
}

fn scores_from_wire(scores: Vec<pb::Scored>) -> Vec<Scored> {
    scores.into_iter().map(|pb::Scored { user, score }| Scored { user, score }).collect()
}
