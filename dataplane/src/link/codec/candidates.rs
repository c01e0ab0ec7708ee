//! Candidates and what is accounted for: what a consumer and a ranker say to each other.

use barrage_proto::{
    link as pb,
    log::Record,
    v2::pb::{Mode, Role, Size},
};
use bytes::{Bytes, BytesMut};
use prost::Message;

use super::{Malformed, Wire, message, place, position, put, room, shard};
use crate::{
    link::{Accounted, Candidates, Danmaku, More, Style},
    moderation::Act,
    trace::TraceParent,
};

impl Wire for Candidates {
    fn encode(&self, buffer: &mut BytesMut) {
        let candidates = pb::Candidates {
            room: self.room.as_str().into(),
            shard: self.shard,
            record: Some(place(self.record)),
            owner_epoch: self.owner_epoch,
            trace: self.trace.map(|trace| trace.to_string()).unwrap_or_default(),
            said: self.payload.clone().unwrap_or_else(|| self.said.encode_to_vec().into()),
        };
        put(&candidates, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let pb::Candidates { room: id, shard: of, record, owner_epoch, trace, said } = message(bytes)?;
        // Texts are parts of these bytes: one allocation for all of them. Who keeps one for long copies it.
        // That they are UTF-8 is looked at where one is shown, which few are.
        let said = Record::read(said).map_err(|_| Malformed::Undecodable)?;
        Ok(Some(Self {
            room: room(&id)?,
            shard: shard(of)?,
            record: position(record, 0)?,
            owner_epoch,
            said: said.into(),
            payload: None,
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
        mode: i32::from(danmaku.style.mode).cast_unsigned(),
        colour: danmaku.style.colour,
        size: i32::from(danmaku.style.size).cast_unsigned(),
        reply: danmaku.more.as_ref().and_then(|more| more.reply),
        gift: danmaku.gift().cloned().map(Box::new),
    }
}

pub(super) fn from_wire(danmaku: pb::Danmaku) -> Result<Danmaku, Malformed> {
    if std::str::from_utf8(&danmaku.content).is_err() {
        return Err(Malformed::Field("content"));
    }
    let pb::Danmaku { reply, gift, .. } = danmaku;
    Ok(Danmaku {
        position: position(danmaku.record, danmaku.index)?,
        user: danmaku.user,
        session: danmaku.session,
        seq: danmaku.seq,
        // A role that a newer peer knows counts as the one with the fewest rights.
        role: Role::try_from(danmaku.role.cast_signed()).unwrap_or_default(),
        sent_ms: danmaku.sent_ms,
        received_ms: danmaku.received_ms,
        content: danmaku.content,
        style: Style {
            mode: Mode::try_from(danmaku.mode.cast_signed()).unwrap_or_default(),
            colour: danmaku.colour,
            size: Size::try_from(danmaku.size.cast_signed()).unwrap_or_default(),
        },
        more: (reply.is_some() || gift.is_some()).then(|| More { reply, gift: gift.map(|gift| *gift) }.into()),
    })
}

pub(super) fn act_to_wire(act: &Act) -> pb::Act {
    let (record, index) = (Some(place(act.position)), act.position.index);
    pb::Act { record, index, shard: act.shard, at_ms: act.at_ms, act: Some(act.act.clone()) }
}

pub(super) fn act_from_wire(act: pb::Act) -> Result<Act, Malformed> {
    let pb::Act { record, index, shard: of, at_ms, act } = act;
    Ok(Act { shard: shard(of)?, position: position(record, index)?, at_ms, act: act.ok_or(Malformed::Field("act"))? })
}
