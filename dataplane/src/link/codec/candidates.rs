//! Candidates and what is accounted for: what a consumer and a ranker say to each other.

use barrage_proto::{link as pb, v2::pb::Role};
use bytes::{Bytes, BytesMut};

use super::{Malformed, Wire, message, place, position, put, room, shard};
use crate::{
    link::{Accounted, Candidates, Danmaku},
    trace::TraceParent,
};

impl Wire for Candidates {
    fn encode(&self, buffer: &mut BytesMut) {
        let candidates = pb::Candidates {
            room: self.room.as_str().into(),
            shard: self.shard,
            record: Some(place(self.record)),
            owner_epoch: self.owner_epoch,
            closed: self.closed,
            danmaku: self.danmaku.iter().map(to_wire).collect(),
            trace: self.trace.map(|trace| trace.to_string()).unwrap_or_default(),
        };
        put(&candidates, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let pb::Candidates { room: id, shard: of, record, owner_epoch, closed, danmaku, trace } = message(bytes)?;
        Ok(Some(Self {
            room: room(&id)?,
            shard: shard(of)?,
            record: position(record, 0)?,
            owner_epoch,
            closed,
            danmaku: danmaku.into_iter().map(from_wire).collect::<Result<_, _>>()?,
            trace: TraceParent::parse(trace.as_bytes()),
        }))
    }
}

impl Wire for Accounted {
    fn encode(&self, buffer: &mut BytesMut) {
        let (room, record) = (self.room.as_str().into(), Some(place(self.record)));
        put(&pb::Accounted { room, shard: self.shard, record }, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let pb::Accounted { room: id, shard: of, record } = message(bytes)?;
        // The whole record is accounted for, so the index is that of no danmaku.
        Ok(Some(Self { room: room(&id)?, shard: shard(of)?, record: position(record, u32::MAX)? }))
    }
}

pub(super) fn to_wire(danmaku: &Danmaku) -> pb::Danmaku {
    pb::Danmaku {
        record: Some(place(danmaku.position)),
        index: danmaku.position.index,
        user: danmaku.user,
        session: danmaku.session,
        seq: danmaku.seq,
        role: i32::from(danmaku.role).cast_unsigned(),
        sent_ms: danmaku.sent_ms,
        received_ms: danmaku.received_ms,
        content: Bytes::clone(&danmaku.content),
    }
}

pub(super) fn from_wire(danmaku: pb::Danmaku) -> Result<Danmaku, Malformed> {
    let pb::Danmaku { record, index, user, session, seq, role, sent_ms, received_ms, content } = danmaku;
    if std::str::from_utf8(&content).is_err() {
        return Err(Malformed::Field("content"));
    }
    Ok(Danmaku {
        position: position(record, index)?,
        user,
        session,
        seq,
        // A role that a newer peer knows counts as the one with the fewest rights.
        role: Role::try_from(role.cast_signed()).unwrap_or_default(),
        sent_ms,
        received_ms,
        content,
    })
}
