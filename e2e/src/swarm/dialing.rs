//! How the swarm's connections come and go: dialed at a bounded pace, dialed again when lost.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use mio::Token;

use super::{Ended, Swarm, SwarmError, now_ms, socket::Socket};
use crate::{
    token::Claims,
    websocket::{HandshakeError, Request},
};

/// Connections that may be on their way at one time: a listen queue holds more.
const DIALING_MAX: usize = 200;
/// A connection that does not stand by then is given up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Swarm {
    /// Dials those whose turn it is.
    pub(super) fn dial(&mut self, now: Instant) -> Result<(), SwarmError> {
        while self.dialing < DIALING_MAX && self.may_dial(now) {
            let Some(at) = self.dials.pop_front() else {
                return Ok(());
            };
            self.links[at].queued = false;
            self.dialed.0 += 1;
            self.dial_one(at, now)?;
        }
        Ok(())
    }

    /// Wants a link connected, at once or when its pause is over.
    pub(super) fn want(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.socket.is_some() || link.queued || !link.admitted {
            return;
        }
        if link.dial_at > now {
            let dial_at = link.dial_at;
            return self.wake_at(at, dial_at);
        }
        link.queued = true;
        self.dials.push_back(at);
    }

    /// A connection stands.
    pub(super) fn opened(&mut self, at: usize) {
        self.dialing -= 1;
        let link = &mut self.links[at];
        link.opened();
        let progress = &self.control.progress;
        let connected = if link.session.is_some() { &progress.senders } else { &progress.viewers };
        connected.add(1);
    }

    /// A connection is gone, or did not come to stand.
    ///
    /// # Errors
    /// [`SwarmError::Refused`]: the next try would end the same way.
    pub(super) fn lost(&mut self, at: usize, ended: &Ended) -> Result<(), SwarmError> {
        if let Ended::Handshake(HandshakeError::Refused { status: 400..=407 | 410..=428 | 431..=499, .. }) = ended {
            return Err(SwarmError::Refused(ended.to_string()));
        }
        *self.ended.entry(ended.to_string()).or_default() += 1;
        let now = Instant::now();
        let lost = if self.links[at].is_open() {
            &self.control.progress.disconnects
        } else {
            &self.control.progress.failed_dials
        };
        lost.add(1);
        self.dropped(at, now);
        if self.links[at].wants_connection() {
            self.want(at, now);
        } else {
            self.dismiss(at);
            self.let_next_in(now);
        }
        Ok(())
    }

    /// Closes the connection of a sender that has nothing to say for now.
    pub(super) fn retire(&mut self, at: usize, now: Instant) {
        if let Some(socket) = &mut self.links[at].socket {
            socket.close();
        }
        self.links[at].go_away = Some(Duration::ZERO);
        self.dropped(at, now);
        self.dismiss(at);
    }

    /// Looks at links whose time has come.
    pub(super) fn wake(&mut self, now: Instant) -> Result<(), SwarmError> {
        while let Some(&Reverse((due, at))) = self.wakes.peek().filter(|Reverse((due, _))| *due <= now) {
            self.wakes.pop();
            let link = &mut self.links[at];
            if link.wake_at != Some(due) {
                continue;
            }
            link.wake_at = None;
            if link.is_open() {
                self.serve(at)?;
            } else if link.socket.is_none() {
                self.want(at, now);
            } else if now >= link.dial_at + DIAL_TIMEOUT {
                self.lost(at, &Ended::Failed(std::io::ErrorKind::TimedOut.into()))?;
            } else {
                let give_up_at = link.dial_at + DIAL_TIMEOUT;
                self.wake_at(at, give_up_at);
            }
        }
        Ok(())
    }

    /// Looks at a link at that time, or earlier.
    pub(super) fn wake_at(&mut self, at: usize, due: Instant) {
        let link = &mut self.links[at];
        if link.wake_at.is_none_or(|earlier| due < earlier) {
            link.wake_at = Some(due);
            self.wakes.push(Reverse((due, at)));
        }
    }

    fn may_dial(&self, now: Instant) -> bool {
        let (count, since) = self.dialed;
        self.dial_rate.is_none_or(|rate| {
            let due = now.saturating_duration_since(since).as_secs_f64() * rate;
            // Counts of connections are far below 2^52.
            (count as f64) < due
        })
    }

    fn dial_one(&mut self, at: usize, now: Instant) -> Result<(), SwarmError> {
        let link = &mut self.links[at];
        let room = self.target.room_of(link.user);
        let claims = Claims::viewer(room, link.user);
        let token = self.key.as_ref().map(|key| key.mint(&claims)).transpose()?;
        let request = Request {
            host: &self.target.host,
            path: &link.path(room),
            protocol: link.format.protocol(),
            token: token.as_deref(),
        };
        link.dial_at = now;
        link.account.dialed(now_ms());
        self.dialing += 1;
        let protocol = link.format.protocol();
        match Socket::dial(self.target.address, request.encode(), protocol, &self.registry, Token(at)) {
            Ok(socket) => {
                link.socket = Some(socket);
                self.wake_at(at, now + DIAL_TIMEOUT);
                Ok(())
            }
            Err(error) => self.lost(at, &error.into()),
        }
    }

    /// Books a connection's end.
    fn dropped(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.is_open() {
            let progress = &self.control.progress;
            let connected = if link.session.is_some() { &progress.senders } else { &progress.viewers };
            connected.sub(1);
        } else {
            self.dialing -= 1;
        }
        link.lost(now);
    }

    /// Gives a sender's place up.
    fn dismiss(&mut self, at: usize) {
        let link = &mut self.links[at];
        if link.admitted && link.session.is_some() {
            link.admitted = false;
            self.senders -= 1;
        }
    }
}
