//! How the swarm's senders say what the script wants said, and what becomes of the answers.

use std::time::{Duration, Instant};

use super::{Ended, Said, Swarm, SwarmError, link::Link, message::Reply, now_ms};
use crate::session::Session;

/// Danmaku that one user may have waiting: more than that is not what a person types.
const PENDING_MAX: usize = 64;
/// A connection on which an answer takes longer is given up, as a client does.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Swarm {
    /// Says what is due.
    pub(super) fn speak(&mut self, now: Instant) -> Result<(), SwarmError> {
        if !self.control.may_speak() {
            return Ok(());
        }
        let began = *self.began.get_or_insert(now);
        let hushed = self.control.is_hushed();
        while !hushed && let Some(script) = &mut self.script {
            let is_due = |said: &Said| began + said.at <= now;
            let Some(said) = script.next_if(is_due) else {
                break;
            };
            self.behind = self.behind.max(now - (began + said.at));
            self.say(&said, now)?;
        }
        let silent = hushed || self.script.as_mut().is_some_and(|script| script.peek().is_none());
        let settled = silent && self.unsettled == 0 && self.script.is_some();
        if settled && !self.settled {
            self.settled = true;
            self.control.progress.settled.add(1);
        }
        Ok(())
    }

    /// Sends what a link has to send now, or sees to it that it can.
    pub(super) fn serve(&mut self, at: usize) -> Result<(), SwarmError> {
        let now = Instant::now();
        let now_ms = now_ms();
        let link = &mut self.links[at];
        if !link.is_open() {
            return Ok(());
        }
        let overdue = |since_ms: i64| now_ms.saturating_sub(since_ms) >= millis(ANSWER_TIMEOUT);
        if link.session.as_ref().and_then(Session::waiting_since_ms).is_some_and(overdue) {
            return self.lost(at, &Ended::Failed(std::io::ErrorKind::TimedOut.into()));
        }
        match link.send_due(&mut self.encoder, now_ms) {
            Ok((sent, resent)) => {
                self.control.progress.sent.add(sent);
                self.control.progress.resent.add(resent);
            }
            Err(ended) => return self.lost(at, &ended),
        }
        if let Some(session) = &link.session {
            let held = session.due_ms().map(|due_ms| due_ms.saturating_sub(now_ms).max(1));
            let unanswered = (session.pending() > 0).then_some(millis(ANSWER_TIMEOUT));
            if let Some(pause_ms) = held.or(unanswered).and_then(|pause_ms| u64::try_from(pause_ms).ok()) {
                self.wake_at(at, now + Duration::from_millis(pause_ms));
            }
        }
        Ok(())
    }

    /// Takes the replies that a link got.
    pub(super) fn answer(&mut self, at: usize, replies: &[Reply]) {
        let mut settled = 0;
        for reply in replies {
            if let Reply::GoAway(pause_ms) = reply {
                // The close follows; what is lost with it is dialed again after this pause.
                self.links[at].go_away = Some(Duration::from_millis((*pause_ms).into()));
            }
            let Some(session) = &mut self.links[at].session else {
                continue;
            };
            match reply {
                Reply::Ack(ack) => {
                    let acknowledged = session.acknowledged(ack, now_ms());
                    settled += acknowledged;
                    self.control.progress.acknowledged.add(acknowledged as u64);
                }
                Reply::Error(error) => settled += usize::from(session.refused(error, now_ms())),
                Reply::Own(sent_ms) => _ = session.saw(*sent_ms),
                Reply::GoAway(_) => {}
            }
        }
        self.unsettled -= settled;
        if settled > 0 && !self.waiting.is_empty() && self.links[at].pending() == 0 {
            let now = Instant::now();
            self.retire(at, now);
            self.let_next_in(now);
        }
    }

    /// A connection is free: the sender that has waited longest gets it.
    pub(super) fn let_next_in(&mut self, now: Instant) {
        if let Some(next) = self.waiting.pop_front() {
            self.enter(next, now);
        }
    }

    fn say(&mut self, said: &Said, now: Instant) -> Result<(), SwarmError> {
        let at = *self.link_of.entry(said.user).or_insert_with(|| {
            self.links.push(Link::sender(said.user, now));
            self.links.len() - 1
        });
        let link = &mut self.links[at];
        let pending = link.pending();
        if pending >= PENDING_MAX {
            self.control.progress.held_back.add(1);
            return Ok(());
        }
        if let Some(session) = &mut link.session {
            session.push(&said.content, now_ms());
            self.unsettled += 1;
        }
        if link.is_open() {
            return self.serve(at);
        }
        // With something pending before, it is connecting or waiting already.
        if pending == 0 && !link.admitted {
            self.admit(at, now);
        }
        Ok(())
    }

    /// Gives a sender a connection, or a place in the queue for one.
    fn admit(&mut self, at: usize, now: Instant) {
        if self.senders >= self.senders_max {
            match self.idle_sender() {
                Some(idle) => self.retire(idle, now),
                None => return self.waiting.push_back(at),
            }
        }
        self.enter(at, now);
    }

    fn enter(&mut self, at: usize, now: Instant) {
        self.senders += 1;
        self.links[at].admitted = true;
        self.want(at, now);
    }

    /// A connected sender with nothing to say; the search goes round, so that each has its turn.
    fn idle_sender(&mut self) -> Option<usize> {
        let count = self.links.len();
        let mut round = (0..count).map(|step| (self.leaving + step) % count);
        let idle = round.find(|&at| {
            let link = &self.links[at];
            link.session.is_some() && link.is_open() && link.pending() == 0
        })?;
        self.leaving = (idle + 1) % count;
        Some(idle)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
