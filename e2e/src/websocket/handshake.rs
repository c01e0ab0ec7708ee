//! The opening handshake: the request that a client writes, and the answer that it reads.

use std::{fmt::Write, str};

use httparse::Status;
use thiserror::Error;

use crate::http::problem_detail;

/// The RFC's own sample nonce and the answer to it (RFC 6455, section 1.3). The nonce only keeps caches from answering
/// in a server's place, and there is none on the way; so no handshake costs a random number and a hash.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A response's head is never longer; also what is read of a refusal's body.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// A server answers with fewer fields.
const FIELDS_MAX: usize = 32;

#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `HOST:PORT`.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Subprotocol to offer, if any.
    pub protocol: Option<&'a str>,
    /// Token for the `Authorization` header, if any.
    pub token: Option<&'a str>,
}

impl Request<'_> {
    /// The request as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> String {
        let Self { host, path, protocol, token } = self;
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in [("Sec-WebSocket-Protocol: ", protocol), ("Authorization: Bearer ", token)] {
            if let Some(value) = value {
                // Writing to a String does not fail.
                let _ = write!(text, "{name}{value}\r\n");
            }
        }
        text.push_str("\r\n");
        text
    }
}

/// The server agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshaken {
    /// Bytes of the response; frames follow.
    pub bytes: usize,
}

/// The server did not agree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// It refused.
    #[error("the server refuses the WebSocket with {status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        detail: String,
    },
    #[error("the server does not answer as a WebSocket server does: {0}")]
    Malformed(&'static str),
}

/// Reads the answer to a [`Request`]; nothing when it is not all there yet.
///
/// # Errors
/// [`HandshakeError`].
pub fn read_response(bytes: &[u8], protocol: Option<&str>) -> Result<Option<Handshaken>, HandshakeError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let head_bytes = match head.parse(bytes) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) if bytes.len() > RESPONSE_BYTES_MAX => {
            return Err(HandshakeError::Malformed("its head has no end"));
        }
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(HandshakeError::Malformed("its head is not HTTP")),
    };
    match head.code.unwrap_or_default() {
        101 => {}
        status => return refusal(status, &head, &bytes[head_bytes..]),
    }
    if field(&head, "sec-websocket-accept") != Some(ACCEPT) {
        return Err(HandshakeError::Malformed("Sec-WebSocket-Accept is not the answer to the key"));
    }
    if field(&head, "sec-websocket-protocol") != protocol {
        return Err(HandshakeError::Malformed("Sec-WebSocket-Protocol is not the one that was offered"));
    }
    Ok(Some(Handshaken { bytes: head_bytes }))
}

/// A refusal is read with its body, which says why.
fn refusal(status: u16, head: &httparse::Response<'_, '_>, body: &[u8]) -> Result<Option<Handshaken>, HandshakeError> {
    let length = field(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if body.len() < length.min(RESPONSE_BYTES_MAX) {
        return Ok(None);
    }
    let detail = problem_detail(&String::from_utf8_lossy(body));
    Err(HandshakeError::Refused { status, detail })
}

fn field<'a>(head: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(field.value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    #[test]
    fn the_expected_answer_is_the_one_to_the_key() {
        assert_eq!(derive_accept_key(KEY.as_bytes()), ACCEPT);
    }

    #[test]
    fn a_request_carries_what_was_asked_for() {
        let request =
            Request { host: "h:1", path: "/v1/rooms/demo/ws", protocol: Some("barrage.v2"), token: Some("t") };
        let text = request.encode();
        assert!(text.starts_with("GET /v1/rooms/demo/ws HTTP/1.1\r\nHost: h:1\r\n") && text.ends_with("\r\n\r\n"));
        assert!(text.contains("Sec-WebSocket-Protocol: barrage.v2\r\nAuthorization: Bearer t\r\n"));
        let bare = Request { protocol: None, token: None, ..request }.encode();
        assert!(!bare.contains("Protocol") && !bare.contains("Authorization"));
    }

    #[test]
    fn an_agreement_is_read_however_it_is_cut() {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
        for cut in 0..head.len() {
            assert_eq!(read_response(&head.as_bytes()[..cut], None), Ok(None));
        }
        let with_frame = [head.as_bytes(), &[0x82, 0]].concat();
        assert_eq!(read_response(&with_frame, None), Ok(Some(Handshaken { bytes: head.len() })));
        assert!(read_response(&with_frame, Some("barrage.v2")).is_err());
    }

    #[test]
    fn a_refusal_is_read_with_its_reason() {
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 23\r\n\r\n{\"detail\":\"no room hi\"}";
        assert_eq!(read_response(&text[..60], None), Ok(None));
        let refused = HandshakeError::Refused { status: 404, detail: "no room hi".to_owned() };
        assert_eq!(read_response(text, None), Err(refused));
    }

    #[test]
    fn nonsense_is_no_handshake() {
        assert!(read_response(b"hello\r\n\r\n", None).is_err());
        assert!(read_response(&[b'x'; RESPONSE_BYTES_MAX + 1], None).is_err());
        assert!(read_response(b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: no\r\n\r\n", None).is_err());
    }
}
