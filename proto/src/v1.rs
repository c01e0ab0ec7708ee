//! Wire protocol version 1: fixed for ever. 22 bytes of big-endian header, then the content.
//!
//! Encoding writes into a buffer that the caller owns, decoding borrows from the bytes that it is given: neither
//! allocates. `PROTOCOL.md` is the specification.

use bytes::{Buf, BufMut};
use thiserror::Error;

use crate::MAGIC;

/// The version byte.
pub const VERSION: u8 = 1;
/// Bytes before the content: magic 2, version 1, type 1, timestamp 8, user ID 8, content length 2.
pub const HEADER_BYTES: usize = 2 + 1 + 1 + 8 + 8 + 2;
/// The longest content that the length field can say, in bytes.
pub const CONTENT_BYTES_MAX: usize = u16::MAX as usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// `0x01`: one danmaku.
    Danmaku,
    /// `0x02`: a sign of life; its content means nothing.
    Heartbeat,
}

impl FrameType {
    /// The type byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Danmaku => 0x01,
            Self::Heartbeat => 0x02,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0x01 => Some(Self::Danmaku),
            0x02 => Some(Self::Heartbeat),
            _ => None,
        }
    }
}

/// One frame, borrowing its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub frame_type: FrameType,
    /// Unix time of sending, ms; negative before 1970.
    pub timestamp_ms: i64,
    /// The sender; 0 is anonymous.
    pub user_id: u64,
    /// The text, at most [`CONTENT_BYTES_MAX`] bytes.
    pub content: &'a str,
}

/// Why bytes are not a version 1 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    #[error("frame has {have} bytes, a header has {HEADER_BYTES}")]
    ShortHeader {
        /// Bytes there are.
        have: usize,
    },
    /// Fewer content bytes than the header says.
    #[error("header says {want} bytes of content, {have} follow")]
    ShortContent {
        /// Bytes the header says.
        want: usize,
        /// Bytes there are.
        have: usize,
    },
    /// Bytes behind the only frame ([`decode_exact`]).
    #[error("{extra} bytes follow the frame")]
    Trailing {
        /// Bytes too many.
        extra: usize,
    },
    /// The first two bytes are not `0xABCD`.
    #[error("magic is {found:#06x}, not {MAGIC:#06x}")]
    BadMagic { found: u16 },
    /// Another version: where this frame ends is not known.
    #[error("version {found} on a version 1 connection")]
    BadVersion { found: u8 },
    /// A type that version 1 does not have; the frame ends where its length says.
    #[error("unknown type {found:#04x}")]
    UnknownType {
        found: u8,
        /// Bytes of the whole frame.
        frame_bytes: usize,
    },
    /// The content is not UTF-8; the frame ends where its length says.
    #[error("content is not UTF-8")]
    BadUtf8 {
        /// Bytes of the whole frame.
        frame_bytes: usize,
    },
}

impl DecodeError {
    /// Bytes to pass over to reach the next frame, where that is known.
    #[must_use]
    pub const fn skip_bytes(&self) -> Option<usize> {
        match *self {
            Self::UnknownType { frame_bytes, .. } | Self::BadUtf8 { frame_bytes } => Some(frame_bytes),
            _ => None,
        }
    }
}

/// The content is longer than a length field can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("content of {bytes} bytes does not fit a version 1 frame; the longest is {CONTENT_BYTES_MAX}")]
pub struct ContentTooLong {
    /// Bytes of the content.
    pub bytes: usize,
}

impl Frame<'_> {
    /// Bytes on the wire.
    #[must_use]
    pub const fn wire_bytes(&self) -> usize {
        HEADER_BYTES + self.content.len()
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// [`ContentTooLong`]; then nothing is written.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), ContentTooLong> {
        let bytes = self.content.len();
        let length = u16::try_from(bytes).map_err(|_| ContentTooLong { bytes })?;
        out.put_u16(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.frame_type.code());
        out.put_i64(self.timestamp_ms);
        out.put_u64(self.user_id);
        out.put_u16(length);
        out.put_slice(self.content.as_bytes());
        Ok(())
    }
}

/// Decodes the frame at the start of `bytes`; returns it with the number of bytes that it took.
///
/// # Errors
/// Every way to be no frame is a variant of [`DecodeError`]; never [`DecodeError::Trailing`].
pub fn decode(bytes: &[u8]) -> Result<(Frame<'_>, usize), DecodeError> {
    let Some((mut header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(short_header(bytes));
    };
    check_start(header.get_u16(), header.get_u8())?;
    let code = header.get_u8();
    let timestamp_ms = header.get_i64();
    let user_id = header.get_u64();
    let want = usize::from(header.get_u16());
    let Some(content) = rest.get(..want) else {
        return Err(DecodeError::ShortContent { want, have: rest.len() });
    };
    let frame_bytes = HEADER_BYTES + want;
    let frame_type = FrameType::from_code(code).ok_or(DecodeError::UnknownType { found: code, frame_bytes })?;
    let content = std::str::from_utf8(content).map_err(|_| DecodeError::BadUtf8 { frame_bytes })?;
    let frame = Frame { frame_type, timestamp_ms, user_id, content };
    Ok((frame, frame_bytes))
}

/// Decodes bytes that are one frame and nothing else.
///
/// # Errors
/// As [`decode`], and [`DecodeError::Trailing`].
pub fn decode_exact(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let (frame, used) = decode(bytes)?;
    match bytes.len() - used {
        0 => Ok(frame),
        extra => Err(DecodeError::Trailing { extra }),
    }
}

/// The frames of a message, one after the other.
///
/// After an error whose frame's end is known the next frame follows; after any other the rest of the message is
/// given up.
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
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (item, used) = match decode(self.rest) {
            Ok((frame, used)) => (Ok(frame), used),
            Err(error) => (Err(error), error.skip_bytes().unwrap_or(self.rest.len())),
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        Some(item)
    }
}

/// The more telling error first: a wrong magic or version shows even in a stump.
fn short_header(bytes: &[u8]) -> DecodeError {
    if let &[m0, m1, version, ..] = bytes
        && let Err(error) = check_start(u16::from_be_bytes([m0, m1]), version)
    {
        return error;
    }
    DecodeError::ShortHeader { have: bytes.len() }
}

fn check_start(magic: u16, version: u8) -> Result<(), DecodeError> {
    if magic != MAGIC {
        return Err(DecodeError::BadMagic { found: magic });
    }
    if version != VERSION {
        return Err(DecodeError::BadVersion { found: version });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Frame<'static> {
        Frame { frame_type: FrameType::Danmaku, timestamp_ms: 1_696_118_400_000, user_id: 123_456, content: "Hello" }
    }

    fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        out
    }

    #[test]
    fn hello_is_the_published_bytes() {
        let expected = [
            0xab, 0xcd, 0x01, 0x01, 0x00, 0x00, 0x01, 0x8a, 0xe8, 0x88, 0xe4, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
            0xe2, 0x40, 0x00, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f,
        ];
        assert_eq!(bytes_of(&hello()), expected);
        assert_eq!(decode_exact(&expected), Ok(hello()));
    }

    #[test]
    fn content_that_no_length_can_say_is_refused_and_writes_nothing() {
        let content = "x".repeat(CONTENT_BYTES_MAX + 1);
        let mut out = Vec::new();
        let result = Frame { content: &content, ..hello() }.encode(&mut out);
        assert_eq!(result, Err(ContentTooLong { bytes: CONTENT_BYTES_MAX + 1 }));
        assert!(out.is_empty());
    }

    #[test]
    fn a_frame_after_a_bad_one_is_read_where_the_end_is_known() {
        let mut message = bytes_of(&hello());
        message[3] = 0x7f;
        message.extend(bytes_of(&hello()));
        let items: Vec<_> = frames(&message).collect();
        assert_eq!(items, [Err(DecodeError::UnknownType { found: 0x7f, frame_bytes: 27 }), Ok(hello())]);
    }

    #[test]
    fn the_rest_is_given_up_where_the_end_is_not_known() {
        let mut message = bytes_of(&hello());
        message[0] = 0;
        message.extend(bytes_of(&hello()));
        let items: Vec<_> = frames(&message).collect();
        assert_eq!(items, [Err(DecodeError::BadMagic { found: 0x00cd })]);
    }
}
