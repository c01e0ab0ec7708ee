//! A swarm against a server that is played here.

use std::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use barrage_proto::v2::{self, Decoder, pb};
use tokio_tungstenite::tungstenite::{
    Message as Wire, WebSocket, accept_hdr,
    handshake::server::{Request, Response},
};

use super::{
    message::tests::{batch, encoded},
    *,
};
use crate::session::Fate;

type Peer = WebSocket<TcpStream>;

struct Stage {
    listener: TcpListener,
    control: Arc<Control>,
}

impl Stage {
    fn new() -> Self {
        let control = Arc::new(Control::default());
        control.speak();
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap(), control }
    }

    fn plan(&self) -> Plan {
        let address = self.listener.local_addr().unwrap();
        Plan {
            target: Target { address, host: address.to_string(), room: "demo".to_owned(), others: Vec::new() },
            key: None,
            format: Format::V2,
            viewers: 0..0,
            dial_rate: None,
            script: None,
            senders_max: 10,
        }
    }

    fn start(&self, plan: Plan) -> JoinHandle<Harvest> {
        let control = Arc::clone(&self.control);
        thread::spawn(move || run(plan, control).unwrap())
    }

    /// The next connection; one that does not come is a failure, and not a wait without end.
    fn accept_stream(&self) -> TcpStream {
        self.listener.set_nonblocking(true).unwrap();
        let start = Instant::now();
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if start.elapsed() < Duration::from_secs(20) => thread::sleep(Duration::from_millis(2)),
                Err(error) => panic!("nobody came: {error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream
    }

    /// The next connection, with the path that it asked for.
    #[allow(clippy::result_large_err)]
    fn accept(&self) -> (Peer, String) {
        let stream = self.accept_stream();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (path, asked) = mpsc::channel();
        let answer = |request: &Request, mut response: Response| {
            path.send(request.uri().to_string()).unwrap();
            if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
                response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
            }
            Ok(response)
        };
        (accept_hdr(stream, answer).unwrap(), asked.recv().unwrap())
    }

    fn wait(&self, what: impl Fn(&Progress) -> bool) {
        let start = Instant::now();
        while !what(&self.control.progress) {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", self.control.progress);
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn finish(&self, swarm: JoinHandle<Harvest>) -> Harvest {
        self.control.finish();
        swarm.join().unwrap()
    }
}

fn script(said: &[(u64, &str)]) -> Script {
    let said: Vec<_> = said.iter().map(|&(user, text)| (user, text.to_owned())).collect();
    Box::new(said.into_iter().map(|(user, content)| Said { at: Duration::ZERO, user, content }))
}

/// A batch of danmaku that are sent right now.
fn live(offsets: &[u64]) -> pb::Batch {
    let mut batch = batch(offsets);
    batch.sent_delta_ms[0] = now_ms();
    batch
}

fn next_send(peer: &mut Peer) -> pb::Send {
    loop {
        if let Wire::Binary(message) = peer.read().unwrap() {
            let (frame, _) = v2::decode(&message).unwrap();
            return Decoder::new(1 << 16).decode(&frame).unwrap();
        }
    }
}

fn give(peer: &mut Peer, bytes: Vec<u8>) {
    peer.send(Wire::binary(bytes)).unwrap();
}

fn ack(send: &pb::Send) -> Vec<u8> {
    encoded(&pb::Ack { seq: vec![send.seq], partition: 1, offset: send.seq, index: vec![0] })
}

#[test]
fn viewers_are_counted_and_pings_answered() {
    let stage = Stage::new();
    let swarm = stage.start(Plan { viewers: 7..9, ..stage.plan() });
    let mut peers = [stage.accept().0, stage.accept().0];
    for peer in &mut peers {
        peer.send(Wire::Ping("hello".into())).unwrap();
        give(peer, encoded(&live(&[1, 2])));
    }
    for peer in &mut peers {
        assert_eq!(peer.read().unwrap(), Wire::Pong("hello".into()));
    }
    stage.wait(|progress| progress.danmaku.value() == 4);
    let harvest = stage.finish(swarm);
    assert_eq!((harvest.totals.messages, harvest.latency.len(), harvest.viewers.len()), (2, 4, 2));
    assert!(harvest.viewers.iter().all(|viewer| viewer.danmaku == 2 && viewer.steady));
}

#[test]
fn the_latency_can_begin_anew() {
    let stage = Stage::new();
    let swarm = stage.start(Plan { viewers: 7..8, ..stage.plan() });
    let (mut peer, _) = stage.accept();
    give(&mut peer, encoded(&live(&[1, 2])));
    stage.wait(|progress| progress.danmaku.value() == 2);
    stage.control.forget_latency();
    // The pong comes after the loop has gone round.
    for _ in 0..2 {
        peer.send(Wire::Ping("round".into())).unwrap();
        peer.read().unwrap();
    }
    give(&mut peer, encoded(&live(&[3])));
    stage.wait(|progress| progress.danmaku.value() == 3);
    assert_eq!(stage.finish(swarm).latency.len(), 1);
}

#[test]
fn a_frame_that_comes_in_pieces_is_put_together() {
    use std::io::Write;
    let stage = Stage::new();
    let swarm = stage.start(Plan { viewers: 7..8, ..stage.plan() });
    let (mut peer, _) = stage.accept();
    let message = encoded(&live(&[1, 2]));
    let mut bytes = vec![0x82, u8::try_from(message.len()).unwrap()];
    bytes.extend(message);
    for piece in bytes.chunks(5) {
        peer.get_mut().write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    stage.wait(|progress| progress.danmaku.value() == 2);
    assert_eq!(stage.finish(swarm).totals.messages, 1);
}

#[test]
fn what_was_not_acknowledged_is_sent_again_after_a_lost_connection() {
    let stage = Stage::new();
    let swarm = stage.start(Plan { script: Some(script(&[(5, "a"), (5, "b")])), ..stage.plan() });
    let (mut peer, first_path) = stage.accept();
    let sends = [next_send(&mut peer), next_send(&mut peer)];
    give(&mut peer, encoded(&pb::Batch { cursor: vec![1], ..batch(&[7]) }));
    give(&mut peer, ack(&sends[0]));
    drop(peer);
    let (mut peer, second_path) = stage.accept();
    assert_eq!(second_path, format!("{first_path}&resume=AQ"));
    let again = next_send(&mut peer);
    assert_eq!((again.seq, again.content.as_str(), again.sent_ms), (2, "b", sends[1].sent_ms));
    assert!(again.retry_age_ms >= 1);
    give(&mut peer, ack(&again));
    stage.wait(|progress| progress.settled.value() == 1);
    let harvest = stage.finish(swarm);
    let fates: Vec<_> = harvest.senders[0].lines().iter().map(|line| line.fate).collect();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Acknowledged(_))), "{fates:?}");
    assert_eq!(stage.control.progress.resent.value(), 1);
}

#[test]
fn senders_take_turns_where_connections_are_few() {
    let stage = Stage::new();
    let swarm = stage.start(Plan { script: Some(script(&[(5, "a"), (6, "b")])), senders_max: 1, ..stage.plan() });
    // The server closes nothing: the first leaves of itself.
    let mut peers = Vec::new();
    for user in ["a", "b"] {
        let (mut peer, _) = stage.accept();
        let send = next_send(&mut peer);
        assert_eq!(send.content, user);
        give(&mut peer, ack(&send));
        peers.push(peer);
    }
    stage.wait(|progress| progress.settled.value() == 1);
    assert_eq!(stage.finish(swarm).senders.len(), 2);
}

#[test]
fn a_go_away_is_followed_after_its_pause() {
    let stage = Stage::new();
    let swarm = stage.start(Plan { viewers: 7..8, ..stage.plan() });
    let (mut peer, _) = stage.accept();
    give(&mut peer, encoded(&pb::GoAway { reconnect_after_ms: 1 }));
    peer.close(None).unwrap();
    let (_peer, _) = stage.accept();
    stage.wait(|progress| progress.viewers.value() == 1);
    let harvest = stage.finish(swarm);
    assert!(!harvest.viewers[0].steady);
    assert!(harvest.ended.keys().any(|why| why.starts_with("closed by the server")), "{:?}", harvest.ended);
}

#[test]
fn a_refusal_ends_the_run_with_the_reason() {
    use std::io::{Read, Write};
    let stage = Stage::new();
    let plan = Plan { viewers: 7..8, ..stage.plan() };
    let control = Arc::clone(&stage.control);
    let swarm = thread::spawn(move || run(plan, control));
    let mut stream = stage.accept_stream();
    let _request = stream.read(&mut [0; 4096]).unwrap();
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n{\"detail\":\"none\"}\n").unwrap();
    let error = swarm.join().unwrap().err().unwrap().to_string();
    assert!(error.contains("404: none") && error.contains("--room"), "{error}");
}
