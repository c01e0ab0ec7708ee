//! The limit to come close to: one thread, epoll, a prepared frame, one write a viewer and round, and nothing else.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Registry, Token,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{args::Stream, error::BenchError};
use crate::swarm::now_ms;

const LISTENER: Token = Token(usize::MAX);
/// Where a prepared frame carries the time: behind the WebSocket header of 2 bytes, magic 2, version 1, type 1.
const TIME_AT: usize = 2 + 2 + 1 + 1;
/// The longest sleep, so that an end of the parent is noticed.
const NAP: Duration = Duration::from_millis(200);

struct Viewer {
    stream: TcpStream,
    /// What came of the handshake's request so far; none once it is done.
    request: Option<Vec<u8>>,
}

/// Serves until killed.
///
/// # Errors
/// Sockets.
pub(super) fn serve(stream: Stream) -> Result<(), BenchError> {
    super::rig::end_with_parent();
    run(stream).map_err(BenchError::io("running the bare loop"))
}

fn run(stream: Stream) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}/", listener.local_addr()?);
    let mut events = Events::with_capacity(1024);
    let mut viewers: Vec<Option<Viewer>> = Vec::new();
    let mut frame = prepared(stream.bytes);
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if stream.rate > 0 && now >= next {
            next = now.max(next + Duration::from_secs(1) / stream.rate);
            frame[TIME_AT..TIME_AT + 8].copy_from_slice(&now_ms().to_be_bytes());
            round(&mut viewers, &frame);
        }
        let sleep = if stream.rate > 0 { next.saturating_duration_since(Instant::now()).min(NAP) } else { NAP };
        poll.poll(&mut events, Some(sleep))?;
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, poll.registry(), &mut viewers)?,
                Token(at) => readable(&mut viewers[at]),
            }
        }
    }
}

/// A WebSocket message with one v1 danmaku of a payload of so many bytes, at least a header and at most 125.
pub(super) fn prepared(bytes: usize) -> Vec<u8> {
    use barrage_proto::v1;
    let content = "x".repeat(bytes.clamp(v1::HEADER_BYTES, 125) - v1::HEADER_BYTES);
    let frame = v1::Frame { frame_type: v1::FrameType::Danmaku, timestamp_ms: 0, user_id: 1, content: &content };
    let mut message = vec![0x82, 0];
    // So short a content fits.
    let _fits = frame.encode(&mut message);
    message[1] = u8::try_from(message.len() - 2).unwrap_or_default();
    message
}

fn round(viewers: &mut [Option<Viewer>], frame: &[u8]) {
    for slot in viewers {
        let Some(viewer) = slot.as_mut().filter(|viewer| viewer.request.is_none()) else {
            continue;
        };
        match viewer.stream.write(frame) {
            Ok(written) if written == frame.len() => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Gone, or too slow for a loop that keeps nothing back.
            _ => *slot = None,
        }
    }
}

fn accept(listener: &TcpListener, registry: &Registry, viewers: &mut Vec<Option<Viewer>>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        registry.register(&mut stream, Token(viewers.len()), Interest::READABLE)?;
        viewers.push(Some(Viewer { stream, request: Some(Vec::new()) }));
    }
}

fn readable(slot: &mut Option<Viewer>) {
    let Some(viewer) = slot else { return };
    let mut buffer = [0; 4096];
    loop {
        match viewer.stream.read(&mut buffer) {
            Ok(0) => return *slot = None,
            Ok(read) => {
                if let Some(request) = &mut viewer.request {
                    request.extend_from_slice(&buffer[..read]);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return *slot = None,
        }
    }
    if let Some(answer) = viewer.request.as_deref().and_then(answer) {
        viewer.request = None;
        if viewer.stream.write_all(answer.as_bytes()).is_err() {
            *slot = None;
        }
    }
}

/// The answer to a whole handshake request.
fn answer(request: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(request).ok()?.strip_suffix("\r\n\r\n")?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = fields.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use barrage_proto::v1;

    #[test]
    fn a_prepared_frame_has_the_payload_asked_for_and_a_place_for_the_time() {
        let mut frame = prepared(100);
        frame[TIME_AT..TIME_AT + 8].copy_from_slice(&1_696_118_400_000_i64.to_be_bytes());
        assert_eq!((frame.len(), frame[1]), (102, 100));
        let danmaku = v1::decode_exact(&frame[2..]).unwrap();
        assert_eq!((danmaku.timestamp_ms, danmaku.content.len()), (1_696_118_400_000, 78));
    }

    #[test]
    fn a_handshake_is_answered_when_it_is_whole() {
        let request = "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(answer(&request.as_bytes()[..40]), None);
        assert!(answer(request.as_bytes()).unwrap().contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}
