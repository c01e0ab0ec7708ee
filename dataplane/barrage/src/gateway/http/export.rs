//! `GET /v1/rooms/{room}/export`: all that is kept of a room, as JSON lines or as Bilibili's XML, streamed page by page.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use barrage_proto::Cursor;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    danmaku::Item,
    description::{Described, Operation},
    request::{Api, Parameters, Readable},
};
use crate::gateway::{problem::Problem, state::GatewayState};
use barrage_core::{
    room::RoomId,
    store::{Direction, HistoryItem, StoreError},
};

/// Danmaku that are read and written at a time.
const PAGE: usize = 1_000;
/// How Bilibili's XML begins; `chatid` means nothing here.
const XML_HEAD: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<i><chatserver>barrage</chatserver><chatid>0</chatid>\n";
const XML_TAIL: &str = "</i>\n";

/// Which form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Format {
    /// One JSON object a line, as in the history.
    #[default]
    Jsonl,
    /// Bilibili's danmaku XML; times are relative to the first danmaku.
    Xml,
}

/// What of the room.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    #[serde(default)]
    format: Format,
    /// Received at this time, Unix ms, or later.
    from_ms: Option<i64>,
    /// Received before this time, Unix ms.
    to_ms: Option<i64>,
}

pub(super) fn describe(described: Described) -> Described {
    described.route("/v1/rooms/{room}/export", |schemas| {
        Operation::new::<String>(schemas, "get", get(export), "All danmaku that are kept, the oldest first")
            .of_types(&["application/jsonl", "application/xml"])
            .query::<Wanted>(schemas)
    })
}

/// All danmaku that are kept, the oldest first, without what moderation took away.
pub(super) async fn export(
    State(gateway): Api,
    Readable(room): Readable,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    let at = match wanted.from_ms {
        Some(from_ms) => gateway.store.cursor_at(room.id(), from_ms).await?,
        None => Cursor::default(),
    };
    let writer = Writer { gateway, room: room.id().clone(), wanted, at, base_ms: None, ended: false };
    let kind = match writer.wanted.format {
        Format::Jsonl => "application/jsonl",
        Format::Xml => "application/xml",
    };
    // A store that fails in the middle ends the stream short of its end, which an HTTP client sees.
    let pages = try_unfold(writer, |mut writer| async move {
        let page = writer.next().await?;
        Ok::<_, StoreError>(page.map(|page| (page, writer)))
    });
    Ok(([(CONTENT_TYPE, kind)], Body::from_stream(pages)).into_response())
}

/// An export on its way.
struct Writer {
    gateway: Arc<GatewayState>,
    room: RoomId,
    wanted: Wanted,
    at: Cursor,
    /// When the first danmaku was received; nothing is written before it is known.
    base_ms: Option<i64>,
    ended: bool,
}

impl Writer {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let page = self.gateway.store.history(&self.room, Direction::After, self.at.clone(), PAGE).await?;
        let times = self.wanted.from_ms.unwrap_or(i64::MIN)..self.wanted.to_ms.unwrap_or(i64::MAX);
        let over = page.items.last().is_some_and(|last| last.received_ms >= times.end);
        self.ended = !page.more || over;
        self.at = page.after;
        let mut out = String::new();
        if self.base_ms.is_none() && self.wanted.format == Format::Xml {
            out.push_str(XML_HEAD);
        }
        let mut wanted = page.items.iter().filter(|item| times.contains(&item.received_ms)).peekable();
        let base_ms = *self.base_ms.get_or_insert_with(|| wanted.peek().map_or(0, |first| first.received_ms));
        for item in wanted {
            match self.wanted.format {
                Format::Jsonl => json_line(item, &mut out),
                Format::Xml => xml_line(item, base_ms, &mut out),
            }
        }
        if self.ended && self.wanted.format == Format::Xml {
            out.push_str(XML_TAIL);
        }
        Ok(Some(out.into()))
    }
}

fn json_line(item: &HistoryItem, out: &mut String) {
    // Text and numbers are always JSON.
    if let Ok(line) = serde_json::to_string(&Item::from(item)) {
        out.push_str(&line);
        out.push('\n');
    }
}

/// `<d p="seconds,mode,size,colour,Unix s,pool,user,ID">text</d>`: modes 1 scrolls, 4 bottom, 5 top, 6 reverse; size 25 is
/// normal; colour is decimal, white by default.
fn xml_line(item: &HistoryItem, base_ms: i64, out: &mut String) {
    let of = Item::from(item);
    let mode = match of.mode {
        Some("bottom") => 4,
        Some("top") => 5,
        Some("reverse") => 6,
        _ => 1,
    };
    let size = match of.size {
        Some("small") => 18,
        Some("large") => 36,
        _ => 25,
    };
    let colour = if of.rgb == 0 { 0xff_ffff } else { of.rgb };
    let after_ms = (of.received_ms - base_ms).max(0);
    let (seconds, ms) = (after_ms / 1_000, after_ms % 1_000);
    let head = format!(
        "<d p=\"{seconds}.{ms:03},{mode},{size},{colour},{},0,{},{}\">",
        of.received_ms / 1_000,
        of.user_id,
        of.id
    );
    out.push_str(&head);
    escape(&of.content, out);
    out.push_str("</d>\n");
}

/// Text as XML 1.0 has it; characters that it cannot have at all are left out (the gateway lets none of them in).
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() && !matches!(c, '\t' | '\n') => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use barrage_proto::{Position, log::Entry};

    use super::*;

    #[test]
    fn lines_say_what_their_forms_know() {
        let entry = Entry {
            user: 7,
            content: "<b>&\0 弹幕".as_bytes().to_vec().into(),
            mode: 1,
            colour: 0xff_6600,
            size: 2,
            ..Entry::default()
        };
        let position = Position { partition: 3, offset: 9, index: 1 };
        let item = HistoryItem { shard: 0, position, received_ms: 61_234, entry };
        let mut out = String::new();
        xml_line(&item, 60_000, &mut out);
        assert_eq!(out, "<d p=\"1.234,5,36,16737792,61,0,7,3-9-1\">&lt;b&gt;&amp; 弹幕</d>\n");
        out.clear();
        json_line(&item, &mut out);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&json["colour"], &json["mode"], &json["size"]),
            (&"#ff6600".into(), &"top".into(), &"large".into())
        );
        assert_eq!(json["content"], "<b>&\0 弹幕");
    }
}
