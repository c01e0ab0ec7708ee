//! One danmaku, as the stages hand it on.

use std::sync::Arc;

use barrage_proto::{
    Position,
    batch::{Gift, Row},
    log,
    v2::pb::{Mode, Role, Size},
};
use bytes::Bytes;

use crate::moderation::super_chat_stay_s;

/// One danmaku.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Danmaku {
    pub position: Position,
    pub user: u64,
    /// The sender's session; with `seq` it finds the sender's own.
    pub session: u64,
    /// Sequence number in the session.
    pub seq: u64,
    pub role: Role,
    /// Unix time of sending by the sender's clock, ms.
    pub sent_ms: i64,
    /// Unix time of receipt by the gateway's clock, ms.
    pub received_ms: i64,
    /// The text, UTF-8.
    pub content: Bytes,
    pub style: Style,
    pub more: Option<Arc<More>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    pub mode: Mode,
    /// 0xRRGGBB; 0 for the viewer's own default.
    pub colour: u32,
    /// Size of the text.
    pub size: Size,
}

/// An answer or a gift.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct More {
    pub reply: Option<log::Reply>,
    pub gift: Option<log::Gift>,
}

/// What an entry's sender is in the room; a role that only a newer gateway knows counts as the one with the fewest rights.
#[must_use]
pub fn role_of(entry: &log::Entry) -> Role {
    Role::try_from(entry.role.cast_signed()).unwrap_or_default()
}

impl Danmaku {
    /// A danmaku as the log has it. What a newer gateway wrote and this does not know is the default.
    #[must_use]
    pub fn of(position: Position, entry: &log::Entry, received_ms: i64) -> Self {
        let more = || Arc::new(More { reply: entry.reply, gift: entry.gift.as_deref().cloned() });
        Self {
            position,
            user: entry.user,
            session: entry.session,
            seq: entry.seq,
            role: role_of(entry),
            sent_ms: entry.sent_ms,
            received_ms,
            content: entry.content.clone(),
            style: Style {
                mode: Mode::try_from(entry.mode.cast_signed()).unwrap_or_default(),
                colour: entry.colour,
                size: Size::try_from(entry.size.cast_signed()).unwrap_or_default(),
            },
            more: (entry.reply.is_some() || entry.gift.is_some()).then(more),
        }
    }

    #[must_use]
    pub fn entry(&self) -> log::Entry {
        let more = self.more.as_deref();
        log::Entry {
            user: self.user,
            session: self.session,
            seq: self.seq,
            role: i32::from(self.role).cast_unsigned(),
            sent_ms: self.sent_ms,
            content: self.content.clone(),
            mode: i32::from(self.style.mode).cast_unsigned(),
            colour: self.style.colour,
            size: i32::from(self.style.size).cast_unsigned(),
            reply: more.and_then(|more| more.reply),
            gift: more.and_then(|more| more.gift.clone()).map(Box::new),
            ..log::Entry::default()
        }
    }

    /// Its text; the gateway that accepted it checked that it is UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap_or_default()
    }

    #[must_use]
    pub fn gift(&self) -> Option<&log::Gift> {
        self.more.as_ref()?.gift.as_ref()
    }

    #[must_use]
    pub fn row(&self) -> Row<'_> {
        let reply = self.more.as_ref().and_then(|more| more.reply);
        let of_reply = |log::Reply { partition, offset, index, user }| (Position { partition, offset, index }, user);
        Row {
            position: self.position,
            user: self.user,
            sent_ms: self.sent_ms,
            role: self.role,
            content: self.text(),
            mode: self.style.mode,
            colour: self.style.colour,
            size: self.style.size,
            reply: reply.map(of_reply),
            gift: self.gift().map(|gift| Gift {
                value: gift.value,
                name: &gift.name,
                count: gift.count,
                stay_s: if gift.super_chat { super_chat_stay_s(gift.value) } else { 0 },
            }),
        }
    }
}
