//! How a version 2 client learns that something was refused.

use barrage_proto::{
    v1,
    v2::{self, pb},
};

use crate::gateway::metrics::Refusal;

/// Why a danmaku is refused, and after how many ms it may be tried again (0: not as it is).
pub(crate) type SendRefusal = (Refusal, u32);

/// The frame that tells a client; `seq` is 0 when it is about no danmaku.
pub(crate) fn error(reason: Refusal, seq: u64, retry_after_ms: u32, detail: &str) -> pb::Error {
    let versions = match reason {
        Refusal::UnsupportedVersion => vec![v1::VERSION.into(), v2::VERSION.into()],
        _ => Vec::new(),
    };
    pb::Error { reason: wire(reason).into(), seq, message: detail.to_owned(), retry_after_ms, versions }
}

/// Whether later danmaku of the session wait for one that was refused with this reason. A verdict comes late: what was
/// sent meanwhile does not wait for a number that is given up for good.
pub(crate) const fn holds_up(reason: Refusal) -> bool {
    !matches!(reason, Refusal::BadSequence | Refusal::Rejected)
}

pub(crate) const fn detail(reason: Refusal, retry_after_ms: u32) -> &'static str {
    match reason {
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
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reasons for which a danmaku is refused.
    const OF_DANMAKU: [Refusal; 19] = [
        Refusal::Retry,
        Refusal::RateLimited,
        Refusal::Blocked,
        Refusal::UnknownOutcome,
        Refusal::ContentEmpty,
        Refusal::ContentTooLong,
        Refusal::ContentNotUtf8,
        Refusal::SendNotAllowed,
        Refusal::BadSequence,
        Refusal::Muted,
        Refusal::SlowMode,
        Refusal::BlockedWord,
        Refusal::ModeratorsOnly,
        Refusal::GiftNotAllowed,
        Refusal::BadGift,
        Refusal::UnknownReply,
        Refusal::BadStyle,
        Refusal::ContentUnreadable,
        Refusal::Rejected,
    ];

    #[test]
    fn every_refused_danmaku_says_why_and_under_its_number() {
        for reason in OF_DANMAKU {
            let text = detail(reason, 0);
            assert_ne!(text, "refused", "{reason:?}");
            let error = error(reason, 5, 250, text);
            assert_eq!((error.seq, error.retry_after_ms, error.message.as_str()), (5, 250, text));
            assert_eq!(format!("{:?}", error.reason()), format!("{reason:?}"), "the wire's word is the metric's");
            assert!(error.versions.is_empty());
        }
        assert_ne!(detail(Refusal::Rejected, 0), detail(Refusal::Rejected, 5_000), "refused, and not judged");
    }

    #[test]
    fn a_version_that_is_not_spoken_is_answered_with_those_that_are() {
        let error = error(Refusal::UnsupportedVersion, 0, 0, "version 9");
        assert_eq!(error.versions, [u32::from(v1::VERSION), u32::from(v2::VERSION)]);
    }

    #[test]
    fn only_what_may_still_come_holds_later_danmaku_up() {
        let free: Vec<_> = OF_DANMAKU.into_iter().filter(|reason| !holds_up(*reason)).collect();
        assert_eq!(free, [Refusal::BadSequence, Refusal::Rejected]);
    }
}
