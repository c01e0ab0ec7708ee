//! Metrics of the gateway.

use barrage_proto::{v1, v2};
use prometheus_client::{
    encoding::EncodeLabelValue,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use barrage_core::age::Ages;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Disconnect {
    /// The peer said goodbye.
    ClosedByPeer,
    /// The peer was gone: reset, or ended without a goodbye.
    Lost,
    /// Not a sign of life within the limit.
    Idle,
    /// Took nothing for too long.
    Slow,
    /// Against RFC 6455.
    ProtocolError,
    /// A message longer than any frame.
    MessageTooLarge,
    /// Wanted more answers than any client needs.
    Flood,
    /// The gateway stops.
    Shutdown,
    /// The room was deleted.
    RoomClosed,
    /// A moderator banned the user.
    Banned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Refusal {
    Retry,
    RateLimited,
    Blocked,
    UnknownOutcome,
    ContentEmpty,
    ContentTooLong,
    ContentNotUtf8,
    SendNotAllowed,
    BadSequence,
    Truncated,
    BadMagic,
    UnsupportedVersion,
    UnexpectedType,
    UnknownType,
    UnsupportedFlags,
    UnknownRoom,
    FrameTooLarge,
    BadCompression,
    BadPayload,
    TextMessage,
    WrongUser,
    Muted,
    SlowMode,
    BlockedWord,
    ModeratorsOnly,
    GiftNotAllowed,
    BadGift,
    UnknownReply,
    BadStyle,
    ContentUnreadable,
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum VerdictOutcome {
    Allow,
    Hide,
    Replace,
    /// No answer in time.
    Late,
    /// It cannot be reached, or answers with an error.
    Failed,
    /// Its answer is none.
    Malformed,
    /// Not asked: too many wait already.
    Overloaded,
    /// Not asked: it has failed of late, and one danmaku at a time tries.
    Suspended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum UpgradeRefusal {
    Token,
    Room,
    Origin,
    Full,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Transport {
    /// WebSocket over TCP.
    Plain,
    /// WebSocket over TLS.
    Tls,
    /// WebTransport.
    Quic,
}

/// The one label of a family; its values are a closed enum.
type Reason<T> = [(&'static str, T); 1];

/// Counters of a gateway.
#[derive(Clone, Default)]
pub struct Metrics {
    connections: Family<[(&'static str, Transport); 1], Gauge>,
    handshakes_failed: Family<[(&'static str, Transport); 1], Counter>,
    certificate_reloads: Counter,
    certificate_reloads_failed: Counter,
    certificate_expiry: Gauge,
    disconnects: Family<Reason<Disconnect>, Counter>,
    refusals: Family<Reason<Refusal>, Counter>,
    upgrades_refused: Family<Reason<UpgradeRefusal>, Counter>,
    verdicts: Family<[(&'static str, VerdictOutcome); 1], Counter>,
    pub(crate) verdicts_awaited: Gauge,
    pub(crate) verdict_age: Ages,
    pub(crate) accepted: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) acts: Counter,
    flushes: Counter,
    bytes_encoded: Counter,
    /// Second sum: flushes × viewers = delivered + skipped.
    pub(crate) offered: Counter,
    pub(crate) delivered: Counter,
    pub(crate) skipped: Counter,
    pub(crate) echoes: Counter,
    pub(crate) stale_frames: Counter,
    pub(crate) missed_frames: Counter,
    pub(crate) shard_overruns: Counter,
    pub(crate) append_age: Ages,
    pub(crate) frame_age: Ages,
}

impl Metrics {
    /// Registers under the registry's prefix.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        for transport in [Transport::Plain, Transport::Tls, Transport::Quic] {
            // A transport without connections is seen to have none.
            let _none = m.connections.get_or_create(&[("transport", transport)]);
        }
        registry.register("connections", "Open connections of viewers, by transport", m.connections.clone());
        let help = "TLS and WebTransport handshakes that gave no connection, by transport";
        registry.register("handshakes_failed", help, m.handshakes_failed.clone());
        let help = "Certificates for viewers taken up while running";
        registry.register("certificate_reloads", help, m.certificate_reloads.clone());
        let help = "New certificates for viewers that cannot be used; the old ones stay";
        registry.register("certificate_reloads_failed", help, m.certificate_reloads_failed.clone());
        let help = "Unix time at which the certificate in force for viewers expires";
        registry.register_with_unit("certificate_expiry", help, Unit::Seconds, m.certificate_expiry.clone());
        registry.register("disconnects", "Connections that ended, by reason", m.disconnects.clone());
        registry.register("refusals", "Frames and danmaku of clients that were refused, by reason", m.refusals.clone());
        registry.register(
            "upgrades_refused",
            "WebSocket upgrades and WebTransport sessions that were refused, by reason",
            m.upgrades_refused.clone(),
        );
        registry.register("verdicts", "Danmaku that an outside moderator was to judge, by outcome", m.verdicts.clone());
        registry.register("verdicts_awaited", "Danmaku that wait for a verdict", m.verdicts_awaited.clone());
        m.verdict_age.register(registry, "verdict_age", "Time that danmaku waited for a verdict");
        registry.register("accepted", "Danmaku accepted on their way to the log", m.accepted.clone());
        registry.register("acts", "Acts of moderation that the log has", m.acts.clone());
        registry.register("acknowledged", "Danmaku that the log has", m.acknowledged.clone());
        registry.register("flushes", "Flushes of a room", m.flushes.clone());
        registry.register("encoded_bytes", "Bytes of flushes, each format once", m.bytes_encoded.clone());
        registry.register("offered_flushes", "Flushes times viewers", m.offered.clone());
        registry.register("delivered_flushes", "Flushes written to viewers", m.delivered.clone());
        registry.register("skipped_flushes", "Flushes that slow viewers missed", m.skipped.clone());
        registry.register("echoes", "Danmaku sent singly to their sender", m.echoes.clone());
        registry.register("stale_frames", "Rankers' frames that were seen before", m.stale_frames.clone());
        registry.register("missed_frames", "Holes in rankers' frame numbers", m.missed_frames.clone());
        registry.register(
            "shard_overruns",
            "Flushes that a shard was too far behind to take",
            m.shard_overruns.clone(),
        );
        m.append_age.register(registry, "append_age", "Time from a record's first receipt to its acknowledgement");
        m.frame_age.register(registry, "frame_age", "Time from a frame's first receipt at its gateway to here");
        m
    }

    pub(crate) fn connected(&self, transport: Transport) {
        self.connections.get_or_create(&[("transport", transport)]).inc();
    }

    pub(crate) fn disconnected(&self, transport: Transport, reason: Disconnect) {
        self.connections.get_or_create(&[("transport", transport)]).dec();
        self.disconnects.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn handshake_failed(&self, transport: Transport) {
        self.handshakes_failed.get_or_create(&[("transport", transport)]).inc();
    }

    pub(crate) fn certificate_reloaded(&self, expiry: Option<i64>) {
        self.certificate_reloads.inc();
        self.certificate_expires(expiry);
    }

    pub(crate) fn certificate_reload_failed(&self) {
        self.certificate_reloads_failed.inc();
    }

    /// 0 where it cannot be read.
    pub(crate) fn certificate_expires(&self, unix_s: Option<i64>) {
        self.certificate_expiry.set(unix_s.unwrap_or_default());
    }

    pub(crate) fn refused(&self, reason: Refusal) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn judged(&self, outcome: VerdictOutcome) {
        self.verdicts.get_or_create(&[("outcome", outcome)]).inc();
    }

    pub(crate) fn upgrade_refused(&self, reason: UpgradeRefusal) {
        self.upgrades_refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// So many flushes of rooms were encoded, and came to so many bytes.
    pub(crate) fn flushed(&self, flushes: usize, bytes: usize) {
        self.flushes.inc_by(flushes as u64);
        self.bytes_encoded.inc_by(bytes as u64);
    }
}

impl From<&v1::DecodeError> for Refusal {
    fn from(error: &v1::DecodeError) -> Self {
        match error {
            v1::DecodeError::ShortHeader { .. } | v1::DecodeError::ShortContent { .. } => Self::Truncated,
            v1::DecodeError::Trailing { .. } => Self::FrameTooLarge,
            v1::DecodeError::BadMagic { .. } => Self::BadMagic,
            v1::DecodeError::BadVersion { .. } => Self::UnsupportedVersion,
            v1::DecodeError::UnknownType { .. } => Self::UnknownType,
            v1::DecodeError::BadUtf8 { .. } => Self::ContentNotUtf8,
        }
    }
}

impl From<&v2::FrameError> for Refusal {
    fn from(error: &v2::FrameError) -> Self {
        match error {
            v2::FrameError::ShortHeader { .. } | v2::FrameError::ShortPayload { .. } => Self::Truncated,
            v2::FrameError::BadMagic { .. } => Self::BadMagic,
            v2::FrameError::BadVersion { .. } => Self::UnsupportedVersion,
        }
    }
}

impl From<&v2::PayloadError> for Refusal {
    fn from(error: &v2::PayloadError) -> Self {
        match error {
            v2::PayloadError::UnsupportedFlags { .. } => Self::UnsupportedFlags,
            v2::PayloadError::BadCompression { .. } => Self::BadCompression,
            v2::PayloadError::TooLarge { .. } => Self::FrameTooLarge,
            v2::PayloadError::Malformed(_) => Self::BadPayload,
        }
    }
}
