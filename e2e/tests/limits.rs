//! Limits: what one client may take of the server, and that others do not notice.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use barrage_e2e::{
    client::{ClientError, ClientV1, ClientV2, Connection, Join},
    server::{Options, Server},
    session::Fate,
};
use barrage_proto::{
    v1,
    v2::{self, Encoder, pb},
};

const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(300);

fn join(server: &Server, user: u64) -> Join {
    Join::new(&server.ws_url(), "demo", &server.token("demo", user).unwrap())
}

#[test]
fn a_flood_of_heartbeats_is_ended_and_others_are_served() {
    let server = Server::start(Options { shards: Some(1), ..Options::default() }).unwrap();
    let mut other = ClientV2::join(&join(&server, 4_002), 4_002).unwrap();
    let mut flood = ClientV1::join(&join(&server, 4_001), 4_001).unwrap();
    let mut beats = Vec::new();
    for _ in 0..700 {
        let beat = v1::Frame { frame_type: v1::FrameType::Heartbeat, timestamp_ms: 1, user_id: 4_001, content: "" };
        beat.encode(&mut beats).unwrap();
    }
    let ended = (0..100).any(|_| flood.connection().send_bytes(&beats).is_err());
    let seq = other.say("beside the flood").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
    let goodbye = loop {
        match flood.next(PATIENCE) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(ended || !matches!(goodbye, ClientError::Timeout { .. }), "{goodbye}");
    let deadline = Instant::now() + PATIENCE;
    while !server.api().get("/metrics").unwrap().body.contains("disconnects_total{reason=\"Flood\"} 1") {
        assert!(Instant::now() < deadline, "it is not counted");
        std::thread::sleep(SILENCE);
    }
}

/// A message of a client as it goes over the wire, masked with zeros (RFC 6455, section 5.2).
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126, "a longer one has another header");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn a_flood_of_any_kind_of_message_is_ended_and_others_are_served() {
    let server = Server::start(Options { shards: Some(1), ..Options::default() }).unwrap();
    let mut other = ClientV2::join(&join(&server, 4_002), 4_002).unwrap();
    let (mut like, mut newer) = (Vec::new(), Vec::new());
    Encoder::plain().encode(&pb::Like { count: 1 }, &mut like);
    v2::Header { code: 0x7e, flags: 0, room: 0, payload_bytes: 0 }.encode(&mut newer);
    let (text, binary, ping, pong) = (1, 2, 9, 10);
    let kinds = [
        ("ping", masked(ping, b"")),
        ("pong", masked(pong, b"")),
        ("text", masked(text, b"a")),
        ("empty", masked(binary, b"")),
        ("like", masked(binary, &like)),
        ("newer", masked(binary, &newer)),
    ];
    for (number, (kind, message)) in (1..).zip(kinds) {
        let mut flood = ClientV2::join(&join(&server, 5_000 + number), 5_000 + number).unwrap();
        // More than a second allows, in one go.
        let _cut_off = flood.connection().stream().write_all(&message.repeat(4_000));
        let seq = other.say(kind).unwrap();
        assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)), "{kind}");
        let deadline = Instant::now() + PATIENCE;
        let counted = format!("disconnects_total{{reason=\"Flood\"}} {number}");
        while !server.api().get("/metrics").unwrap().body.contains(&counted) {
            assert!(Instant::now() < deadline, "{kind} goes on");
            std::thread::sleep(SILENCE);
        }
    }
}

#[test]
fn hostile_numbers_in_the_http_api_get_a_problem() {
    let server = Server::start(Options::default()).unwrap();
    let mut sender = ClientV2::join(&join(&server, 1), 1).unwrap();
    let seq = sender.say("something to page through").unwrap();
    sender.wait_fate(seq, PATIENCE).unwrap();
    // Cursors at offsets that none can have, and one of a partition that the room does not live in.
    for (path, status) in [
        ("history?after=Cg0YgICAgICAgICAASAB", 400),
        ("history?after=Cg0Y____________ASAB", 400),
        ("history?after=CgYQ_____w8", 200),
        ("history?limit=0", 400),
        ("history?limit=99999999999999999999", 400),
        ("ranking?offset=4294967295", 200),
        ("ranking?limit=-1", 400),
    ] {
        let answer = server.api().get(&format!("/v1/rooms/demo/{path}")).unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
}

#[test]
fn connections_over_the_limit_are_refused_and_slow_bodies_given_up() {
    let extra = ["--connections-max", "3", "--connections-per-address-max", "2", "--handshake-timeout", "1"];
    let server = Server::start(Options { extra: extra.map(str::to_owned).to_vec(), ..Options::default() }).unwrap();
    let first = Connection::open(&join(&server, 1)).unwrap();
    let second = Connection::open(&join(&server, 2)).unwrap();
    match Connection::open(&join(&server, 3)) {
        Err(ClientError::Refused { status: 429, .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a third connection from one address"),
    }
    first.close();
    second.close();
    let deadline = Instant::now() + PATIENCE;
    while Connection::open(&join(&server, 3)).map(Connection::close).is_err() {
        assert!(Instant::now() < deadline, "a closed connection makes room");
        std::thread::sleep(SILENCE);
    }
    let mut slow = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /dev/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 12];
    slow.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
}
