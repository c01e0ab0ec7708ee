//! One member of the swarm: a viewer, or a sender with its session; connected or waiting to be.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use barrage_proto::v2::{Encoder, Payload};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt;

use super::{
    message::Format,
    received::Account,
    socket::{Ended, Socket},
};
use crate::session::Session;

/// First pause before connecting again; doubled at every failure.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);
/// The longest pause before connecting again.
const RECONNECT_AFTER_MAX: Duration = Duration::from_secs(5);

/// A member of the swarm.
pub(super) struct Link {
    pub(super) socket: Option<Socket>,
    pub(super) user: u64,
    pub(super) format: Format,
    pub(super) account: Account,
    /// Of a sender.
    pub(super) session: Option<Session>,
    /// Connections that came to stand.
    pub(super) connections: u32,
    /// Whether it stands in the queue of those to dial.
    pub(super) queued: bool,
    pub(super) wake_at: Option<Instant>,
    /// When dialing began, or when it may begin again.
    pub(super) dial_at: Instant,
    /// Whether it may hold a connection: of senders only so many at a time.
    pub(super) admitted: bool,
    /// The pause that the server asked for before it went away.
    pub(super) go_away: Option<Duration>,
    failures: u32,
}

impl Link {
    pub(super) fn viewer(user: u64, format: Format, now: Instant) -> Self {
        Self {
            socket: None,
            user,
            format,
            account: Account::default(),
            session: None,
            connections: 0,
            queued: false,
            wake_at: None,
            dial_at: now,
            admitted: true,
            go_away: None,
            failures: 0,
        }
    }

    pub(super) fn sender(user: u64, now: Instant) -> Self {
        // 0 would ask the server for a session of its own choice.
        let session = Session::new(rand::rng().random_range(1..=u64::MAX), user);
        Self {
            account: Account::of_sender(user),
            session: Some(session),
            admitted: false,
            ..Self::viewer(user, Format::V2, now)
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.as_ref().is_some_and(Socket::is_open)
    }

    pub(super) fn pending(&self) -> usize {
        self.session.as_ref().map_or(0, Session::pending)
    }

    /// Whether it should be connected at all: viewers always, senders while they have something to say.
    pub(super) fn wants_connection(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.pending() > 0)
    }

    /// Path and query of its WebSocket. The history at joining is not asked for; what was missed is.
    pub(super) fn path(&self, room: &str) -> String {
        let mut path = format!("/v1/rooms/{room}/ws");
        if self.format == Format::V2 {
            path.push_str("?history=0");
            // Writing to a String does not fail.
            if let Some(session) = &self.session {
                let _ = write!(path, "&session={}", session.id());
            }
            if let Some(cursor) = &self.account.cursor {
                let _ = write!(path, "&resume={}", URL_SAFE_NO_PAD.encode(cursor));
            }
        }
        path
    }

    /// The connection stands.
    pub(super) fn opened(&mut self) {
        self.connections += 1;
        self.failures = 0;
        if let Some(session) = &mut self.session {
            session.connected();
        }
    }

    /// The connection is gone; it may be dialed again after a pause.
    pub(super) fn lost(&mut self, now: Instant) {
        self.socket = None;
        let backoff = RECONNECT_AFTER.saturating_mul(1 << self.failures.min(10)).min(RECONNECT_AFTER_MAX);
        self.failures += 1;
        let pause = self.go_away.take().unwrap_or_else(|| backoff.mul_f64(rand::rng().random_range(0.5..1.5)));
        self.dial_at = now + pause;
        if let Some(session) = &mut self.session {
            session.disconnected();
        }
    }

    /// Sends all that the session has to send now; returns how many, and how many of them again.
    pub(super) fn send_due(&mut self, encoder: &mut Encoder, now_ms: i64) -> Result<(u64, u64), Ended> {
        let (mut sent, mut resent) = (0, 0);
        let (Some(session), Some(socket)) = (&mut self.session, &mut self.socket) else {
            return Ok((sent, resent));
        };
        while let Some(send) = session.next_send(now_ms) {
            socket.queue(&frame(encoder, &send));
            let tries =
                usize::try_from(send.seq - 1).ok().and_then(|at| session.lines().get(at)).map(|line| line.tries);
            match tries {
                Some(1) => sent += 1,
                _ => resent += 1,
            }
        }
        socket.flush()?;
        Ok((sent, resent))
    }
}

fn frame(encoder: &mut Encoder, payload: &impl Payload) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    encoder.encode(payload, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_carries_the_session_and_where_to_resume() {
        let now = Instant::now();
        assert_eq!(Link::viewer(1, Format::V1, now).path("demo"), "/v1/rooms/demo/ws");
        let mut link = Link::sender(1, now);
        link.account.cursor = Some([0xfb, 0xff].as_slice().into());
        let id = link.session.as_ref().unwrap().id();
        assert_eq!(link.path("demo"), format!("/v1/rooms/demo/ws?history=0&session={id}&resume=-_8"));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_a_go_away_says_its_own() {
        let now = Instant::now();
        let mut link = Link::viewer(1, Format::V2, now);
        let mut pause = |go_away| {
            link.go_away = go_away;
            link.lost(now);
            link.dial_at - now
        };
        assert!(pause(None) < RECONNECT_AFTER * 2);
        let longest = (0..50).map(|_| pause(None)).max().unwrap();
        assert!((RECONNECT_AFTER_MAX / 2..RECONNECT_AFTER_MAX * 2).contains(&longest));
        assert_eq!(pause(Some(Duration::from_millis(7))), Duration::from_millis(7));
    }

    #[test]
    fn a_sender_with_nothing_to_say_need_not_be_connected() {
        let mut link = Link::sender(1, Instant::now());
        assert!(!link.wants_connection());
        link.session.as_mut().unwrap().push("x", 1);
        assert!(link.wants_connection() && link.pending() == 1);
        assert!(Link::viewer(1, Format::V1, Instant::now()).wants_connection());
    }
}
