//! Vectors of version 2's framing and payloads.

use barrage_proto::v2::{self, FrameError, FrameType, Header, PayloadError, RawFrame, pb};
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use crate::{Checked, format::Vector, same};

pub(crate) mod framing {
    //! Names of the framing errors.
    use super::FrameError;
    variants!(FrameError: ShortHeader, ShortPayload, BadMagic, BadVersion);
}

pub(crate) mod payload {
    //! Names of the payload errors.
    use super::PayloadError;
    variants!(PayloadError: UnsupportedFlags, BadCompression, TooLarge, Malformed);
}

/// A payload that was read: in Protobuf's JSON mapping, and encoded again, plain and as small as it gets.
struct Read {
    json: Value,
    plain: Vec<u8>,
    smallest: Vec<u8>,
}

/// `v2-frame`: one frame with this header and this payload, which encodes to its bytes unless `decodeOnly`.
pub(crate) fn frame(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let (frame, used) = v2::decode(&bytes).map_err(|error| error.to_string())?;
    same(&used, &bytes.len())?;
    let frame_type = FrameType::from_code(frame.header.code).ok_or("a type that nobody knows")?;
    let read = read(frame_type, &frame, v2::SERVER_PAYLOAD_BYTES_MAX).map_err(|error| error.to_string())?;
    same(&header_json(&frame.header), vector.field("header"))?;
    same(&Value::from(format!("{frame_type:?}")), vector.field("message"))?;
    same(&read.json, vector.field("payload"))?;
    let (smallest, _) = v2::decode(&read.smallest).map_err(|error| error.to_string())?;
    let again = self::read(frame_type, &smallest, v2::SERVER_PAYLOAD_BYTES_MAX).map_err(|error| error.to_string())?;
    same(&again.plain, &read.plain)?;
    if vector.field("decodeOnly") == true {
        return Ok(());
    }
    same(&read.plain, &bytes)
}

/// `v2-message`: these frames, passed-over frames and errors, in this order.
pub(crate) fn message(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let items: Result<Value, PayloadError> = v2::frames(&bytes).map(item_json).collect();
    same(&items.map_err(|error| error.to_string())?, vector.field("items"))
}

fn item_json(item: Result<RawFrame<'_>, FrameError>) -> Result<Value, PayloadError> {
    let frame = match item {
        Ok(frame) => frame,
        Err(error) => return Ok(json!({ "error": frame_error_json(&error) })),
    };
    let header = header_json(&frame.header);
    let Some(frame_type) = FrameType::from_code(frame.header.code) else {
        return Ok(json!({ "header": header, "skipped": true }));
    };
    let payload = read(frame_type, &frame, v2::SERVER_PAYLOAD_BYTES_MAX)?.json;
    Ok(json!({ "header": header, "message": format!("{frame_type:?}"), "payload": payload }))
}

/// `v2-frame-error`: does not start with a frame, for this reason.
pub(crate) fn frame_error(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let error = v2::decode(&bytes).expect_err(&vector.name);
    same(&frame_error_json(&error), vector.field("error"))
}

/// `v2-payload-error`: one frame, whose payload cannot be read under `limit`, for this reason.
pub(crate) fn payload_error(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let (frame, used) = v2::decode(&bytes).map_err(|error| error.to_string())?;
    same(&used, &bytes.len())?;
    let frame_type = FrameType::from_code(frame.header.code).ok_or("a type that nobody knows")?;
    same(&Value::from(format!("{frame_type:?}")), vector.field("message"))?;
    let limit = usize::try_from(vector.field("limit").as_u64().unwrap()).unwrap();
    let Err(error) = read(frame_type, &frame, limit) else {
        return Err("the payload was read".to_owned());
    };
    same(&payload_error_json(&error), vector.field("error"))
}

fn read(frame_type: FrameType, frame: &RawFrame<'_>, limit: usize) -> Result<Read, PayloadError> {
    match frame_type {
        FrameType::Heartbeat => read_as::<pb::Heartbeat>(frame, limit),
        FrameType::Send => read_as::<pb::Send>(frame, limit),
        FrameType::Like => read_as::<pb::Like>(frame, limit),
        FrameType::Batch => read_as::<pb::Batch>(frame, limit),
        FrameType::History => read_as::<pb::History>(frame, limit),
        FrameType::RankingSnapshot => read_as::<pb::RankingSnapshot>(frame, limit),
        FrameType::RankingDelta => read_as::<pb::RankingDelta>(frame, limit),
        FrameType::RoomState => read_as::<pb::RoomState>(frame, limit),
        FrameType::Ack => read_as::<pb::Ack>(frame, limit),
        FrameType::Error => read_as::<pb::Error>(frame, limit),
        FrameType::GoAway => read_as::<pb::GoAway>(frame, limit),
        FrameType::Removal => read_as::<pb::Removal>(frame, limit),
        FrameType::RoomSettings => read_as::<pb::RoomSettings>(frame, limit),
        FrameType::Highlights => read_as::<pb::Highlights>(frame, limit),
        FrameType::Notice => read_as::<pb::Notice>(frame, limit),
    }
}

fn read_as<P: v2::Payload>(frame: &RawFrame<'_>, limit: usize) -> Result<Read, PayloadError> {
    let message: P = v2::Decoder::new(limit).decode(frame)?;
    let (mut plain, mut smallest) = (Vec::new(), Vec::new());
    v2::Encoder::plain().encode(&message, &mut plain);
    v2::Encoder::new().encode(&message, &mut smallest);
    Ok(Read { json: payload_json(P::FRAME_TYPE, &message.encode_to_vec()), plain, smallest })
}

/// Protobuf's JSON mapping, by a library that reads the `.proto` file itself.
fn payload_json(frame_type: FrameType, bytes: &[u8]) -> Value {
    thread_local! {
        static POOL: DescriptorPool = {
            let files = protox::compile(["barrage/v2/barrage.proto"], [env!("CARGO_MANIFEST_DIR")]).unwrap();
            DescriptorPool::from_file_descriptor_set(files).unwrap()
        };
    }
    let name = format!("barrage.v2.{frame_type:?}");
    let descriptor = POOL.with(|pool| pool.get_message_by_name(&name)).unwrap();
    serde_json::to_value(DynamicMessage::decode(descriptor, bytes).unwrap()).unwrap()
}

fn header_json(header: &Header) -> Value {
    json!({
        "type": header.code,
        "flags": header.flags,
        "room": header.room,
        "payloadBytes": header.payload_bytes,
    })
}

fn frame_error_json(error: &FrameError) -> Value {
    let kind = framing::variant(error);
    match *error {
        FrameError::ShortHeader { have } => json!({ "kind": kind, "have": have }),
        FrameError::ShortPayload { want, have } => json!({ "kind": kind, "want": want, "have": have }),
        FrameError::BadMagic { found } => json!({ "kind": kind, "found": found }),
        FrameError::BadVersion { found } => json!({ "kind": kind, "found": found }),
    }
}

fn payload_error_json(error: &PayloadError) -> Value {
    let kind = payload::variant(error);
    match *error {
        PayloadError::UnsupportedFlags { found } => json!({ "kind": kind, "found": found }),
        PayloadError::BadCompression { limit } => json!({ "kind": kind, "limit": limit }),
        PayloadError::TooLarge { bytes, limit } => json!({ "kind": kind, "bytes": bytes, "limit": limit }),
        PayloadError::Malformed(_) => json!({ "kind": kind }),
    }
}
