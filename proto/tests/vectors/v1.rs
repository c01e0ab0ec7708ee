//! Vectors of version 1.

use barrage_proto::v1::{self, ContentTooLong, DecodeError, Frame, FrameType};
use serde_json::{Value, json};

use crate::{Checked, format::Vector, same};

variants!(DecodeError: ShortHeader, ShortContent, Trailing, BadMagic, BadVersion, UnknownType, BadUtf8);

/// `v1-frame`: decodes to its fields, and they encode to its bytes.
pub(crate) fn frame(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let frame = v1::decode_exact(&bytes).map_err(|error| error.to_string())?;
    same(&frame_json(&frame), vector.field("frame"))?;
    let mut encoded = Vec::new();
    frame.encode(&mut encoded).map_err(|error| error.to_string())?;
    same(&encoded, &bytes)
}

/// `v1-frame-error`: is not exactly one frame, for this reason.
pub(crate) fn frame_error(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let error = v1::decode_exact(&bytes).expect_err(&vector.name);
    same(&error_json(&error), vector.field("error"))
}

/// `v1-message`: these frames and errors, in this order.
pub(crate) fn message(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let items: Value = v1::frames(&bytes)
        .map(|item| match item {
            Ok(frame) => json!({ "frame": frame_json(&frame) }),
            Err(error) => json!({ "error": error_json(&error) }),
        })
        .collect();
    same(&items, vector.field("items"))
}

/// `v1-encode-error`: these fields make no frame, and nothing is written.
pub(crate) fn encode_error(vector: &Vector) -> Checked {
    let fields = vector.field("frame");
    let frame = Frame {
        frame_type: FrameType::Danmaku,
        timestamp_ms: number(&fields["timestampMs"]),
        user_id: number(&fields["userId"]),
        content: fields["content"].as_str().unwrap(),
    };
    let mut written = Vec::new();
    let ContentTooLong { bytes } = frame.encode(&mut written).expect_err(&vector.name);
    same(&json!({ "kind": "ContentTooLong", "bytes": bytes }), vector.field("error"))?;
    same(&written, &Vec::new())
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn frame_json(frame: &Frame<'_>) -> Value {
    let frame_type = match frame.frame_type {
        FrameType::Danmaku => "danmaku",
        FrameType::Heartbeat => "heartbeat",
    };
    json!({
        "type": frame_type,
        "timestampMs": frame.timestamp_ms.to_string(),
        "userId": frame.user_id.to_string(),
        "content": frame.content,
    })
}

fn error_json(error: &DecodeError) -> Value {
    let kind = variant(error);
    match *error {
        DecodeError::ShortHeader { have } => json!({ "kind": kind, "have": have }),
        DecodeError::ShortContent { want, have } => json!({ "kind": kind, "want": want, "have": have }),
        DecodeError::Trailing { extra } => json!({ "kind": kind, "extra": extra }),
        DecodeError::BadMagic { found } => json!({ "kind": kind, "found": found }),
        DecodeError::BadVersion { found } => json!({ "kind": kind, "found": found }),
        DecodeError::UnknownType { found, frame_bytes } => {
            json!({ "kind": kind, "found": found, "frameBytes": frame_bytes })
        }
        DecodeError::BadUtf8 { frame_bytes } => json!({ "kind": kind, "frameBytes": frame_bytes }),
    }
}
