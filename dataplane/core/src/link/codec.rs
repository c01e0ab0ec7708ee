//! The bytes of links: each message of [`crate::link`] behind its length, a varint, as `proto/barrage/link/v1/link.proto`
//! has it.
//!
//! A peer is trusted by its certificate, but its program may be newer or have a bug: whatever it says is checked, kinds
//! and fields that are not known are skipped, and the rest of what is wrong ends the connection with a reason.

mod candidates;
mod request;
mod update;

#[cfg(test)]
mod tests;

use barrage_proto::{Position, link as pb};
use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use thiserror::Error;

pub(super) use update::encoded;

use crate::room::RoomId;

/// Bytes of a message without its length, at the most: many times a record of the log (1 MiB) or a snapshot.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Shards that a room can have, at the most; a cursor has the same bound.
const SHARDS_MAX: u32 = 1024;
/// Bytes of a varint of 64 bits: seven bits each.
const VARINT_BYTES_MAX: usize = 10;

pub(super) trait Wire: Sized {
    /// Appends it, behind its length.
    fn encode(&self, buffer: &mut BytesMut);

    /// Reads one without its length; `None` for a kind that a newer peer knows.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed>;
}

/// A peer's bytes are not what a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// A length that is none, or over the limit.
    #[error("a message says that it is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A stream ended within a message.
    #[error("a stream ended in the middle of a message")]
    Truncated,
    /// Not the message that belongs here.
    #[error("bytes that are not the message that belongs here")]
    Undecodable,
    /// A field that is always there is not, or has a value that it cannot have.
    #[error("a message whose {0} is missing or impossible")]
    Field(&'static str),
}

/// Takes the next whole message off the front of what was received; `None` when there is none yet, or only one of a
/// kind that is skipped.
pub(super) fn take<M: Wire>(received: &mut BytesMut) -> Result<Option<M>, Malformed> {
    while let Some((head, length)) = length(received)? {
        let Some(bytes) = received.get(head..head + length) else { break };
        let message = M::decode(bytes);
        received.advance(head + length);
        if let Some(message) = message? {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

/// A message alone, behind its length.
pub(super) fn alone<M: Wire>(message: &M) -> Bytes {
    let mut buffer = BytesMut::new();
    message.encode(&mut buffer);
    buffer.freeze()
}

/// How many bytes the length takes, and the length; `None` while it is not whole.
fn length(received: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let head = &received[..received.len().min(VARINT_BYTES_MAX)];
    let Some(last) = head.iter().position(|byte| byte & 0x80 == 0) else {
        return if head.len() == VARINT_BYTES_MAX { Err(Malformed::TooLong) } else { Ok(None) };
    };
    let length = prost::decode_length_delimiter(&head[..=last]).map_err(|_| Malformed::TooLong)?;
    if length > MESSAGE_BYTES_MAX { Err(Malformed::TooLong) } else { Ok(Some((last + 1, length))) }
}

impl Wire for pb::Hello {
    fn encode(&self, buffer: &mut BytesMut) {
        put(self, buffer);
    }

    fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        message(bytes).map(Some)
    }
}

fn put(message: &impl Message, buffer: &mut BytesMut) {
    // It fails only where a buffer has no room, and this one grows.
    message.encode_length_delimited(buffer).expect("a BytesMut grows");
}

/// What a danmaku says is copied out of `bytes`: somebody who keeps one for seconds must not keep a whole read with it.
fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|_| Malformed::Undecodable)
}

/// What `LiveRoom` allows: `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`.
fn room(id: &str) -> Result<RoomId, Malformed> {
    let bytes = id.as_bytes();
    let grammatical = matches!(bytes.len(), 1..=63)
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !id.starts_with('-')
        && !id.ends_with('-');
    if grammatical { Ok(RoomId::from(id)) } else { Err(Malformed::Field("room")) }
}

fn shard(shard: u32) -> Result<u32, Malformed> {
    if shard < SHARDS_MAX { Ok(shard) } else { Err(Malformed::Field("shard")) }
}

const fn place(position: Position) -> pb::Place {
    pb::Place { partition: position.partition, offset: position.offset }
}

fn position(place: Option<pb::Place>, index: u32) -> Result<Position, Malformed> {
    let pb::Place { partition, offset } = place.ok_or(Malformed::Field("record"))?;
    Ok(Position { partition, offset, index })
}
