//! Encoding and decoding time per danmaku against serde_json with the same fields.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use barrage_proto::{
    batch, v1,
    v2::{self, Decoder, Encoder, pb},
};

use super::{
    bytes::{JsonBatch, JsonFrame, batch_of, json_batch_of, json_frame_of, v1_frame_of},
    median::median,
    sample::{Danmaku, Sample},
    table::{Row, Table},
};

/// Rounds of which the median counts; ours and the baseline's take turns.
const ROUNDS: usize = 5;
/// A round lasts at least so long.
const ROUND: Duration = Duration::from_millis(60);
/// Danmaku in a batch: a tick of a busy room.
const BATCH: usize = 100;

pub(super) fn run(sample: &Sample, table: &mut Table) {
    let danmaku = &sample.danmaku[..];
    let count = danmaku.len();
    let mut frames = Vec::new();
    let mut json = Vec::new();
    let (ours, theirs) = compare(count, || encode_v1(danmaku, &mut frames), || encode_json(danmaku, &mut json));
    table.add(row("codec: v1 encode", ours, theirs));
    let json: Vec<_> = danmaku.iter().map(|danmaku| to_json(&json_frame_of(danmaku))).collect();
    let (ours, theirs) = compare(count, || decode_v1(&frames), || decode_json(&json));
    table.add(row("codec: v1 decode", ours, theirs));

    let batches: Vec<_> = danmaku.chunks(BATCH).map(batch_of).collect();
    let json_batches: Vec<_> = danmaku.chunks(BATCH).map(json_batch_of).collect();
    let (mut frames, mut json) = (Vec::new(), Vec::new());
    for (mut encoder, zstd) in [(Encoder::plain(), "no zstd"), (Encoder::new(), "zstd")] {
        let (ours, theirs) = compare(
            count,
            || encode_v2(&batches, &mut encoder, &mut frames),
            || encode_json_batches(&json_batches, &mut json),
        );
        table.add(row(&format!("codec: v2 encode, batches of {BATCH}, {zstd}"), ours, theirs));
    }
    let json: Vec<_> = json_batches.iter().map(to_json).collect();
    let mut decoder = Decoder::new(v2::SERVER_PAYLOAD_BYTES_MAX);
    let (ours, theirs) = compare(count, || decode_v2(&mut decoder, &frames), || decode_json_batches(&json));
    table.add(row(&format!("codec: v2 decode, batches of {BATCH}, zstd"), ours, theirs));
}

fn row(figure: &str, ours_ns: f64, theirs_ns: f64) -> Row {
    let value = format!("{ours_ns:.0} ns/danmaku");
    Row::plain(figure, value).against(format!("{theirs_ns:.0} ns JSON"), format!("{:.1}× as fast", theirs_ns / ours_ns))
}

/// Nanoseconds per danmaku of both.
pub(super) fn compare(danmaku: usize, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (f64, f64) {
    let (mut ours_ns, mut theirs_ns) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours_ns.push(round_ns(&mut ours) / danmaku as f64);
        theirs_ns.push(round_ns(&mut theirs) / danmaku as f64);
    }
    (median(ours_ns), median(theirs_ns))
}

/// Nanoseconds of one call.
fn round_ns(work: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < ROUND {
        work();
        calls += 1;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn encode_v1(danmaku: &[Danmaku], out: &mut Vec<u8>) {
    out.clear();
    for danmaku in danmaku {
        // Recorded danmaku fit a frame many times over.
        let _fits = black_box(v1_frame_of(danmaku)).encode(out);
    }
}

fn decode_v1(bytes: &[u8]) {
    for frame in v1::frames(black_box(bytes)) {
        // An error would come out as a time near zero, and as nothing else.
        let _read = black_box(frame);
    }
}

fn encode_json(danmaku: &[Danmaku], out: &mut Vec<u8>) {
    out.clear();
    danmaku.iter().for_each(|danmaku| write_json(black_box(&json_frame_of(danmaku)), out));
}

fn decode_json(texts: &[Vec<u8>]) {
    for text in texts {
        let _read = black_box(serde_json::from_slice::<JsonFrame<'_>>(black_box(text)));
    }
}

fn encode_v2(batches: &[pb::Batch], encoder: &mut Encoder, out: &mut Vec<u8>) {
    out.clear();
    batches.iter().for_each(|batch| encoder.encode(black_box(batch), out));
}

fn encode_json_batches(batches: &[JsonBatch], out: &mut Vec<u8>) {
    out.clear();
    batches.iter().for_each(|batch| write_json(black_box(batch), out));
}

fn decode_v2(decoder: &mut Decoder, bytes: &[u8]) {
    for frame in v2::frames(black_box(bytes)).flatten() {
        if let Ok(batch) = decoder.decode::<pb::Batch>(&frame)
            && let Ok(rows) = batch::rows(&batch)
        {
            rows.for_each(|row| _ = black_box(row));
        }
    }
}

fn decode_json_batches(texts: &[Vec<u8>]) {
    for text in texts {
        let _read = black_box(serde_json::from_slice::<JsonBatch>(black_box(text)));
    }
}

fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing plain structs to memory does not fail.
    let _written = serde_json::to_writer(out, value);
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(value, &mut out);
    out
}
