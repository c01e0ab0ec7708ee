//! Bilibili's danmaku XML: `<d p="time,mode,size,color,sent_s,pool,userhash,rowid">text</d>` in a root element.

use serde::Deserialize;

use super::{Recorded, user_of_name};

/// What `GET …/export` writes for the chat server.
const OURS: &str = "barrage";
/// Seconds in a recording that nobody makes longer; a time beyond it is a slip.
const TIME_S_MAX: f64 = 1e9;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    chatserver: String,
    #[serde(rename = "d", default)]
    danmaku: Vec<Danmaku>,
}

#[derive(Deserialize)]
struct Danmaku {
    #[serde(rename = "@p")]
    attributes: String,
    #[serde(rename = "$text", default)]
    content: String,
}

/// Parses a document; the error says which danmaku is bad.
pub(super) fn parse(text: &str) -> Result<Vec<Recorded>, String> {
    let document: Document = quick_xml::de::from_str(text).map_err(|error| error.to_string())?;
    // Our own exports have user IDs where Bilibili has hashes.
    let user_of = if document.chatserver == OURS { user_of_id } else { user_of_hash };
    let numbered = document.danmaku.into_iter().enumerate();
    numbered
        .map(|(index, danmaku)| {
            let attributes: Vec<_> = danmaku.attributes.split(',').collect();
            let at_ms = attributes.first().and_then(|time| milliseconds(time));
            let (Some(at_ms), Some(hash)) = (at_ms, attributes.get(6)) else {
                return Err(format!("danmaku {}: p=\"{}\" has no time or no user", index + 1, danmaku.attributes));
            };
            Ok(Recorded { at_ms, user: user_of(hash), content: danmaku.content })
        })
        .collect()
}

fn milliseconds(seconds: &str) -> Option<u64> {
    let seconds: f64 = seconds.parse().ok()?;
    let sane = seconds.is_finite() && (0.0..TIME_S_MAX).contains(&seconds);
    sane.then(|| u64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX))
}

fn user_of_id(id: &str) -> u64 {
    id.parse().ok().filter(|&id| id != 0).unwrap_or_else(|| user_of_name(id))
}

/// The user hash is a CRC-32 in hexadecimal; other sites write other names there.
fn user_of_hash(hash: &str) -> u64 {
    match u64::from_str_radix(hash, 16) {
        Ok(user) if user != 0 => user,
        _ => user_of_name(hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<i><chatserver>chat.bilibili.com</chatserver><chatid>1</chatid><maxlimit>500</maxlimit>
<d p="12.34500,1,25,16777215,1625832185,0,a1b2c3d4,52017838">来了 &amp; 走了 &lt;3</d>
<d p="0.5,1,25,16777215,1625832185,0,D-visitor,52017839">前排</d></i>"#;

    #[test]
    fn times_users_and_escaped_texts_are_read() {
        let lines = parse(DOCUMENT).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], Recorded { at_ms: 12_345, user: 0xa1b2_c3d4, content: "来了 & 走了 <3".to_owned() });
        assert_eq!((lines[1].at_ms, lines[1].content.as_str()), (500, "前排"));
        assert_ne!(lines[1].user, 0);
    }

    #[test]
    fn bad_attributes_are_named() {
        for p in ["", "x,1,25,1,1,0,a,1", "1.0,1,25", "-1,1,25,1,1,0,a,1", "NaN,1,25,1,1,0,a,1"] {
            let error = parse(&format!("<i><d p=\"{p}\">x</d></i>")).unwrap_err();
            assert!(error.starts_with("danmaku 1: "), "{error}");
        }
        assert!(parse("<i><d p=").is_err());
    }
}
