//! The protocol of one connection, without its socket: which frames a message holds, what each of them asks for, what is
//! refused and why, in which order a sender's danmaku go, and when a silent or slow peer is given up.
//!
//! Everything here is pure. A frame comes to one [`Action`], which [`super::viewer`] carries out; what else decides about
//! a danmaku is asked through [`Rules`]. What a version 1 client gets wrong is counted and ignored; a version 2 client
//! gets an error with a reason.

pub(super) mod refusal;
mod send_request;
mod send_state;
#[cfg(test)]
mod tests;
mod upkeep;

use std::borrow::Cow;

use barrage_proto::{
    Position,
    log::Entry,
    v1,
    v2::{self, Decoder, FrameType, pb},
};
use bytes::Bytes;

use crate::gateway::{encode::Version, metrics::Refusal};
use barrage_core::{
    moderation::{is_exempt, keeps_order},
    token::Identity,
    words,
};
use refusal::SendRefusal;
use send_request::SendRequest;
use send_state::SendState;
use upkeep::Upkeep;

pub(super) use upkeep::{Limits, Output};

/// Older retries are refused: the consumer remembers originals for 60 s, of which an append may take 20 s.
const RETRY_AGE_MS_MAX: u32 = 30_000;
/// When to try again while too much waits for the log, ms.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// A compressed frame takes so many times as long as another: a few bytes may hold 16 KiB.
const COMPRESSED_WEIGHT: u32 = 8;

#[derive(Debug)]
pub(super) enum Action {
    /// Nothing: the frame is of a newer client, or by somebody who may not send it. With what it is counted as.
    Skip(Option<Refusal>),
    /// Nothing: a version 1 client is not told what it gets wrong.
    Ignore(Refusal),
    /// A frame that is none, or that may not be sent.
    RefuseFrame { reason: Refusal, detail: Cow<'static, str> },
    /// A danmaku that is not accepted. Later ones of the session wait for it if the reason [`refusal::holds_up`].
    RefuseSend { seq: u64, reason: Refusal, retry_after_ms: u32 },
    /// Answers a heartbeat.
    Heartbeat { client_ms: i64 },
    /// A danmaku that was accepted; an outside moderator may be asked about it.
    Submit { entry: Entry, reviewable: bool },
    /// So many likes count.
    Like(u32),
}

/// What decides about a danmaku besides its form and its place in its sender's order.
pub(super) trait Rules {
    /// Bytes of a text, at the most.
    fn content_bytes_max(&self) -> usize;
    /// Who said a danmaku, if it is one of the room's newest.
    fn author_of(&self, danmaku: Position) -> Option<u64>;
    /// Whether somebody may say a text.
    fn check_text(&mut self, sender: &Identity, text: &str) -> Result<(), SendRefusal>;
    /// Whether there is room for another danmaku of its sender on the way to the log.
    fn has_room(&self, sender: &Identity) -> bool;
    /// Takes one danmaku from what the sender may send now.
    fn take_send(&mut self, sender: &Identity, is_gift: bool) -> Result<(), SendRefusal>;
}

/// One frame of a message, or what stands in its place.
#[derive(Debug)]
pub(super) enum Frame<'m> {
    V1(Result<v1::Frame<'m>, v1::DecodeError>),
    V2(Result<v2::RawFrame<'m>, v2::FrameError>),
}

impl Frame<'_> {
    /// What it counts against the limit of what a peer may send.
    pub(super) const fn weight(&self) -> u32 {
        match self {
            Self::V2(Ok(frame)) if frame.header.flags & v2::FLAG_ZSTD != 0 => COMPRESSED_WEIGHT,
            _ => 1,
        }
    }
}

/// The frames of a binary message, one after the other.
pub(super) fn frames(version: Version, message: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let (v1, v2) = match version {
        Version::V1 => (Some(v1::frames(message)), None),
        Version::V2 => (None, Some(v2::frames(message))),
    };
    v1.into_iter().flatten().map(Frame::V1).chain(v2.into_iter().flatten().map(Frame::V2))
}

pub(super) struct Protocol {
    version: Version,
    identity: Identity,
    /// The sender's session: its client's choice, or drawn by lot.
    session: u64,
    /// Made at the first send: most viewers only watch.
    sends: Option<Box<SendState>>,
    upkeep: Upkeep,
}

impl Protocol {
    /// Of a connection that begins in second `now_s` of its worker. Where the transport keeps itself alive the peer is
    /// not pinged.
    pub(super) const fn new(
        version: Version,
        identity: Identity,
        session: u64,
        transport_keeps_alive: bool,
        now_s: u32,
    ) -> Self {
        Self { version, identity, session, sends: None, upkeep: Upkeep::new(transport_keeps_alive, now_s) }
    }

    /// A frame of `message` came.
    pub(super) fn frame(
        &mut self,
        frame: Frame<'_>,
        message: &Bytes,
        decoder: &mut Decoder,
        rules: &mut impl Rules,
    ) -> Action {
        match frame {
            Frame::V1(Err(error)) => Action::Ignore((&error).into()),
            Frame::V1(Ok(frame)) => self.frame_v1(&frame, message, rules),
            Frame::V2(Err(error)) => refuse_frame((&error).into(), error.to_string()),
            Frame::V2(Ok(frame)) if frame.header.room != 0 => {
                refuse_frame(Refusal::UnknownRoom, "room 0, that of the URL, is the only one here")
            }
            Frame::V2(Ok(frame)) => self.frame_v2(&frame, decoder, rules),
        }
    }

    /// A text message came, where only binary ones mean anything.
    pub(super) fn text(&self) -> Action {
        match self.version {
            Version::V1 => Action::Ignore(Refusal::TextMessage),
            Version::V2 => {
                refuse_frame(Refusal::TextMessage, "send binary messages; this connection does not speak text")
            }
        }
    }

    /// A danmaku is not kept, now or after it was accepted.
    pub(super) fn refuse(&mut self, seq: u64, reason: Refusal, retry_after_ms: u32) -> Action {
        if self.version == Version::V1 {
            return Action::Ignore(reason);
        }
        if refusal::holds_up(reason) {
            self.sends.get_or_insert_default().refused(seq);
        }
        Action::RefuseSend { seq, reason, retry_after_ms }
    }

    /// Whether the peer is told what moderators decided about its user, and whether it is sent away for it.
    pub(super) fn hears(&self, kind: pb::NoticeKind) -> (bool, bool) {
        let bound = !is_exempt(self.identity.role.into());
        (bound && self.version == Version::V2, bound && kind == pb::NoticeKind::Banned)
    }

    /// Clocks and counters that are looked at once a second.
    pub(super) const fn upkeep(&mut self) -> &mut Upkeep {
        &mut self.upkeep
    }

    fn frame_v1(&mut self, frame: &v1::Frame<'_>, message: &Bytes, rules: &mut impl Rules) -> Action {
        if frame.frame_type == v1::FrameType::Heartbeat {
            return Action::Heartbeat { client_ms: frame.timestamp_ms };
        }
        if frame.user_id != self.identity.user {
            return Action::Ignore(Refusal::WrongUser);
        }
        let content = content_of(message, frame.content);
        self.send(SendRequest { sent_ms: frame.timestamp_ms, content, ..SendRequest::default() }, rules)
    }

    fn frame_v2(&mut self, frame: &v2::RawFrame<'_>, decoder: &mut Decoder, rules: &mut impl Rules) -> Action {
        let malformed = |error: v2::PayloadError| refuse_frame((&error).into(), error.to_string());
        match FrameType::from_code(frame.header.code) {
            // Unchecked, so that a text that is not UTF-8 is refused under its number.
            Some(FrameType::Send) => match decoder.decode::<v2::UncheckedSend>(frame) {
                Ok(send) => self.send_v2(send, rules),
                Err(error) => malformed(error),
            },
            Some(FrameType::Heartbeat) => match decoder.decode::<pb::Heartbeat>(frame) {
                Ok(beat) => Action::Heartbeat { client_ms: beat.client_ms },
                Err(error) => malformed(error),
            },
            // Who may not send is not counted.
            Some(FrameType::Like) if !self.identity.send => Action::Skip(None),
            Some(FrameType::Like) => match decoder.decode::<pb::Like>(frame) {
                Ok(pb::Like { count }) => Action::Like(self.upkeep.like(count)),
                Err(error) => malformed(error),
            },
            Some(_) => refuse_frame(Refusal::UnexpectedType, "only the server sends frames of this type"),
            // From a newer client.
            None => Action::Skip(Some(Refusal::UnknownType)),
        }
    }

    fn send_v2(&mut self, send: v2::UncheckedSend, rules: &mut impl Rules) -> Action {
        let seq = send.seq;
        match SendRequest::new(&self.identity, send, |id| rules.author_of(id)) {
            Ok(request) => self.send(request, rules),
            Err((reason, retry_after_ms)) => self.refuse(seq, reason, retry_after_ms),
        }
    }

    fn send(&mut self, mut request: SendRequest, rules: &mut impl Rules) -> Action {
        match self.accept(&mut request, rules) {
            Ok(()) => {
                let reviewable = !keeps_order(self.identity.role.into());
                Action::Submit { entry: request.into_entry(&self.identity, self.session), reviewable }
            }
            Err((reason, retry_after_ms)) => self.refuse(request.seq, reason, retry_after_ms),
        }
    }

    /// Checks a danmaku. A version 1 danmaku gets its number here.
    fn accept(&mut self, request: &mut SendRequest, rules: &mut impl Rules) -> Result<(), SendRefusal> {
        if self.version == Version::V2 && (request.seq == 0 || request.seq < request.oldest_pending) {
            return Err((Refusal::BadSequence, 0));
        }
        self.check_content(&request.content, rules)?;
        let sends = self.sends.get_or_insert_default();
        if self.version == Version::V2 {
            if !sends.may_send(request.seq, request.oldest_pending) {
                return Err((Refusal::Blocked, 0));
            }
            if request.retry_age_ms > RETRY_AGE_MS_MAX {
                return Err((Refusal::UnknownOutcome, 0));
            }
        } else {
            request.seq = sends.count();
        }
        if !rules.has_room(&self.identity) {
            return Err((Refusal::Retry, BUSY_RETRY_AFTER_MS));
        }
        rules.take_send(&self.identity, request.gift.is_some())?;
        sends.accepted(request.seq);
        Ok(())
    }

    fn check_content(&self, content: &Bytes, rules: &mut impl Rules) -> Result<(), SendRefusal> {
        if !self.identity.send {
            return Err((Refusal::SendNotAllowed, 0));
        }
        if content.is_empty() {
            return Err((Refusal::ContentEmpty, 0));
        }
        if content.len() > rules.content_bytes_max() {
            return Err((Refusal::ContentTooLong, 0));
        }
        let text = std::str::from_utf8(content).map_err(|_| (Refusal::ContentNotUtf8, 0))?;
        if !words::is_readable(text) {
            return Err((Refusal::ContentUnreadable, 0));
        }
        rules.check_text(&self.identity, text)
    }
}

fn refuse_frame(reason: Refusal, detail: impl Into<Cow<'static, str>>) -> Action {
    Action::RefuseFrame { reason, detail: detail.into() }
}

/// The content as a view into its message, without a copy, unless it would keep much more than itself alive.
fn content_of(message: &Bytes, content: &str) -> Bytes {
    if message.len() > content.len() * 4 + v1::HEADER_BYTES {
        return Bytes::copy_from_slice(content.as_bytes());
    }
    message.slice_ref(content.as_bytes())
}
