//! The 12 bytes before every payload, and how frames are told apart in a message.

use bytes::{Buf, BufMut};
use thiserror::Error;

use crate::MAGIC;

/// The version byte.
pub const VERSION: u8 = 2;
/// Bytes before the payload: magic 2, version 1, type 1, flags 1, reserved 1, room 2, payload length 4.
pub const HEADER_BYTES: usize = 2 + 1 + 1 + 1 + 1 + 2 + 4;

/// A frame's header, magic and version left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type code, known or not; see [`super::FrameType`].
    pub code: u8,
    /// See [`super::FLAG_ZSTD`] and [`super::FLAGS_CRITICAL`].
    pub flags: u8,
    /// The room on this connection: 0 is the room of the URL, the only one so far.
    pub room: u16,
    /// Bytes of the payload as it stands on the wire.
    pub payload_bytes: u32,
}

impl Header {
    /// Appends the header to `out`, magic and version included.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u16(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.code);
        out.put_u8(self.flags);
        out.put_u8(0);
        out.put_u16(self.room);
        out.put_u32(self.payload_bytes);
    }
}

/// One frame as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame<'a> {
    pub header: Header,
    /// Its payload, still compressed if the header says so.
    pub payload: &'a [u8],
}

/// Why bytes are not a version 2 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer bytes than a header has.
    #[error("frame has {have} bytes, a header has {HEADER_BYTES}")]
    ShortHeader {
        /// Bytes there are.
        have: usize,
    },
    /// Fewer payload bytes than the header says.
    #[error("header says {want} bytes of payload, {have} follow")]
    ShortPayload {
        /// Bytes the header says.
        want: u32,
        /// Bytes there are.
        have: usize,
    },
    /// The first two bytes are not `0xABCD`.
    #[error("magic is {found:#06x}, not {MAGIC:#06x}")]
    BadMagic { found: u16 },
    /// Another version: where this frame ends is not known.
    #[error("version {found} on a version {VERSION} connection")]
    BadVersion { found: u8 },
}

/// Splits the frame at the start of `bytes` off; returns it with the number of bytes that it took.
///
/// # Errors
/// Every way to be no frame is a variant of [`FrameError`].
pub fn decode(bytes: &[u8]) -> Result<(RawFrame<'_>, usize), FrameError> {
    let Some((mut header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(short_header(bytes));
    };
    check_start(header.get_u16(), header.get_u8())?;
    let code = header.get_u8();
    let flags = header.get_u8();
    let _reserved = header.get_u8();
    let room = header.get_u16();
    let payload_bytes = header.get_u32();
    let header = Header { code, flags, room, payload_bytes };
    let payload = usize::try_from(payload_bytes).ok().and_then(|want| rest.get(..want));
    match payload {
        Some(payload) => Ok((RawFrame { header, payload }, HEADER_BYTES + payload.len())),
        None => Err(FrameError::ShortPayload { want: payload_bytes, have: rest.len() }),
    }
}

/// The frames of a message, one after the other; after an error the rest of the message is given up.
#[must_use]
pub fn frames(message: &[u8]) -> Frames<'_> {
    Frames { rest: message }
}

/// Iterator over concatenated frames; see [`frames`].
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<RawFrame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (item, used) = match decode(self.rest) {
            Ok((frame, used)) => (Ok(frame), used),
            Err(error) => (Err(error), self.rest.len()),
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(item)
    }
}

/// The more telling error first: a wrong magic or version shows even in a stump.
fn short_header(bytes: &[u8]) -> FrameError {
    if let &[m0, m1, version, ..] = bytes
        && let Err(error) = check_start(u16::from_be_bytes([m0, m1]), version)
    {
        return error;
    }
    FrameError::ShortHeader { have: bytes.len() }
}

fn check_start(magic: u16, version: u8) -> Result<(), FrameError> {
    if magic != MAGIC {
        return Err(FrameError::BadMagic { found: magic });
    }
    if version != VERSION {
        return Err(FrameError::BadVersion { found: version });
    }
    Ok(())
}
