//! Wire protocol version 2: a 12-byte header, then a Protobuf payload, perhaps compressed with zstd.
//!
//! Here is the framing; the payloads are in [`pb`], generated from `barrage/v2/barrage.proto`. Types that a peer does
//! not know are skipped by their length, so an old peer lives with a newer one.

mod codec;
mod header;

pub use codec::{Decoder, Encoder, PayloadError};
pub use header::{FrameError, Frames, HEADER_BYTES, Header, RawFrame, VERSION, decode, frames};

pub use crate::generated::v2 as pb;

/// WebSocket subprotocol that chooses version 2.
pub const SUBPROTOCOL: &str = "barrage.v2";
/// The longest frame that a server takes from a client, header included, in bytes.
pub const CLIENT_FRAME_BYTES_MAX: usize = 16 * 1024;
/// The longest payload of a server's frame once decompressed, in bytes: what a client must be ready for.
pub const SERVER_PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Flag: the payload is one zstd frame (RFC 8878) that states its content size.
pub const FLAG_ZSTD: u8 = 0b0000_0001;
/// Flags that a receiver must understand or skip the frame; the other four may be ignored.
pub const FLAGS_CRITICAL: u8 = 0b0000_1111;

/// What a frame's payload is; the code is the header's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// `0x02` [`pb::Heartbeat`], both ways.
    Heartbeat,
    /// `0x10` [`pb::Send`], from the client.
    Send,
    /// `0x11` [`pb::Like`], from the client; everything below is from the server.
    Like,
    /// `0x20` [`pb::Batch`].
    Batch,
    /// `0x21` [`pb::History`].
    History,
    /// `0x22` [`pb::RankingSnapshot`].
    RankingSnapshot,
    /// `0x23` [`pb::RankingDelta`].
    RankingDelta,
    /// `0x24` [`pb::RoomState`].
    RoomState,
    /// `0x25` [`pb::Ack`].
    Ack,
    /// `0x26` [`pb::Error`].
    Error,
    /// `0x27` [`pb::GoAway`].
    GoAway,
    /// `0x28` [`pb::Removal`].
    Removal,
    /// `0x29` [`pb::RoomSettings`].
    RoomSettings,
    /// `0x2a` [`pb::Highlights`].
    Highlights,
    /// `0x2b` [`pb::Notice`].
    Notice,
}

impl FrameType {
    /// Every type, by code.
    pub const ALL: [Self; 15] = [
        Self::Heartbeat,
        Self::Send,
        Self::Like,
        Self::Batch,
        Self::History,
        Self::RankingSnapshot,
        Self::RankingDelta,
        Self::RoomState,
        Self::Ack,
        Self::Error,
        Self::GoAway,
        Self::Removal,
        Self::RoomSettings,
        Self::Highlights,
        Self::Notice,
    ];

    /// The type byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Heartbeat => 0x02,
            Self::Send => 0x10,
            Self::Like => 0x11,
            Self::Batch => 0x20,
            Self::History => 0x21,
            Self::RankingSnapshot => 0x22,
            Self::RankingDelta => 0x23,
            Self::RoomState => 0x24,
            Self::Ack => 0x25,
            Self::Error => 0x26,
            Self::GoAway => 0x27,
            Self::Removal => 0x28,
            Self::RoomSettings => 0x29,
            Self::Highlights => 0x2a,
            Self::Notice => 0x2b,
        }
    }

    /// The type of a code; `None` is to be skipped.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|frame_type| frame_type.code() == code)
    }
}

/// A Protobuf message that is a frame's payload.
pub trait Payload: prost::Message + Default {
    /// The frame type that carries it.
    const FRAME_TYPE: FrameType;
}

macro_rules! payloads {
    ($($message:ident),* $(,)?) => {
        $(impl Payload for pb::$message {
            const FRAME_TYPE: FrameType = FrameType::$message;
        })*
    };
}

payloads!(
    Heartbeat,
    Send,
    Like,
    Batch,
    History,
    RankingSnapshot,
    RankingDelta,
    RoomState,
    Ack,
    Error,
    GoAway,
    Removal,
    RoomSettings,
    Highlights,
    Notice,
);

/// A [`pb::Send`] as a server reads it: a text that is no UTF-8 is seen with its number, so that the refusal can say
/// which danmaku it is about.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UncheckedSend {
    /// As [`pb::Send::seq`].
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// As [`pb::Send::oldest_pending`].
    #[prost(uint64, tag = "2")]
    pub oldest_pending: u64,
    /// As [`pb::Send::sent_ms`].
    #[prost(sint64, tag = "3")]
    pub sent_ms: i64,
    /// As [`pb::Send::content`], before it is known to be text.
    #[prost(bytes = "vec", tag = "4")]
    pub content: Vec<u8>,
    /// As [`pb::Send::retry_age_ms`].
    #[prost(uint32, tag = "5")]
    pub retry_age_ms: u32,
    /// As [`pb::Send::mode`].
    #[prost(enumeration = "pb::Mode", tag = "6")]
    pub mode: i32,
    /// As [`pb::Send::colour`].
    #[prost(uint32, tag = "7")]
    pub colour: u32,
    /// As [`pb::Send::size`].
    #[prost(enumeration = "pb::Size", tag = "8")]
    pub size: i32,
    /// As [`pb::Send::reply_to`].
    #[prost(message, optional, tag = "9")]
    pub reply_to: Option<pb::DanmakuId>,
    /// As [`pb::Send::gift`].
    #[prost(message, optional, tag = "10")]
    pub gift: Option<pb::GiftOrder>,
}

impl Payload for UncheckedSend {
    const FRAME_TYPE: FrameType = FrameType::Send;
}
