//! How a client learns that something was refused.

use barrage_proto::{
    v1,
    v2::{self, pb},
};

use super::super::{
    connection::{Version, Viewer},
    encode::message_of,
    metrics::Refusal,
};

/// A version 1 client is told nothing: it is counted by kind and logged without content, and the connection goes on.
pub(super) fn refuse_v1(viewer: &Viewer, reason: Refusal) {
    viewer.shard.served.metrics.refused(reason);
    if viewer.shard.may_log() {
        tracing::info!(room = %viewer.room.served.id(), user = viewer.identity.user, ?reason, "frame ignored");
    }
}

/// A frame that is none, or that may not be sent.
pub(super) fn refuse_frame(viewer: &Viewer, reason: Refusal, detail: &str) {
    if viewer.version == Version::V1 {
        return refuse_v1(viewer, reason);
    }
    tell(viewer, 0, reason, 0, detail);
}

/// A danmaku that is not accepted; later ones of the session wait for it.
pub(in super::super) fn refuse_send(viewer: &Viewer, seq: u64, reason: Refusal, retry_after_ms: u32) {
    if viewer.version == Version::V1 {
        return refuse_v1(viewer, reason);
    }
    // A verdict comes late: what was sent meanwhile does not wait for a number that is given up for good.
    if !matches!(reason, Refusal::BadSequence | Refusal::Rejected) {
        viewer.sends.borrow_mut().get_or_insert_default().refused(seq);
        refuse_behind(viewer, seq);
    }
    let detail = match reason {
        Refusal::Retry => "the server cannot keep it now; send it again after retry_after_ms",
        Refusal::RateLimited => "more than the room allows a user; send it again after retry_after_ms",
        Refusal::Blocked => "an earlier danmaku was refused; send that again first, or raise oldest_pending above it",
        Refusal::UnknownOutcome => "the first try is over 30 s ago; look in the history whether it was kept",
        Refusal::ContentEmpty => "the text is empty",
        Refusal::ContentTooLong => "the text is too long",
        Refusal::ContentNotUtf8 => "the text is not UTF-8",
        Refusal::SendNotAllowed => "the token does not allow sending",
        Refusal::Muted => "a moderator has taken your word; retry_after_ms says for how long, 0 for ever",
        Refusal::SlowMode => "slow mode: send it again after retry_after_ms",
        Refusal::BlockedWord => "the text has a word that this room does not want",
        Refusal::ModeratorsOnly => "only moderators and hosts may send now",
        Refusal::GiftNotAllowed => "only a token of role service can state a gift",
        Refusal::BadGift => "a gift has a user, a value of 1 to 1000000000, and a name of at most 64 bytes",
        Refusal::UnknownReply => "what it answers is not, or no longer, known here",
        Refusal::BadStyle => "the mode, colour or size does not exist",
        Refusal::ContentUnreadable => "the text has control characters, or too many marks or invisible characters",
        Refusal::BadSequence => "seq counts from 1 and is not below oldest_pending",
        Refusal::Rejected if retry_after_ms > 0 => "the room's moderation does not answer; try again later",
        Refusal::Rejected => "the room's moderation does not want the text",
        _ => "refused",
    };
    tell(viewer, seq, reason, retry_after_ms, detail);
}

/// What waits for a verdict behind something that was refused waits in vain.
fn refuse_behind(viewer: &Viewer, seq: u64) {
    let behind = viewer.shard.held.borrow_mut().take_behind(viewer, seq);
    for seq in behind {
        refuse_send(viewer, seq, Refusal::Blocked, 0);
    }
}

fn tell(viewer: &Viewer, seq: u64, reason: Refusal, retry_after_ms: u32, detail: &str) {
    viewer.shard.served.metrics.refused(reason);
    let versions = match reason {
        Refusal::UnsupportedVersion => vec![v1::VERSION.into(), v2::VERSION.into()],
        _ => Vec::new(),
    };
    let error = pb::Error { reason: wire(reason).into(), seq, message: detail.to_owned(), retry_after_ms, versions };
    viewer.answer(&message_of(&error, &mut viewer.shard.encoder.borrow_mut()));
}

const fn wire(reason: Refusal) -> pb::Reason {
    match reason {
        Refusal::Retry => pb::Reason::Retry,
        Refusal::RateLimited => pb::Reason::RateLimited,
        Refusal::Blocked => pb::Reason::Blocked,
        Refusal::UnknownOutcome => pb::Reason::UnknownOutcome,
        Refusal::ContentEmpty => pb::Reason::ContentEmpty,
        Refusal::ContentTooLong => pb::Reason::ContentTooLong,
        Refusal::ContentNotUtf8 => pb::Reason::ContentNotUtf8,
        Refusal::SendNotAllowed | Refusal::WrongUser => pb::Reason::SendNotAllowed,
        Refusal::BadSequence => pb::Reason::BadSequence,
        Refusal::Truncated => pb::Reason::Truncated,
        Refusal::BadMagic => pb::Reason::BadMagic,
        Refusal::UnsupportedVersion => pb::Reason::UnsupportedVersion,
        Refusal::UnexpectedType | Refusal::UnknownType => pb::Reason::UnexpectedType,
        Refusal::UnsupportedFlags => pb::Reason::UnsupportedFlags,
        Refusal::UnknownRoom => pb::Reason::UnknownRoom,
        Refusal::FrameTooLarge => pb::Reason::FrameTooLarge,
        Refusal::BadCompression => pb::Reason::BadCompression,
        Refusal::BadPayload => pb::Reason::BadPayload,
        Refusal::TextMessage => pb::Reason::TextMessage,
        Refusal::Muted => pb::Reason::Muted,
        Refusal::SlowMode => pb::Reason::SlowMode,
        Refusal::BlockedWord => pb::Reason::BlockedWord,
        Refusal::ModeratorsOnly => pb::Reason::ModeratorsOnly,
        Refusal::GiftNotAllowed => pb::Reason::GiftNotAllowed,
        Refusal::BadGift => pb::Reason::BadGift,
        Refusal::UnknownReply => pb::Reason::UnknownReply,
        Refusal::BadStyle => pb::Reason::BadStyle,
        Refusal::ContentUnreadable => pb::Reason::ContentUnreadable,
        Refusal::Rejected => pb::Reason::Rejected,
    }
}
