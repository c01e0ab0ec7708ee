//! `PROTOCOL.md` says what the code does, where a test can tell: its examples are vectors, its tables are complete.

use barrage_proto::{
    v1,
    v2::{self, FrameType, pb::Reason},
};

#[path = "vectors/format.rs"]
#[allow(dead_code)]
mod format;

const PAGE: &str = include_str!("../PROTOCOL.md");

#[test]
fn every_example_is_a_vector() {
    let vectors = format::load();
    let with_bytes = vectors.iter().filter(|vector| !vector.field("bytes").is_null());
    let known: Vec<_> = with_bytes.map(format::Vector::bytes).collect();
    let examples: Vec<_> = PAGE.split("```hex").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "{} examples found", examples.len());
    for example in examples {
        let bytes = format::unhex(example).expect(example);
        assert!(known.contains(&bytes), "no vector has the bytes of this example:{example}");
    }
}

#[test]
fn every_frame_type_is_in_the_table() {
    for frame_type in FrameType::ALL {
        says(&format!("| `{:#04x}` | `{frame_type:?}` |", frame_type.code()));
    }
    for (name, frame_type) in [("danmaku", v1::FrameType::Danmaku), ("heartbeat", v1::FrameType::Heartbeat)] {
        says(&format!("`{:#04x}` {name}", frame_type.code()));
    }
}

#[test]
fn every_reason_is_in_the_table() {
    let reasons: Vec<_> = (0..).map_while(|number| Reason::try_from(number).ok()).collect();
    assert!(reasons.len() >= 20);
    for reason in reasons {
        says(&format!("| {} | `{}` |", reason as i32, reason.as_str_name()));
    }
}

#[test]
fn limits_are_the_codes() {
    says(&format!("{} bytes of header, no padding", v1::HEADER_BYTES));
    says(&format!("{} bytes of header, then the payload", v2::HEADER_BYTES));
    says(&format!("{} bytes by its form", grouped(v1::CONTENT_BYTES_MAX)));
    says(&format!(
        "at least {} bytes (the longest version 1 frame)",
        grouped(v1::HEADER_BYTES + v1::CONTENT_BYTES_MAX)
    ));
    says(&format!("frame from a client | {} bytes", grouped(v2::CLIENT_FRAME_BYTES_MAX)));
    says(&format!("payload from a server, decompressed | {} bytes", grouped(v2::SERVER_PAYLOAD_BYTES_MAX)));
    says(&format!("`{}` chooses version 2", v2::SUBPROTOCOL));
    says(&format!("| `{:#04x}` | the payload is compressed with zstd", v2::FLAG_ZSTD));
    says(&format!("| `{:#04x}` | critical", v2::FLAGS_CRITICAL & !v2::FLAG_ZSTD));
}

fn says(text: &str) {
    assert!(PAGE.contains(text), "PROTOCOL.md does not say {text:?}");
}

/// A number as the page writes it: 65,535.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
