//! What clients send: taken apart, checked, accepted or refused.
//!
//! What a version 1 client gets wrong is counted and ignored; a version 2 client gets an error with a reason.

mod refusal;
mod wish;

use std::{rc::Rc, time::Duration};

use barrage_proto::{
    Position, v1,
    v2::{self, FrameType, pb},
};
use bytes::Bytes;

use super::{
    connection::{Version, Viewer},
    encode, held,
    metrics::Refusal,
    outbox::Sent,
};
use crate::{clock::unix_ms, link::Danmaku, moderation, room::shard_of, words};

pub(super) use refusal::refuse_send;
use refusal::{refuse_frame, refuse_v1};
pub(super) use wish::Wish;

/// Older retries are refused: the consumer remembers originals for 60 s, of which an append may take 20 s.
const RETRY_AGE_MS_MAX: u32 = 30_000;
/// When to try again while too much waits for the log, ms.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// A text message, where only binary ones mean anything.
pub(super) fn text(viewer: &Rc<Viewer>) {
    refuse_frame(viewer, Refusal::TextMessage, "send binary messages; this connection does not speak text");
}

/// A binary message: frames, one after the other.
pub(super) fn message(viewer: &Rc<Viewer>, bytes: Bytes) {
    match viewer.version {
        Version::V1 => message_v1(viewer, &bytes),
        Version::V2 => message_v2(viewer, &bytes),
    }
}

fn message_v1(viewer: &Rc<Viewer>, bytes: &Bytes) {
    for frame in v1::frames(bytes) {
        match frame {
            Err(error) => refuse_v1(viewer, (&error).into()),
            Ok(frame) if frame.frame_type == v1::FrameType::Heartbeat => heartbeat_v1(viewer),
            Ok(frame) if frame.user_id != viewer.identity.user => refuse_v1(viewer, Refusal::WrongUser),
            Ok(frame) => {
                let content = content_of(bytes, frame.content);
                let wish = Wish { sent_ms: frame.timestamp_ms, content, ..Wish::default() };
                if let Err((reason, _)) = accept(viewer, wish) {
                    refuse_v1(viewer, reason);
                }
            }
        }
    }
}

/// The content as a view into its message, without a copy, unless it would keep much more than itself alive.
fn content_of(message: &Bytes, content: &str) -> Bytes {
    if message.len() > content.len() * 4 + v1::HEADER_BYTES {
        return Bytes::copy_from_slice(content.as_bytes());
    }
    message.slice_ref(content.as_bytes())
}

fn message_v2(viewer: &Rc<Viewer>, bytes: &[u8]) {
    for frame in v2::frames(bytes) {
        match frame {
            Err(error) => refuse_frame(viewer, (&error).into(), &error.to_string()),
            Ok(frame) if frame.header.room != 0 => {
                refuse_frame(viewer, Refusal::UnknownRoom, "room 0, that of the URL, is the only one here");
            }
            Ok(frame) => frame_v2(viewer, &frame),
        }
    }
}

fn frame_v2(viewer: &Rc<Viewer>, frame: &v2::RawFrame<'_>) {
    let mut decoder = viewer.shard.decoder.borrow_mut();
    match FrameType::from_code(frame.header.code) {
        // Unchecked, so that a text that is not UTF-8 is refused under its number.
        Some(FrameType::Send) => match decoder.decode::<v2::UncheckedSend>(frame) {
            Ok(send) => {
                let seq = send.seq;
                let accepted = Wish::new(viewer, send).and_then(|wish| accept(viewer, wish));
                if let Err((reason, retry_after)) = accepted {
                    refuse_send(viewer, seq, reason, retry_after);
                }
            }
            Err(error) => refuse_frame(viewer, (&error).into(), &error.to_string()),
        },
        Some(FrameType::Heartbeat) => match decoder.decode::<pb::Heartbeat>(frame) {
            Ok(beat) => {
                let answer = pb::Heartbeat { client_ms: beat.client_ms, server_ms: unix_ms() };
                viewer.answer(&encode::message_of(&answer, &mut viewer.shard.encoder.borrow_mut()));
            }
            Err(error) => refuse_frame(viewer, (&error).into(), &error.to_string()),
        },
        Some(FrameType::Like) => match decoder.decode::<pb::Like>(frame) {
            Ok(pb::Like { count }) if viewer.identity.send => viewer.like(count),
            // Who may not send is not counted.
            Ok(_) => {}
            Err(error) => refuse_frame(viewer, (&error).into(), &error.to_string()),
        },
        Some(_) => refuse_frame(viewer, Refusal::UnexpectedType, "only the server sends frames of this type"),
        // From a newer client: skipped.
        None => viewer.shard.served.metrics.refused(Refusal::UnknownType),
    }
}

fn heartbeat_v1(viewer: &Viewer) {
    let frame = v1::Frame {
        frame_type: v1::FrameType::Heartbeat,
        timestamp_ms: unix_ms(),
        user_id: viewer.identity.user,
        content: "",
    };
    let mut bytes = Vec::with_capacity(v1::HEADER_BYTES);
    // Without content it always fits.
    let _ = frame.encode(&mut bytes);
    viewer.answer(&encode::message(&bytes));
}

/// Checks a danmaku and puts it on its way to the log.
///
/// # Errors
/// Why not, and after how many ms it may be tried again (0: not as it is).
fn accept(viewer: &Rc<Viewer>, mut wish: Wish) -> Result<(), (Refusal, u32)> {
    let shard = &viewer.shard;
    if viewer.version == Version::V2 && (wish.seq == 0 || wish.seq < wish.oldest_pending) {
        return Err((Refusal::BadSequence, 0));
    }
    check_content(viewer, &wish.content)?;
    let mut sends = viewer.sends.borrow_mut();
    let sends = sends.get_or_insert_default();
    if viewer.version == Version::V2 {
        if !sends.may_send(wish.seq, wish.oldest_pending) {
            return Err((Refusal::Blocked, 0));
        }
        if wish.retry_age_ms > RETRY_AGE_MS_MAX {
            return Err((Refusal::UnknownOutcome, 0));
        }
    } else {
        sends.counted += 1;
        wish.seq = sends.counted;
    }
    if !shard.outbox.borrow().has_room() {
        return Err((Refusal::Retry, BUSY_RETRY_AFTER_MS));
    }
    let served = &viewer.room.served;
    let room = served.room();
    if wish.gift.is_none() {
        served.take_send(viewer.identity.user).map_err(|wait| (Refusal::RateLimited, wait_ms(wait)))?;
        served.moderated.take_slow(&room, &viewer.identity).map_err(|wait_ms| (Refusal::SlowMode, wait_ms))?;
    }
    sends.accepted(wish.seq);
    shard.served.metrics.accepted.inc();
    let hook = room.verdict.clone().filter(|_| !moderation::keeps_order(viewer.identity.role.into()));
    if hook.is_some() || shard.held.borrow().has(viewer) {
        held::hold(viewer, wish, hook);
    } else {
        send_to_log(viewer, wish);
    }
    Ok(())
}

fn check_content(viewer: &Viewer, content: &Bytes) -> Result<(), (Refusal, u32)> {
    if !viewer.identity.send {
        return Err((Refusal::SendNotAllowed, 0));
    }
    if content.is_empty() {
        return Err((Refusal::ContentEmpty, 0));
    }
    if content.len() > viewer.shard.served.config.content_bytes_max {
        return Err((Refusal::ContentTooLong, 0));
    }
    let text = std::str::from_utf8(content).map_err(|_| (Refusal::ContentNotUtf8, 0))?;
    if !words::is_readable(text) {
        return Err((Refusal::ContentUnreadable, 0));
    }
    viewer.room.served.moderated.check(&viewer.identity, text, &mut viewer.shard.folded.borrow_mut())
}

/// Puts a danmaku that was accepted on its way to the log.
pub(super) fn send_to_log(viewer: &Rc<Viewer>, wish: Wish) {
    let seq = wish.seq;
    let mut outbox = viewer.shard.outbox.borrow_mut();
    let received_ms = outbox.received_ms(unix_ms());
    let entry = wish.into_entry(&viewer.identity, viewer.session);
    let slice = shard_of(entry.user);
    if !entry.retry {
        let danmaku = Danmaku::of(Position::default(), &entry, received_ms);
        viewer.room.echoes.borrow_mut().accepted(Rc::downgrade(viewer), slice, danmaku);
    }
    let slice = (viewer.room.served.id(), slice);
    outbox.push(slice, &viewer.shard.served.routes, entry, Sent { viewer: Rc::clone(viewer), seq }, received_ms);
    viewer.shard.accepted.notify_one();
}

/// Rounded up: who waits that long is not refused again.
fn wait_ms(wait: Duration) -> u32 {
    u32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}
