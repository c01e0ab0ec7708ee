//! A danmaku as the HTTP API says it.

use barrage_proto::{
    Position,
    v2::pb::{Mode, Role, Size},
};
use schemars::JsonSchema;
use serde::Serialize;

use barrage_core::{link::Danmaku, store::HistoryItem};

/// A danmaku. What is absent is the default: scrolling, in the viewer's own colour, of normal size, no answer, no gift.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) user_id: String,
    /// `viewer`, `moderator`, `host` or `service`.
    role: &'static str,
    /// Unix time of sending by the sender's clock.
    pub(super) sent_ms: i64,
    /// Unix time of its receipt.
    pub(super) received_ms: i64,
    pub(super) content: String,
    /// `top`, `bottom` or `reverse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<&'static str>,
    /// `#rrggbb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
    /// `small` or `large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gift: Option<Gift>,
    #[serde(skip)]
    pub(super) rgb: u32,
}

/// What a danmaku answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Reply {
    id: String,
    /// Who said that.
    user_id: String,
}

/// What is given with a danmaku.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Gift {
    name: String,
    value: String,
    count: u32,
    super_chat: bool,
}

impl From<&HistoryItem> for Item {
    fn from(item: &HistoryItem) -> Self {
        let danmaku = Danmaku::of(item.position, &item.entry, item.received_ms);
        let style = danmaku.style;
        let more = danmaku.more.as_deref();
        Self {
            id: item.position.to_string(),
            user_id: danmaku.user.to_string(),
            role: role_name(item.entry.role),
            sent_ms: danmaku.sent_ms,
            received_ms: item.received_ms,
            content: danmaku.text().to_owned(),
            mode: match style.mode {
                Mode::Scroll => None,
                Mode::Top => Some("top"),
                Mode::Bottom => Some("bottom"),
                Mode::Reverse => Some("reverse"),
            },
            colour: (style.colour != 0).then(|| format!("#{:06x}", style.colour)),
            size: match style.size {
                Size::Normal => None,
                Size::Small => Some("small"),
                Size::Large => Some("large"),
            },
            reply_to: more.and_then(|more| more.reply).map(|reply| Reply {
                id: Position { partition: reply.partition, offset: reply.offset, index: reply.index }.to_string(),
                user_id: reply.user.to_string(),
            }),
            gift: danmaku.gift().map(|gift| Gift {
                name: gift.name.clone(),
                value: gift.value.to_string(),
                count: gift.count,
                super_chat: gift.super_chat,
            }),
            rgb: style.colour,
        }
    }
}

/// A role's name in tokens and answers.
pub(super) fn role_name(role: u32) -> &'static str {
    match Role::try_from(role.cast_signed()).unwrap_or_default() {
        Role::Viewer => "viewer",
        Role::Moderator => "moderator",
        Role::Host => "host",
        Role::Service => "service",
    }
}
