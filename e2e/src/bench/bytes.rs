//! Bytes per danmaku: both versions of the wire protocol, JSON of the same fields, and what compression gives.

use std::borrow::Cow;

use barrage_proto::{
    MAGIC, Position,
    batch::{BatchBuilder, Row as BatchRow},
    v1,
    v2::{Encoder, Payload, pb},
};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{
    error::BenchError,
    sample::{Danmaku, Sample},
    table::{Row, Table, Target},
};

/// Batch sizes: a single danmaku, a tick of a lively room, a tick of a flood.
const SIZES: [usize; 3] = [1, 20, 100];
/// Share by which a single v1 danmaku has to be smaller than JSON.
const V1_TARGET: f64 = 0.60;
/// Share by which a v2 batch of 100 has to be smaller than JSON.
const V2_TARGET: f64 = 0.80;
/// The level that the encoder compresses with, for a fair comparison with a dictionary.
const LEVEL: i32 = 3;
/// Bytes of a dictionary: a tenth of what it is trained on, as zstd advises.
const DICTIONARY_BYTES: usize = 4 * 1024;

/// One v1 frame as a struct would be marshalled: all seven header fields and the content.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JsonFrame<'a> {
    magic: u16,
    version: u8,
    #[serde(rename = "type")]
    frame_type: u8,
    timestamp: i64,
    user_id: u64,
    content_length: usize,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// One v2 batch with the names of the HTTP API.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JsonBatch {
    danmaku: Vec<JsonDanmaku>,
    merge: Vec<u64>,
    merged: u32,
    sampled_out: u32,
    expired: u32,
    cursor: String,
    echo: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonDanmaku {
    id: String,
    user_id: String,
    role: String,
    sent_ms: i64,
    content: String,
}

pub(super) fn run(sample: &Sample, table: &mut Table) -> Result<(), BenchError> {
    let danmaku = &sample.danmaku[..];
    let content = per_danmaku(danmaku.iter().map(|danmaku| danmaku.content.len()), danmaku.len());
    table.add(Row::plain("bytes: content alone", format!("{content:.1} B/danmaku")));
    let v1 = per_danmaku(danmaku.iter().map(|danmaku| v1_frame_of(danmaku).wire_bytes()), danmaku.len());
    let json = per_danmaku(danmaku.iter().map(|danmaku| json_bytes(&json_frame_of(danmaku))), danmaku.len());
    table.add(against_json("bytes: v1, single".to_owned(), v1, json, Some(V1_TARGET)));
    for size in SIZES {
        v2_rows(danmaku, size, table)?;
    }
    Ok(())
}

pub(super) fn v1_frame_of(danmaku: &Danmaku) -> v1::Frame<'_> {
    v1::Frame {
        frame_type: v1::FrameType::Danmaku,
        timestamp_ms: danmaku.sent_ms,
        user_id: danmaku.user,
        content: &danmaku.content,
    }
}

pub(super) fn json_frame_of(danmaku: &Danmaku) -> JsonFrame<'_> {
    JsonFrame {
        magic: MAGIC,
        version: v1::VERSION,
        frame_type: v1::FrameType::Danmaku.code(),
        timestamp: danmaku.sent_ms,
        user_id: danmaku.user,
        content_length: danmaku.content.len(),
        content: Cow::Borrowed(&danmaku.content),
    }
}

/// A batch as the server makes it, from records of five danmaku.
pub(super) fn batch_of(danmaku: &[Danmaku]) -> pb::Batch {
    let mut builder = BatchBuilder::default();
    for (position, danmaku) in positions().zip(danmaku) {
        let Danmaku { user, sent_ms, content } = danmaku;
        let row = BatchRow { position, user: *user, sent_ms: *sent_ms, content, ..BatchRow::default() };
        // All in one partition, so none comes back.
        let _taken = builder.push(&row);
    }
    builder.build()
}

pub(super) fn json_batch_of(danmaku: &[Danmaku]) -> JsonBatch {
    let danmaku = positions().zip(danmaku).map(|(position, danmaku)| JsonDanmaku {
        id: position.to_string(),
        user_id: danmaku.user.to_string(),
        role: "viewer".to_owned(),
        sent_ms: danmaku.sent_ms,
        content: danmaku.content.clone(),
    });
    JsonBatch {
        danmaku: danmaku.collect(),
        merge: Vec::new(),
        merged: 0,
        sampled_out: 0,
        expired: 0,
        cursor: String::new(),
        echo: false,
    }
}

fn positions() -> impl Iterator<Item = Position> {
    (0..).flat_map(|record| (0..5).map(move |index| Position { partition: 3, offset: 104_200 + record, index }))
}

fn v2_rows(danmaku: &[Danmaku], size: usize, table: &mut Table) -> Result<(), BenchError> {
    // The dictionary is trained on one half, and everything is measured on the other.
    let (training, measured) = danmaku.split_at(danmaku.len() / 2);
    let chunks: Vec<_> = measured.chunks_exact(size).collect();
    let count = chunks.len() * size;
    let batches: Vec<_> = chunks.iter().map(|chunk| batch_of(chunk)).collect();
    let json = per_danmaku(chunks.iter().map(|chunk| json_bytes(&json_batch_of(chunk))), count);
    let sent = frames_bytes(&batches, &mut Encoder::new(), count);
    let plain = frames_bytes(&batches, &mut Encoder::plain(), count);
    let target = (size == 100).then_some(V2_TARGET);
    table.add(against_json(format!("bytes: v2 as sent, batches of {size}"), sent, json, target));
    table.add(against_json(format!("bytes: v2 without zstd, batches of {size}"), plain, json, None));
    let json_zstd = compressed(chunks.iter().map(|chunk| to_json(&json_batch_of(chunk))), &[], count)?;
    table.add(against_json(format!("bytes: JSON with plain zstd, batches of {size}"), json_zstd, json, None));
    let dictionary = train(training)?;
    let header = barrage_proto::v2::HEADER_BYTES as f64 / size as f64;
    let with = header + compressed(batches.iter().map(Message::encode_to_vec), &dictionary, count)?;
    let gain = 1.0 - with / sent;
    let figure = format!("bytes: v2 with a zstd dictionary, batches of {size}");
    let value = format!("{with:.1} B/danmaku");
    table.add(
        Row::plain(figure, value).against(format!("{sent:.1} B as sent"), format!("{:.0} % smaller", gain * 100.0)),
    );
    Ok(())
}

fn against_json(figure: String, bytes: f64, json: f64, least: Option<f64>) -> Row {
    let smaller = 1.0 - bytes / json;
    let row = Row::plain(figure, format!("{bytes:.1} B/danmaku"));
    let row = row.against(format!("{json:.1} B JSON"), format!("{:.1} % smaller", smaller * 100.0));
    match least {
        Some(least) => row.target(Target::at_least(smaller, least, format!("≥ {:.0} % smaller", least * 100.0))),
        None => row,
    }
}

fn frames_bytes(batches: &[impl Payload], encoder: &mut Encoder, danmaku: usize) -> f64 {
    let mut out = Vec::new();
    let sizes = batches.iter().map(|batch| {
        out.clear();
        encoder.encode(batch, &mut out);
        out.len()
    });
    per_danmaku(sizes, danmaku)
}

fn train(danmaku: &[Danmaku]) -> Result<Vec<u8>, BenchError> {
    let sizes = SIZES.iter().flat_map(|&size| danmaku.chunks(size));
    let samples: Vec<_> = sizes.map(|chunk| batch_of(chunk).encode_to_vec()).collect();
    zstd::dict::from_samples(&samples, DICTIONARY_BYTES).map_err(BenchError::io("training a zstd dictionary"))
}

/// Bytes per danmaku of payloads, each compressed for itself, or left as it is where that is smaller.
fn compressed(payloads: impl Iterator<Item = Vec<u8>>, dictionary: &[u8], danmaku: usize) -> Result<f64, BenchError> {
    let failed = BenchError::io("compressing with zstd");
    let mut zstd = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary).map_err(&failed)?;
    let mut sizes = Vec::new();
    for payload in payloads {
        sizes.push(zstd.compress(&payload).map_err(&failed)?.len().min(payload.len()));
    }
    Ok(per_danmaku(sizes.into_iter(), danmaku))
}

fn per_danmaku(sizes: impl Iterator<Item = usize>, danmaku: usize) -> f64 {
    sizes.sum::<usize>() as f64 / danmaku as f64
}

fn json_bytes(value: &impl Serialize) -> usize {
    to_json(value).len()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Plain structs have nothing that JSON cannot say.
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_all_seven_fields_of_a_frame() {
        let danmaku = Danmaku { user: 123_456, sent_ms: 1_696_118_400_000, content: "Hello".to_owned() };
        let text = String::from_utf8(to_json(&json_frame_of(&danmaku))).unwrap();
        let expected = r#"{"magic":43981,"version":1,"type":1,"timestamp":1696118400000,"userId":123456,"contentLength":5,"content":"Hello"}"#;
        assert_eq!(text, expected);
        assert_eq!(v1_frame_of(&danmaku).wire_bytes(), 27);
    }

    #[test]
    fn a_batch_and_its_json_have_the_same_rows() {
        let danmaku: Vec<_> =
            (0..7).map(|number| Danmaku { user: 1 + number, sent_ms: 5, content: "来了".to_owned() }).collect();
        let batch = batch_of(&danmaku);
        let ids: Vec<_> = barrage_proto::batch::rows(&batch).unwrap().map(|row| row.position.to_string()).collect();
        let json: Vec<_> = json_batch_of(&danmaku).danmaku.into_iter().map(|danmaku| danmaku.id).collect();
        assert_eq!(ids, json);
        assert_eq!(ids[5], "3-104201-0");
    }
}
