//! What a gateway asks of a ranker.

use barrage_proto::link::{self as pb, request::Kind};
use bytes::BytesMut;

use super::{Malformed, Wire, message, put, room};
use crate::link::Request;

impl Wire for Request {
    fn encode(&self, buffer: &mut BytesMut) {
        let kind = match self {
            &Self::Follow { ref room, epoch, number } => {
                Kind::Follow(pb::Follow { room: room.as_str().into(), epoch, number })
            }
            Self::Unfollow { room } => Kind::Unfollow(pb::Unfollow { room: room.as_str().into() }),
            &Self::Seen { ref room, epoch, number, viewers } => {
                Kind::Seen(pb::Seen { room: room.as_str().into(), epoch, number, viewers })
            }
        };
        put(&pb::Request { kind: Some(kind) }, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let request: pb::Request = message(bytes)?;
        let Some(kind) = request.kind else { return Ok(None) };
        Ok(Some(match kind {
            Kind::Follow(pb::Follow { room: id, epoch, number }) => Self::Follow { room: room(&id)?, epoch, number },
            Kind::Unfollow(pb::Unfollow { room: id }) => Self::Unfollow { room: room(&id)? },
            Kind::Seen(pb::Seen { room: id, epoch, number, viewers }) => {
                Self::Seen { room: room(&id)?, epoch, number, viewers }
            }
        }))
    }
}
