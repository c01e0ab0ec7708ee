//! Payloads to frames and back: Protobuf, and zstd where it pays.

use bytes::BufMut;
use thiserror::Error;
use zstd::bulk::{Compressor, Decompressor};

use super::{FLAG_ZSTD, FLAGS_CRITICAL, Header, Payload, RawFrame};

/// Below this a payload is left as it is: zstd's own frame costs a dozen bytes, and an acknowledgement gains nothing.
const COMPRESS_BYTES_MIN: usize = 128;
/// Level 3 compresses a batch of 100 danmaku in tens of microseconds, once for all viewers.
const COMPRESS_LEVEL: i32 = 3;
/// How a zstd frame starts (RFC 8878, section 3.1.1); a skippable one starts otherwise.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The frame carries flags that this version must understand and does not.
    #[error("flags {found:#010b} are not all known")]
    UnsupportedFlags {
        /// The header's flags.
        found: u8,
    },
    /// Not exactly one zstd frame, one that does not state its content size, or one that grows past the limit.
    #[error("payload is not one zstd frame that states a content size of at most {limit} bytes")]
    BadCompression {
        /// Bytes allowed once decompressed.
        limit: usize,
    },
    /// Longer than the limit.
    #[error("payload of {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// Bytes on the wire.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not the Protobuf message that the type says.
    #[error("payload is not the message that the frame's type says: {0}")]
    Malformed(String),
}

/// Makes frames; holds the compressor and buffers, so that a frame costs no allocation once they have grown.
pub struct Encoder {
    zstd: Option<Compressor<'static>>,
    payload: Vec<u8>,
    compressed: Vec<u8>,
}

impl Encoder {
    /// An encoder that compresses where that makes a frame smaller.
    #[must_use]
    pub fn new() -> Self {
        Self { zstd: Compressor::new(COMPRESS_LEVEL).ok(), payload: Vec::new(), compressed: Vec::new() }
    }

    /// An encoder that never compresses.
    #[must_use]
    pub const fn plain() -> Self {
        Self { zstd: None, payload: Vec::new(), compressed: Vec::new() }
    }

    /// Appends the frame that carries `message` to `out`.
    pub fn encode<P: Payload>(&mut self, message: &P, out: &mut Vec<u8>) {
        self.payload.clear();
        message.encode_raw(&mut self.payload);
        let (flags, payload) = if self.compress() { (FLAG_ZSTD, &self.compressed) } else { (0, &self.payload) };
        let payload_bytes =
            u32::try_from(payload.len()).expect("a payload is a batch of bounded danmaku, far below 4 GiB");
        Header { code: P::FRAME_TYPE.code(), flags, room: 0, payload_bytes }.encode(out);
        out.put_slice(payload);
    }

    /// Compresses the payload; false where it is not worth it.
    fn compress(&mut self) -> bool {
        let Some(zstd) = self.zstd.as_mut().filter(|_| self.payload.len() >= COMPRESS_BYTES_MIN) else {
            return false;
        };
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(self.payload.len()));
        let done = zstd.compress_to_buffer(&self.payload, &mut self.compressed).is_ok();
        done && self.compressed.len() < self.payload.len()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads payloads, never more than `limit` bytes of one once decompressed.
pub struct Decoder {
    zstd: Option<Decompressor<'static>>,
    plain: Vec<u8>,
    limit: usize,
}

impl Decoder {
    /// A decoder for payloads of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { zstd: None, plain: Vec::new(), limit }
    }

    /// Reads a frame's payload as the message `P`; the caller has looked at the type.
    ///
    /// # Errors
    /// [`PayloadError`]; the bytes are a peer's and may be anything.
    pub fn decode<P: Payload>(&mut self, frame: &RawFrame<'_>) -> Result<P, PayloadError> {
        let found = frame.header.flags;
        if found & FLAGS_CRITICAL & !FLAG_ZSTD != 0 {
            return Err(PayloadError::UnsupportedFlags { found });
        }
        let limit = self.limit;
        let bytes = frame.payload.len();
        if bytes > limit {
            return Err(PayloadError::TooLarge { bytes, limit });
        }
        let payload = if found & FLAG_ZSTD == 0 { frame.payload } else { self.decompress(frame.payload)? };
        P::decode(payload).map_err(|error| PayloadError::Malformed(error.to_string()))
    }

    fn decompress(&mut self, payload: &[u8]) -> Result<&[u8], PayloadError> {
        let bad = PayloadError::BadCompression { limit: self.limit };
        let size = stated_size(payload).filter(|&size| size <= self.limit);
        // Made at first use: most clients never compress.
        if size.is_some() && self.zstd.is_none() {
            self.zstd = Decompressor::new().ok();
        }
        let (Some(size), Some(zstd)) = (size, self.zstd.as_mut()) else {
            return Err(bad);
        };
        self.plain.clear();
        self.plain.reserve(size);
        match zstd.decompress_to_buffer(payload, &mut self.plain) {
            Ok(written) if written == size => Ok(&self.plain),
            _ => Err(bad),
        }
    }
}

/// What the one zstd frame of a payload says it grows to; none where it says nothing or is not alone.
///
/// The library would decompress several frames in a row, and pass over skippable ones: two ways to write one payload.
fn stated_size(payload: &[u8]) -> Option<usize> {
    let alone = payload.starts_with(&ZSTD_MAGIC)
        && zstd::zstd_safe::find_frame_compressed_size(payload).is_ok_and(|bytes| bytes == payload.len());
    let size = zstd::zstd_safe::get_frame_content_size(payload).ok().flatten()?;
    usize::try_from(size).ok().filter(|_| alone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v2::{self, pb};

    fn batch(rows: usize) -> pb::Batch {
        pb::Batch { content: vec!["哈哈哈哈哈哈".to_owned(); rows], ..pb::Batch::default() }
    }

    fn frame_of(message: &impl Payload, encoder: &mut Encoder) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.encode(message, &mut out);
        out
    }

    #[test]
    fn large_payloads_are_compressed_and_small_ones_are_not() {
        let mut encoder = Encoder::new();
        for (rows, flags) in [(1, 0), (100, FLAG_ZSTD)] {
            let bytes = frame_of(&batch(rows), &mut encoder);
            let (frame, used) = v2::decode(&bytes).unwrap();
            assert_eq!((frame.header.flags, used), (flags, bytes.len()));
            assert_eq!(Decoder::new(1 << 20).decode::<pb::Batch>(&frame), Ok(batch(rows)));
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_grows() {
        let bytes = frame_of(&batch(100_000), &mut Encoder::new());
        let (frame, _) = v2::decode(&bytes).unwrap();
        assert!(bytes.len() < 1000);
        let refused = Decoder::new(1000).decode::<pb::Batch>(&frame);
        assert_eq!(refused, Err(PayloadError::BadCompression { limit: 1000 }));
    }

    #[test]
    fn critical_flags_are_refused_and_others_ignored() {
        let mut bytes = frame_of(&batch(1), &mut Encoder::plain());
        bytes[4] = 0b1000_0000;
        let (frame, _) = v2::decode(&bytes).unwrap();
        assert_eq!(Decoder::new(1000).decode::<pb::Batch>(&frame), Ok(batch(1)));
        bytes[4] = 0b0000_0010;
        let (frame, _) = v2::decode(&bytes).unwrap();
        assert_eq!(
            Decoder::new(1000).decode::<pb::Batch>(&frame),
            Err(PayloadError::UnsupportedFlags { found: 0b0000_0010 })
        );
    }
}
