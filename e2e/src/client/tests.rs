//! Clients against a server that is played here.

use std::{net::TcpListener, thread};

use barrage_proto::{
    Position,
    batch::{BatchBuilder, Row},
    v2::{self, Decoder, Encoder, Payload, pb},
};
use tokio_tungstenite::tungstenite::{
    WebSocket, accept_hdr,
    handshake::server::{Request, Response},
};

use super::*;
use crate::session::Fate;

const SOON: Duration = Duration::from_secs(20);

/// Plays a server for one connection after the other; each act gets the socket and the path asked for.
#[allow(clippy::result_large_err)]
fn stage<const N: usize>(acts: [fn(WebSocket<TcpStream>, String); N]) -> Join {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for act in acts {
            let mut path = String::new();
            let answer = |request: &Request, mut response: Response| {
                path = request.uri().to_string();
                if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
                    response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
                }
                Ok(response)
            };
            let socket = accept_hdr(listener.accept().unwrap().0, answer).unwrap();
            act(socket, path);
        }
    });
    Join::new(&url, "demo", "token")
}

fn give(socket: &mut WebSocket<TcpStream>, payload: &impl Payload) {
    let mut bytes = Vec::new();
    Encoder::new().encode(payload, &mut bytes);
    socket.send(Message::binary(bytes)).unwrap();
}

fn take_send(socket: &mut WebSocket<TcpStream>) -> pb::Send {
    let message = socket.read().unwrap().into_data();
    let (frame, _) = v2::decode(&message).unwrap();
    Decoder::new(1 << 16).decode(&frame).unwrap()
}

fn batch(user: u64) -> pb::Batch {
    let mut builder = BatchBuilder::default();
    let position = Position { partition: 0, offset: 7, index: 0 };
    builder.push(&Row { position, user, sent_ms: 5, role: pb::Role::Host, content: "来了", ..Row::default() }).unwrap();
    builder.build()
}

#[test]
fn a_v2_client_waits_for_what_it_wants_in_any_order() {
    let join = stage([|mut socket, _| {
        give(&mut socket, &pb::RoomState { viewers: 3, ..pb::RoomState::default() });
        give(&mut socket, &batch(9));
        let send = take_send(&mut socket);
        give(&mut socket, &pb::Ack { seq: vec![send.seq], partition: 0, offset: 8, index: vec![1] });
        let _end = socket.read();
    }]);
    let mut client = ClientV2::join(&join, 5).unwrap();
    let seq = client.say("hello").unwrap();
    let kept = Position { partition: 0, offset: 8, index: 1 };
    assert_eq!(client.wait_fate(seq, SOON).unwrap(), Fate::Acknowledged(kept));
    let shown = client.wait_for("batch", SOON, |event| match event {
        Event::Batch(danmaku, _) => danmaku.first().cloned(),
        _ => None,
    });
    let shown = shown.unwrap();
    assert_eq!((shown.user, shown.role, shown.content.as_str()), (9, pb::Role::Host, "来了"));
    let rest = client.collect(Duration::from_millis(1)).unwrap();
    assert!(matches!(&rest[..], [Event::State(state), Event::Ack(_)] if state.viewers == 3), "{rest:?}");
}

#[test]
fn a_v2_client_comes_back_with_its_session_and_cursor() {
    let join = stage([
        |mut socket, path| {
            assert!(path.contains("session=") && !path.contains("resume="), "{path}");
            give(&mut socket, &pb::Batch { cursor: vec![1], ..batch(9) });
            let _send = take_send(&mut socket);
        },
        |mut socket, path| {
            assert!(path.ends_with("&resume=AQ"), "{path}");
            let again = take_send(&mut socket);
            assert!(again.retry_age_ms >= 1 && again.seq == 1);
            give(&mut socket, &pb::Ack { seq: vec![1], partition: 0, offset: 8, index: vec![0] });
            let _end = socket.read();
        },
    ]);
    let mut client = ClientV2::join(&join, 5).unwrap();
    let seq = client.say("hello").unwrap();
    let lost = client.wait_fate(seq, SOON).unwrap_err();
    assert!(matches!(lost, ClientError::Closed { .. }), "{lost}");
    client.rejoin().unwrap();
    assert!(matches!(client.wait_fate(seq, SOON).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn a_v1_client_speaks_and_reads_frames() {
    let join = stage([|mut socket, path| {
        assert_eq!(path, "/v1/rooms/demo/ws?");
        let message = socket.read().unwrap();
        socket.send(message).unwrap();
        socket.close(None).unwrap();
        let _end = socket.read();
    }]);
    let mut client = ClientV1::join(&join, 5).unwrap();
    client.say("hello").unwrap();
    let shown = client.next(SOON).unwrap();
    assert_eq!((shown.user_id, shown.content.as_str()), (5, "hello"));
    assert!(matches!(client.next(SOON), Err(ClientError::Closed { .. })));
}

#[test]
fn silence_is_a_timeout_that_says_what_was_waited_for() {
    let join = stage([|mut socket, _| drop(socket.read())]);
    let mut client = ClientV2::join(&join, 5).unwrap();
    let error = client.wait_for("snapshot", Duration::from_millis(5), |_| None::<()>).unwrap_err();
    assert!(error.to_string().contains("no snapshot within"), "{error}");
}

#[test]
fn a_refusal_carries_status_and_detail() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _request = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 17\r\n\r\n{\"detail\":\"who?\"}").unwrap();
    });
    let refused = Connection::open(&Join::new(&url, "demo", "x")).err().unwrap();
    assert!(matches!(&refused, ClientError::Refused { status: 401, detail } if detail == "who?"), "{refused}");
    server.join().unwrap();
}
