//! A server with one room, and people in it.

use std::time::Duration;

use barrage_e2e::{
    client::{ClientV2, Danmaku, Event, Join},
    http::{Answer, Api},
    server::{Options, Server},
};
use barrage_proto::{Position, v2::pb};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with the room `demo`.
pub(crate) fn server(spec: &str) -> Server {
    let manifest =
        format!("apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: demo}}\nspec: {spec}\n");
    Server::start(Options { manifest: Some(manifest), shards: Some(2), ..Options::default() }).unwrap()
}

/// Room for everybody.
pub(crate) const WIDE: &str = "{rateLimit: {messagesPerSecond: 1000, burst: 1000}}";

/// Somebody in the room, who sends frames as they stand.
pub(crate) struct Person {
    pub(crate) client: ClientV2,
    pub(crate) user: u64,
    seq: u64,
}

/// What became of a danmaku.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Kept(Position),
    Refused(pb::Reason, u32),
}

impl Person {
    pub(crate) fn enter(server: &Server, user: u64, role: &str) -> Self {
        Self::enter_room(server, "demo", user, role)
    }

    pub(crate) fn enter_room(server: &Server, room: &str, user: u64, role: &str) -> Self {
        let token = server.token_of(room, user, role).unwrap();
        let client = ClientV2::join(&Join::new(&server.ws_url(), room, &token), user).unwrap();
        Self { client, user, seq: 0 }
    }

    /// Sends a danmaku that is more than a text.
    pub(crate) fn send(&mut self, send: pb::Send) -> Outcome {
        self.seq += 1;
        let seq = self.seq;
        let sent_ms = i64::try_from(seq).unwrap();
        self.client.send(&pb::Send { seq, oldest_pending: seq, sent_ms, ..send }).unwrap();
        let outcome = |event: &Event| match event {
            Event::Ack(ack) => {
                let at = ack.seq.iter().position(|&of| of == seq)?;
                let (partition, offset, index) = (ack.partition, ack.offset, ack.index[at]);
                Some(Outcome::Kept(Position { partition, offset, index }))
            }
            Event::Error(error) if error.seq == seq => Some(Outcome::Refused(error.reason(), error.retry_after_ms)),
            _ => None,
        };
        self.client.wait_for(format!("answer to {seq}"), PATIENCE, outcome).unwrap()
    }

    pub(crate) fn say(&mut self, content: &str) -> Outcome {
        self.send(pb::Send { content: content.to_owned(), ..pb::Send::default() })
    }

    /// Says something that is kept.
    pub(crate) fn say_kept(&mut self, content: &str) -> Position {
        match self.say(content) {
            Outcome::Kept(position) => position,
            refused @ Outcome::Refused(..) => panic!("{content}: {refused:?}"),
        }
    }

    /// Says something that is refused, for this reason.
    pub(crate) fn say_refused(&mut self, content: &str, reason: pb::Reason) {
        assert!(matches!(self.say(content), Outcome::Refused(of, _) if of == reason), "{content}");
    }

    /// Waits until the danmaku with this text is shown.
    pub(crate) fn see(&mut self, content: &str) -> Danmaku {
        let shown = |event: &Event| match event {
            Event::Batch(danmaku, _) => danmaku.iter().find(|danmaku| danmaku.content == content).cloned(),
            _ => None,
        };
        self.client.wait_for(format!("danmaku {content:?}"), PATIENCE, shown).unwrap()
    }

    pub(crate) fn wait<T>(&mut self, what: &str, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        self.client.wait_for(what, PATIENCE, wanted).unwrap()
    }
}

/// The API for a moderator.
pub(crate) fn moderator(server: &Server) -> Api {
    server.api().with_token(server.token_of("demo", 900, "moderator").unwrap())
}

/// Does something as a moderator, and waits until it holds.
pub(crate) fn done(server: &Server, method: &str, path: &str, body: &Value) {
    let answer = moderator(server).call(method, &format!("/v1/rooms/demo/{path}"), body).unwrap();
    assert_eq!(answer.status, 200, "{method} {path} {body}: {}", answer.body);
}

pub(crate) fn mute(server: &Server, user: u64) {
    done(server, "POST", "moderation/mutes", &json!({ "userId": user.to_string(), "reason": "flooding" }));
}

pub(crate) fn get(server: &Server, path: &str) -> Answer {
    server.api().get(format!("/v1/rooms/demo/{path}").trim_end_matches('/')).unwrap()
}

/// A figure of the server's metrics; 0 where it was never counted.
pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.api().get("/metrics").unwrap().body;
    let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

/// The texts of the history, oldest first.
pub(crate) fn history(server: &Server) -> Vec<String> {
    server.api().whole_history("demo").unwrap().into_iter().map(|kept| kept.content).collect()
}

/// Waits until the history says so: it follows what is acknowledged within moments.
pub(crate) fn history_becomes(server: &Server, expected: &[&str]) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while history(server) != expected {
        assert!(std::time::Instant::now() < deadline, "history is {:?}, not {expected:?}", history(server));
        std::thread::sleep(Duration::from_millis(20));
    }
}
