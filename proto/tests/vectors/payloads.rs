//! Vectors of what stands inside payloads: cursors, rows of a batch, IDs.

use barrage_proto::{
    Cursor, CursorError, ParsePositionError, Position,
    batch::{self, BatchBuilder, Gift, Row},
    v2::pb,
};
use prost::Message;
use serde_json::{Value, json};

use crate::{Checked, format::Vector, same};

variants!(CursorError: Malformed, TooManySlices);

/// `cursor`: these slices, which encode to its bytes unless `decodeOnly`.
pub(crate) fn cursor(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let cursor = Cursor::decode(&bytes).map_err(|error| error.to_string())?;
    let slices: Value = cursor.iter().map(|(shard, position)| slice_json(shard, position)).collect();
    same(&slices, vector.field("slices"))?;
    if vector.field("decodeOnly") == true { Ok(()) } else { same(&cursor.encode(), &bytes) }
}

fn slice_json(shard: u32, Position { partition, offset, index, .. }: Position) -> Value {
    let index = Some(index).filter(|&index| index != u32::MAX);
    json!({ "shard": shard, "partition": partition, "offset": offset.to_string(), "index": index })
}

/// `cursor-error`: no cursor, for this reason.
pub(crate) fn cursor_error(vector: &Vector) -> Checked {
    let error = Cursor::decode(&vector.bytes()).expect_err(&vector.name);
    let kind = variant(&error);
    let json = match error {
        CursorError::Malformed => json!({ "kind": kind }),
        CursorError::TooManySlices { found } => json!({ "kind": kind, "found": found }),
    };
    same(&json, vector.field("error"))
}

/// `batch-rows`: these rows, whose columns encode to its bytes unless `decodeOnly`.
pub(crate) fn batch_rows(vector: &Vector) -> Checked {
    let bytes = vector.bytes();
    let message = pb::Batch::decode(&*bytes).map_err(|error| error.to_string())?;
    let rows: Vec<_> = batch::rows(&message).map_err(|error| error.to_string())?.collect();
    same(&rows.iter().map(row_json).collect(), vector.field("rows"))?;
    if vector.field("decodeOnly") == true {
        return Ok(());
    }
    let mut builder = BatchBuilder::default();
    for row in rows {
        builder.push(&row).map_err(|error| error.to_string())?;
    }
    same(&builder.build().encode_to_vec(), &bytes)
}

/// What a row is beyond a text is there only where it is not the default.
fn row_json(row: &Row<'_>) -> Value {
    let mut json = json!({
        "id": row.position.to_string(),
        "userId": row.user.to_string(),
        "sentMs": row.sent_ms.to_string(),
        "role": row.role.as_str_name(),
        "content": row.content,
    });
    if row.mode != pb::Mode::Scroll {
        json["mode"] = row.mode.as_str_name().into();
    }
    if row.colour != 0 {
        json["colour"] = row.colour.into();
    }
    if row.size != pb::Size::Normal {
        json["size"] = row.size.as_str_name().into();
    }
    if let Some((to, user)) = row.reply {
        json["reply"] = json!({ "to": to.to_string(), "userId": user.to_string() });
    }
    if let Some(Gift { value, name, count, stay_s }) = row.gift {
        json["gift"] = json!({ "value": value.to_string(), "name": name, "count": count, "stayS": stay_s });
    }
    json
}

/// `batch-error`: columns that make no rows.
pub(crate) fn batch_error(vector: &Vector) -> Checked {
    let message = pb::Batch::decode(&*vector.bytes()).map_err(|error| error.to_string())?;
    let Err(batch::UnevenColumns) = batch::rows(&message) else {
        return Err("the columns made rows".to_owned());
    };
    same(&json!({ "kind": "UnevenColumns" }), vector.field("error"))
}

/// `id`: text and numbers of one ID, both ways.
pub(crate) fn id(vector: &Vector) -> Checked {
    let text = text_of(vector);
    let id: Position = text.parse().map_err(|error: ParsePositionError| error.to_string())?;
    let json = json!({ "partition": id.partition, "offset": id.offset.to_string(), "index": id.index });
    same(&json, vector.field("id"))?;
    same(&id.to_string().as_str(), &text)
}

/// `id-error`: a text that is no ID.
pub(crate) fn id_error(vector: &Vector) -> Checked {
    let Err(ParsePositionError) = text_of(vector).parse::<Position>() else {
        return Err("the text was read as an ID".to_owned());
    };
    same(&json!({ "kind": "ParsePositionError" }), vector.field("error"))
}

fn text_of(vector: &Vector) -> &str {
    vector.field("text").as_str().unwrap_or_else(|| panic!("{}: no text", vector.name))
}
