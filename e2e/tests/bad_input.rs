//! Bad input from clients, one test for each kind: what the client gets, and that nobody else is disturbed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::LazyLock,
    time::{Duration, Instant},
};

use barrage_e2e::{
    client::{ClientError, ClientV1, ClientV2, Connection, Event, Join},
    server::{Options, Server},
    session::Fate,
    token::{Claims, TokenKey},
};
use barrage_proto::{
    v1,
    v2::{self, pb},
};
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

/// One server for all tests here: each has users of its own.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let extra = ["--idle-timeout", "3", "--handshake-timeout", "1"].map(str::to_owned).to_vec();
    Server::start(Options { extra, ..Options::default() }).unwrap()
});

fn join(user: u64) -> Join {
    Join::new(&SERVER.ws_url(), "demo", &SERVER.token("demo", user).unwrap())
}

fn v1_client(user: u64) -> ClientV1 {
    ClientV1::join(&join(user), user).unwrap()
}

fn v2_client(user: u64) -> ClientV2 {
    ClientV2::join(&join(user), user).unwrap()
}

fn frame(user: u64, content: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = v1::Frame { frame_type: v1::FrameType::Danmaku, timestamp_ms: 1, user_id: user, content };
    frame.encode(&mut bytes).unwrap();
    bytes
}

/// How often the gateway refused something for this reason.
fn refusals(reason: &str) -> u64 {
    metric(&format!("barrage_gateway_refusals_total{{reason=\"{reason}\"}}"))
}

fn metric(name: &str) -> u64 {
    let metrics = SERVER.api().get("/metrics").unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// A version 1 client sends bytes that are ignored and counted as `reason`; then the connection still works.
fn ignored_by_v1(user: u64, bytes: &[u8], reason: &str) {
    let before = refusals(reason);
    let mut client = v1_client(user);
    client.connection().send_bytes(bytes).unwrap();
    let text = format!("after {reason} {user}");
    client.say(&text).unwrap();
    loop {
        let shown = client.next(PATIENCE).unwrap();
        if shown.user_id == user {
            assert_eq!(shown.content, text, "only what came after the bad frame is shown");
            break;
        }
    }
    assert!(refusals(reason) > before, "{reason} is counted");
}

#[test]
fn v1_truncated_frames_are_counted_and_ignored() {
    ignored_by_v1(1_001, &frame(1_001, "cut")[..24], "Truncated");
    ignored_by_v1(1_001, &[0xab, 0xcd, 0x01], "Truncated");
}

#[test]
fn v1_bytes_behind_a_frame_do_not_hurt_the_frame() {
    let mut client = v1_client(1_002);
    let mut bytes = frame(1_002, "whole");
    bytes.extend([0xab, 0xcd, 0x01]);
    client.connection().send_bytes(&bytes).unwrap();
    while client.next(PATIENCE).unwrap().content != "whole" {}
}

#[test]
fn v1_wrong_magic_version_and_type_are_counted_and_ignored() {
    for (at, value, reason) in [(0, 0xff, "BadMagic"), (2, 9, "UnsupportedVersion"), (3, 0x7f, "UnknownType")] {
        let mut bytes = frame(1_003, "bad");
        bytes[at] = value;
        ignored_by_v1(1_003, &bytes, reason);
    }
}

#[test]
fn v1_bad_utf8_over_long_and_empty_content_are_counted_and_ignored() {
    let mut bytes = frame(1_004, "bad");
    bytes[22] = 0xff;
    ignored_by_v1(1_004, &bytes, "ContentNotUtf8");
    ignored_by_v1(1_004, &frame(1_004, &"x".repeat(1_025)), "ContentTooLong");
    ignored_by_v1(1_004, &frame(1_004, &"x".repeat(65_535)), "ContentTooLong");
    ignored_by_v1(1_004, &frame(1_004, ""), "ContentEmpty");
}

#[test]
fn v1_another_users_id_is_counted_and_ignored() {
    ignored_by_v1(1_005, &frame(7, "forged"), "WrongUser");
}

#[test]
fn v1_text_messages_are_counted_and_ignored() {
    let before = refusals("TextMessage");
    let mut client = v1_client(1_006);
    client.connection().send(Message::text("hello")).unwrap();
    client.say("still here").unwrap();
    while client.next(PATIENCE).unwrap().content != "still here" {}
    assert!(refusals("TextMessage") > before);
}

#[test]
fn a_message_longer_than_any_frame_ends_only_its_connection() {
    let mut other = v1_client(1_008);
    let mut client = v1_client(1_007);
    client.connection().send_bytes(&vec![0; 70_000]).unwrap();
    let error = client.connection().receive(PATIENCE).unwrap_err();
    assert!(matches!(error, ClientError::Closed { code: 1009, .. }), "{error}");
    other.say("undisturbed").unwrap();
    while other.next(PATIENCE).unwrap().content != "undisturbed" {}
}

/// A version 2 client sends bytes and is told `reason`; then the connection still works.
fn refused_by_v2(user: u64, bytes: &[u8], reason: pb::Reason) {
    let mut client = v2_client(user);
    client.connection().send_bytes(bytes).unwrap();
    let error = error(&mut client);
    assert_eq!(error.reason(), reason, "{error:?}");
    assert!(!error.message.is_empty());
    if reason == pb::Reason::UnsupportedVersion {
        assert_eq!(error.versions, [1, 2]);
    }
    let seq = client.say("after").unwrap();
    assert!(matches!(client.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

fn error(client: &mut ClientV2) -> pb::Error {
    let error = |event: &Event| {
        if let Event::Error(error) = event { Some(error.clone()) } else { None }
    };
    client.wait_for("error frame", PATIENCE, error).unwrap()
}

fn v2_frame(code: u8, flags: u8, room: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let payload_bytes = u32::try_from(payload.len()).unwrap();
    v2::Header { code, flags, room, payload_bytes }.encode(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn v2_bad_frames_get_an_error_with_a_reason() {
    let good = v2_frame(0x02, 0, 0, &[]);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    refused_by_v2(2_001, &good[..7], pb::Reason::Truncated);
    refused_by_v2(2_001, &with(11, 9), pb::Reason::Truncated);
    refused_by_v2(2_001, &with(0, 0), pb::Reason::BadMagic);
    refused_by_v2(2_001, &with(2, 9), pb::Reason::UnsupportedVersion);
    refused_by_v2(2_001, &with(2, 1), pb::Reason::UnsupportedVersion);
    refused_by_v2(2_001, &v2_frame(0x20, 0, 0, &[]), pb::Reason::UnexpectedType);
    refused_by_v2(2_001, &v2_frame(0x02, 0b0100, 0, &[]), pb::Reason::UnsupportedFlags);
    refused_by_v2(2_001, &v2_frame(0x02, 0, 1, &[]), pb::Reason::UnknownRoom);
    refused_by_v2(2_002, &v2_frame(0x10, 0, 0, &vec![0; 20_000]), pb::Reason::FrameTooLarge);
    refused_by_v2(2_002, &v2_frame(0x10, v2::FLAG_ZSTD, 0, &[1, 2, 3]), pb::Reason::BadCompression);
    refused_by_v2(2_002, &v2_frame(0x10, 0, 0, &[0xff; 9]), pb::Reason::BadPayload);
}

#[test]
fn v2_text_messages_get_an_error() {
    let mut client = v2_client(2_003);
    client.connection().send(Message::text("hello")).unwrap();
    assert_eq!(error(&mut client).reason(), pb::Reason::TextMessage);
}

#[test]
fn v2_unknown_types_and_ignorable_flags_are_skipped_in_silence() {
    let mut client = v2_client(2_004);
    let mut bytes = v2_frame(0x7f, 0, 0, &[1, 2, 3]);
    bytes.extend(v2_frame(0x02, 0b1000_0000, 0, &[]));
    client.connection().send_bytes(&bytes).unwrap();
    let beat = |event: &Event| matches!(event, Event::Heartbeat(_)).then_some(());
    client.wait_for("heartbeat", PATIENCE, beat).unwrap();
    let events = client.collect(SILENCE).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::Error(_))), "{events:?}");
}

#[test]
fn v2_danmaku_that_cannot_be_accepted_get_their_reason() {
    let refused = |user, send: pb::Send, reason| {
        let mut client = v2_client(user);
        client.send(&send).unwrap();
        let error = error(&mut client);
        assert_eq!((error.reason(), error.seq), (reason, send.seq), "{error:?}");
    };
    let send = |seq, content: &str| pb::Send { seq, content: content.to_owned(), ..pb::Send::default() };
    refused(2_005, send(1, ""), pb::Reason::ContentEmpty);
    refused(2_005, send(1, &"é".repeat(513)), pb::Reason::ContentTooLong);
    refused(2_005, send(0, "x"), pb::Reason::BadSequence);
    refused(2_005, pb::Send { oldest_pending: 9, ..send(8, "x") }, pb::Reason::BadSequence);
    refused(2_005, pb::Send { retry_age_ms: 30_001, ..send(1, "x") }, pb::Reason::UnknownOutcome);
}

#[test]
fn v2_text_that_is_not_utf8_is_refused_under_its_number() {
    let mut client = v2_client(2_008);
    // Fields 1 (seq, 7) and 4 (content, one byte that begins nothing).
    client.connection().send_bytes(&v2_frame(0x10, 0, 0, &[0x08, 7, 0x22, 1, 0xff])).unwrap();
    let error = error(&mut client);
    assert_eq!((error.reason(), error.seq), (pb::Reason::ContentNotUtf8, 7));
}

#[test]
fn a_hundred_times_the_rate_limit_is_refused_and_others_are_served() {
    let mut other = v2_client(2_007);
    let mut flood = v2_client(2_006);
    for seq in 1..=1_000 {
        let content = format!("flood {seq}");
        flood.send(&pb::Send { seq, oldest_pending: seq, content, ..pb::Send::default() }).unwrap();
    }
    let began = Instant::now();
    let seq = other.say("between the flood").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
    let mut answers = (0, 0);
    while answers.0 + answers.1 < 1_000 && began.elapsed() < PATIENCE {
        for event in flood.collect(SILENCE).unwrap() {
            match event {
                Event::Ack(ack) => answers.0 += ack.seq.len(),
                Event::Error(error) => {
                    assert_eq!(error.reason(), pb::Reason::RateLimited, "{error:?}");
                    assert!(error.retry_after_ms > 0);
                    answers.1 += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!(answers.0 + answers.1, 1_000, "every danmaku is answered");
    // The burst, and 10/s for as long as the flood took.
    assert!((10..100).contains(&answers.0), "{} of 1000 accepted", answers.0);
}

fn refused_upgrade(join: &Join) -> (u16, String) {
    match Connection::open(join) {
        Err(ClientError::Refused { status, detail }) => (status, detail),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("upgraded"),
    }
}

#[test]
fn tokens_that_do_not_open_the_room_get_401_before_the_upgrade() {
    let key = TokenKey::load(&SERVER.data()).unwrap();
    let with = |change: fn(&mut Claims)| {
        let mut claims = Claims::viewer("demo", 3_001);
        change(&mut claims);
        Join { token: Some(key.mint(&claims).unwrap()), ..join(3_001) }
    };
    let forged = TokenKey::from_secret(&[7; 32]).unwrap().mint(&Claims::viewer("demo", 3_001)).unwrap();
    for (join, word) in [
        (with(|claims| claims.exp = 1), "expired"),
        (with(|claims| claims.aud = "other".to_owned()), "aud"),
        (with(|claims| claims.sub = "nobody".to_owned()), "sub"),
        (with(|claims| claims.room = "other".to_owned()), "this room"),
        (Join { token: Some(forged), ..join(3_001) }, "key"),
        (Join { token: Some("nonsense".to_owned()), ..join(3_001) }, "key"),
    ] {
        let (status, detail) = refused_upgrade(&join);
        assert_eq!(status, 401);
        assert!(detail.contains(word), "{detail:?} should say {word:?}");
    }
}

#[test]
fn without_a_token_a_room_is_open_to_watch_or_closed() {
    let anonymous = Join { token: None, ..join(3_002) };
    let mut client = ClientV2::join(&anonymous, 0).unwrap();
    let send = pb::Send { seq: 1, content: "who am I".to_owned(), ..pb::Send::default() };
    client.send(&send).unwrap();
    assert_eq!(error(&mut client).reason(), pb::Reason::SendNotAllowed);
    let closed = Server::with_manifest(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {name: demo}\nspec: {anonymousViewing: false}\n",
    )
    .unwrap();
    let (status, detail) = refused_upgrade(&Join { url: closed.ws_url(), ..anonymous });
    assert_eq!(status, 401);
    assert!(detail.contains("needs a token"), "{detail}");
    let answer = closed.api().get("/v1/rooms/demo/history").unwrap();
    assert_eq!((answer.status, &*answer.content_type), (401, "application/problem+json"));
}

#[test]
fn unknown_rooms_foreign_origins_and_future_versions_are_refused_before_the_upgrade() {
    let (status, _) = refused_upgrade(&Join { room: "nowhere".to_owned(), ..join(3_003) });
    assert_eq!(status, 404);
    let foreign = Join { origin: Some("https://evil.example".to_owned()), ..join(3_003) };
    assert_eq!(refused_upgrade(&foreign).0, 403);
    let own = Join { origin: Some(SERVER.http_url()), ..join(3_003) };
    assert!(Connection::open(&own).is_ok());
    let future = Join { protocols: Some("barrage.v9".to_owned()), ..join(3_003) };
    let (status, detail) = refused_upgrade(&future);
    assert_eq!(status, 400);
    assert!(detail.contains("barrage.v2"), "{detail}");
    for query in ["resume=!!!", "resume=AAAA", "history=many", "session=-1"] {
        let (status, detail) = refused_upgrade(&Join { query: query.to_owned(), ..join(3_003) });
        assert_eq!(status, 400, "{query}: {detail}");
    }
}

#[test]
fn a_slow_handshake_is_given_up() {
    let mut stream = TcpStream::connect(("127.0.0.1", SERVER.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /v1/rooms/demo/ws HTTP/1.1\r\nHost: x\r\nUpgr").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    // The server may answer with an error or just close; it must not wait for ever.
    let _reset = stream.read_to_end(&mut answer);
    assert!(began.elapsed() < PATIENCE, "the server still waits for the rest of the request");
}

#[test]
fn a_request_head_without_end_is_refused() {
    let mut stream = TcpStream::connect(("127.0.0.1", SERVER.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _refused = stream.write_all(format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000)).as_bytes());
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn a_half_open_peer_is_pinged_and_dropped() {
    let idle = || metric("barrage_gateway_disconnects_total{reason=\"Idle\"}");
    let before = idle();
    // A raw socket: it shakes hands and then neither answers pings nor says goodbye.
    let mut peer = TcpStream::connect(("127.0.0.1", SERVER.port())).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = SERVER.token("demo", 3_005).unwrap();
    let request = format!(
        "GET /v1/rooms/demo/ws?token={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    peer.write_all(request.as_bytes()).unwrap();
    let mut received = Vec::new();
    let _reset = peer.read_to_end(&mut received);
    let text = String::from_utf8_lossy(&received);
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    assert!(received.windows(2).any(|bytes| bytes == [0x89, 0x00]), "it is pinged first");
    let deadline = Instant::now() + PATIENCE;
    while idle() == before || !SERVER.log().contains("Idle") {
        assert!(Instant::now() < deadline, "it is not counted and logged with its reason");
        std::thread::sleep(SILENCE);
    }
}

#[test]
fn a_malformed_manifest_is_refused_with_file_line_field_and_what_is_allowed() {
    let manifest = "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {name: demo}\nspec:\n  rateLimit:\n    burst: -3\n";
    let error = Server::with_manifest(manifest).err().expect("the server must not start").to_string();
    for part in [".yaml:6:", "spec.rateLimit.burst", "allowed", "1000"] {
        assert!(error.contains(part), "{error:?} should say {part:?}");
    }
}
