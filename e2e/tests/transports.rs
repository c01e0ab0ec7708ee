//! Viewers on TLS and on WebTransport beside those on plain WebSocket: one room for all, and the same rules.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

use barrage_e2e::{
    client::{Certificate, ClientError, ClientV2, Connection, Event, Join, tls_handshake},
    server::{Options, Server, free_port},
    session::Fate,
};
use barrage_proto::v2::{self, pb};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(100);

/// A server with a certificate, on plain TCP and on TLS and QUIC.
struct Scene {
    server: Server,
    certificate: Certificate,
    folder: TempDir,
    port: u16,
}

impl Scene {
    fn new(extra: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let certificate = Certificate::make().unwrap();
        certificate.write(folder.path()).unwrap();
        let mut flags = Certificate::flags(folder.path(), port);
        flags.extend(extra.iter().map(|&flag| flag.to_owned()));
        let server = Server::start(Options { extra: flags, shards: Some(2), ..Options::default() }).unwrap();
        Self { server, certificate, folder, port }
    }

    fn join(&self, scheme: &str, user: u64) -> Join {
        let url = match scheme {
            "ws" => self.server.ws_url(),
            scheme => format!("{scheme}://127.0.0.1:{}", self.port),
        };
        let certificate = Some(self.certificate.der().to_vec());
        Join { certificate, ..Join::new(&url, "demo", &self.server.token("demo", user).unwrap()) }
    }

    fn client(&self, scheme: &str, user: u64) -> ClientV2 {
        ClientV2::join(&self.join(scheme, user), user).unwrap_or_else(|error| panic!("{scheme}: {error}"))
    }

    fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// Waits until a metric is there with this value.
    fn counts(&self, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.server.api().get("/metrics").unwrap().body;
            if metrics.lines().any(|metric| metric == line) {
                return;
            }
            assert!(Instant::now() < deadline, "{line} is not in:\n{metrics}");
            sleep(STEP);
        }
    }
}

fn sees(client: &mut ClientV2, text: &str) {
    client.wait_for(text, PATIENCE, |event| shows(event, text)).unwrap();
}

fn shows(event: &Event, text: &str) -> Option<()> {
    let (Event::Batch(danmaku, _) | Event::History(danmaku, _)) = event else { return None };
    danmaku.iter().any(|danmaku| danmaku.content == text).then_some(())
}

/// The place up to which a viewer has everything; it comes with a batch once in a while.
fn cursor_of(viewer: &mut ClientV2) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    while viewer.cursor().is_empty() {
        assert!(Instant::now() < deadline, "no cursor comes");
        viewer.collect(STEP).unwrap();
    }
    viewer.cursor().to_vec()
}

/// What a connection ends with.
fn end(connection: &mut Connection) -> ClientError {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Err(error) = connection.receive(PATIENCE) {
            return error;
        }
    }
    panic!("it goes on")
}

#[track_caller]
fn closes(connection: &mut Connection, expected: u16) {
    match end(connection) {
        ClientError::Closed { code, .. } => assert_eq!(code, expected),
        error => panic!("{error}"),
    }
}

#[test]
fn viewers_on_all_transports_share_a_room() {
    let scene = Scene::new(&[]);
    let mut viewers = [("ws", 1), ("wss", 2), ("https", 3)].map(|(scheme, user)| scene.client(scheme, user));
    for (index, text) in ["plain", "over TLS", "over QUIC"].into_iter().enumerate() {
        let seq = viewers[index].say(text).unwrap();
        assert!(matches!(viewers[index].wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)), "{text}");
        viewers.iter_mut().for_each(|viewer| sees(viewer, text));
    }
    for transport in ["Plain", "Tls", "Quic"] {
        scene.counts(&format!("barrage_gateway_connections{{transport=\"{transport}\"}} 1"));
    }
    let [.., session] = &mut viewers;
    session.send(&pb::Heartbeat { client_ms: 7, server_ms: 0 }).unwrap();
    let answered = |event: &Event| matches!(event, Event::Heartbeat(beat) if beat.client_ms == 7).then_some(());
    session.wait_for("a heartbeat", PATIENCE, answered).unwrap();
}

#[test]
fn history_and_a_cursor_of_one_transport_are_good_on_another() {
    let scene = Scene::new(&[]);
    let mut speaker = scene.client("ws", 1);
    let say = |speaker: &mut ClientV2, text: &str| {
        let seq = speaker.say(text).unwrap();
        assert!(matches!(speaker.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
        sees(speaker, text);
    };
    say(&mut speaker, "before");
    let mut viewer = scene.client("https", 2);
    sees(&mut viewer, "before");
    say(&mut speaker, "seen by both");
    sees(&mut viewer, "seen by both");
    let cursor = cursor_of(&mut viewer);
    viewer.rejoin().unwrap();
    say(&mut speaker, "after");
    sees(&mut viewer, "after");
    drop(viewer);
    for scheme in ["wss", "https"] {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let query = format!("resume={}", URL_SAFE_NO_PAD.encode(&cursor));
        let mut resumed = ClientV2::join(&Join { query, ..scene.join(scheme, 3) }, 3).unwrap();
        sees(&mut resumed, "after");
        let again = resumed.collect(STEP).unwrap().iter().any(|event| shows(event, "before").is_some());
        assert!(!again, "{scheme}: what the cursor covers came again");
    }
}

#[test]
fn the_door_for_sessions_refuses_what_that_for_websockets_does() {
    let scene = Scene::new(&[]);
    let join = scene.join("https", 1);
    let refused = |join: Join, expected: u16| match Connection::open(&join) {
        Err(ClientError::Refused { status, .. }) => assert_eq!(status, expected),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it is let in, not refused with {expected}"),
    };
    refused(Join { token: Some("nonsense".to_owned()), ..join.clone() }, 401);
    refused(Join { room: "nowhere".to_owned(), ..join.clone() }, 404);
    refused(Join { room: "demo/elsewhere".to_owned(), ..join.clone() }, 404);
    refused(Join { origin: Some("https://evil.example".to_owned()), ..join.clone() }, 403);
    refused(Join { query: "session=-1".to_owned(), ..join.clone() }, 400);
    refused(Join { query: "resume=!".to_owned(), ..join.clone() }, 400);
    let own = Join { origin: Some(join.url.clone()), ..join.clone() };
    Connection::open(&own).unwrap().close();
    let in_query = Join { query: format!("token={}", join.token.clone().unwrap()), token: None, ..join };
    Connection::open(&in_query).unwrap().close();
    for (reason, count) in [("Token", 1), ("Room", 2), ("Origin", 1), ("Request", 2)] {
        scene.counts(&format!("barrage_gateway_upgrades_refused_total{{reason=\"{reason}\"}} {count}"));
    }
}

#[test]
fn what_is_wrong_on_a_stream_is_answered_or_ends_its_session_alone() {
    let scene = Scene::new(&["--handshake-timeout", "1"]);
    let mut other = scene.client("https", 9);
    let open = || Connection::open(&scene.join("https", 1)).unwrap();
    // No frame: answered, then there is no telling where the next one begins.
    let mut garbage = open();
    garbage.send_bytes(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    closes(&mut garbage, 1002);
    let mut long = open();
    let mut header = Vec::new();
    v2::Header { code: 0x10, flags: 0, room: 0, payload_bytes: u32::MAX }.encode(&mut header);
    long.send_bytes(&header).unwrap();
    closes(&mut long, 1009);
    // Longer than a frame may be, and still a frame: refused as on a WebSocket.
    let mut large = scene.client("https", 2);
    header.clear();
    v2::Header { code: 0x10, flags: 0, room: 0, payload_bytes: 20_000 }.encode(&mut header);
    header.resize(header.len() + 20_000, 0);
    large.connection().send_bytes(&header).unwrap();
    let too_large = |event: &Event| {
        matches!(event, Event::Error(error) if error.reason() == pb::Reason::FrameTooLarge).then_some(())
    };
    large.wait_for("an error", PATIENCE, too_large).unwrap();
    let seq = large.say("and it goes on").unwrap();
    assert!(matches!(large.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
    // Half a frame, then the end.
    let mut half = open();
    half.send_bytes(&header[..15]).unwrap();
    half.session().finish();
    closes(&mut half, 1000);
    scene.counts("barrage_gateway_refusals_total{reason=\"Truncated\"} 1");
    let mut reset = open();
    reset.session().reset();
    assert!(matches!(end(&mut reset), ClientError::Closed { .. }));
    // Datagrams are nobody's business, and a second stream is not granted.
    other.connection().session().datagram(b"anything").unwrap();
    assert!(!other.connection().session().opens_another_stream(Duration::from_millis(300)));
    let seq = other.say("undisturbed").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn what_is_no_tls_is_ended_and_https_is_answered() {
    let scene = Scene::new(&["--handshake-timeout", "1"]);
    let mut plain = scene.tcp();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ended = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    scene.counts("barrage_gateway_handshakes_failed_total{transport=\"Tls\"} 1");
    // Nothing at all, and a handshake with nothing behind it.
    assert_eq!(scene.tcp().read(&mut [0; 16]).unwrap(), 0);
    scene.counts("barrage_gateway_handshakes_failed_total{transport=\"Tls\"} 2");
    let mut silent = tls_handshake(scene.tcp(), Some(scene.certificate.der())).unwrap();
    let mut rest = Vec::new();
    let _ended = silent.read_to_end(&mut rest);
    let mut https = tls_handshake(scene.tcp(), Some(scene.certificate.der())).unwrap();
    https.write_all(b"GET /v1/rooms/demo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _unannounced = https.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("demo"), "{answer}");
}

#[test]
fn a_new_certificate_is_shown_to_new_viewers_and_old_ones_stay() {
    let mut scene = Scene::new(&[]);
    let mut old = [scene.client("wss", 1), scene.client("https", 2)];
    std::fs::write(scene.folder.path().join("cert.pem"), "broken").unwrap();
    scene.counts("barrage_gateway_certificate_reloads_failed_total 1");
    let ready = scene.server.api().get("/readyz").unwrap();
    assert!(ready.status == 200 && ready.body.contains("the old one stays in force"), "{}", ready.body);
    scene.client("https", 3).connection().send_bytes(&[]).unwrap();
    let replaced = std::mem::replace(&mut scene.certificate, Certificate::make().unwrap());
    scene.certificate.write(scene.folder.path()).unwrap();
    scene.counts("barrage_gateway_certificate_reloads_total 1");
    for (index, scheme) in ["wss", "https"].into_iter().enumerate() {
        let certificate = Some(replaced.der().to_vec());
        assert!(Connection::open(&Join { certificate, ..scene.join(scheme, 4) }).is_err(), "{scheme}: the old one");
        let mut new = scene.client(scheme, 5);
        let seq = old[index].say(scheme).unwrap();
        assert!(matches!(old[index].wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
        sees(&mut new, scheme);
    }
}

#[test]
fn at_shutdown_viewers_are_told_when_to_come_back() {
    let mut scene = Scene::new(&[]);
    let mut viewers = ["wss", "https"].map(|scheme| scene.client(scheme, 1));
    for viewer in &mut viewers {
        // Who is still on the way in is not told.
        viewer.wait_for("history", PATIENCE, |event| matches!(event, Event::History(..)).then_some(())).unwrap();
    }
    let ending = std::thread::spawn(move || scene.server.terminate(PATIENCE).unwrap());
    for viewer in &mut viewers {
        viewer.wait_for("go-away", PATIENCE, |event| matches!(event, Event::GoAway(_)).then_some(())).unwrap();
        closes(viewer.connection(), 1001);
    }
    assert!(ending.join().unwrap().success());
}

#[test]
fn connections_over_the_limit_are_refused() {
    let scene = Scene::new(&["--connections-per-address-max", "2"]);
    let first = scene.client("https", 1);
    let _second = scene.client("wss", 2);
    assert!(Connection::open(&scene.join("https", 3)).is_err());
    assert!(Connection::open(&scene.join("wss", 3)).is_err());
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while Connection::open(&scene.join("https", 3)).is_err() {
        assert!(Instant::now() < deadline, "a session that has ended makes room");
        sleep(STEP);
    }
}

#[test]
fn a_session_that_takes_nothing_is_ended_and_others_are_served() {
    let scene = Scene::new(&["--slow-timeout", "1"]);
    let mut slow = Connection::open(&scene.join("https", 1)).unwrap();
    let mut other = scene.client("https", 2);
    // Answers to heartbeats that nobody reads fill the stream's window: fewer at once than are a flood.
    let mut beats = Vec::new();
    for client_ms in 0..100 {
        v2::Encoder::plain().encode(&pb::Heartbeat { client_ms: i64::MAX - client_ms, server_ms: 0 }, &mut beats);
    }
    let deadline = Instant::now() + 3 * PATIENCE;
    let is_ended = || scene.server.api().get("/metrics").unwrap().body.contains("disconnects_total{reason=\"Slow\"} 1");
    while !is_ended() {
        assert!(Instant::now() < deadline, "it is not ended");
        let _until_it_is_ended = slow.send_bytes(&beats);
        sleep(STEP);
    }
    let seq = other.say("beside the slow").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn a_flood_of_heartbeats_ends_its_session_and_others_are_served() {
    let scene = Scene::new(&[]);
    let mut other = scene.client("https", 2);
    let mut flood = Connection::open(&scene.join("https", 1)).unwrap();
    let mut beats = Vec::new();
    for client_ms in 0..700 {
        v2::Encoder::plain().encode(&pb::Heartbeat { client_ms, server_ms: 0 }, &mut beats);
    }
    let _until_it_is_ended = (0..100).any(|_| flood.send_bytes(&beats).is_err());
    closes(&mut flood, 1008);
    scene.counts("barrage_gateway_disconnects_total{reason=\"Flood\"} 1");
    let seq = other.say("beside the flood").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn who_is_banned_is_sent_away_from_every_transport() {
    let scene = Scene::new(&[]);
    let mut viewers = ["wss", "https"].map(|scheme| scene.client(scheme, 7));
    let mut other = scene.client("https", 8);
    let moderator = scene.server.api().with_token(scene.server.token_of("demo", 900, "moderator").unwrap());
    let ban = serde_json::json!({ "userId": "7", "seconds": 3600 });
    let answer = moderator.call("POST", "/v1/rooms/demo/moderation/bans", &ban).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    for viewer in &mut viewers {
        closes(viewer.connection(), 4403);
    }
    closes(scene.client("https", 7).connection(), 4403);
    let seq = other.say("still here").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn a_silent_session_stays_and_one_whose_client_is_gone_is_forgotten() {
    let scene = Scene::new(&["--idle-timeout", "3"]);
    let mut silent = scene.client("https", 1);
    let other = Connection::open(&scene.join("https", 2)).unwrap();
    scene.counts("barrage_gateway_connections{transport=\"Quic\"} 2");
    other.vanish();
    scene.counts("barrage_gateway_connections{transport=\"Quic\"} 1");
    // Longer than the idle timeout, for certain.
    sleep(Duration::from_secs(4));
    let seq = silent.say("not asleep").unwrap();
    assert!(matches!(silent.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}
