//! One sender's session as a good client keeps it: numbers, order, retries after refusals and lost connections, and
//! what became of every danmaku. Pure: time comes in as an argument, frames go out as values.
//!
//! Every Send gets one answer, an Ack or an Error. After a refusal the server refuses what follows until the refused
//! one comes again, so the session first waits until all answers are in, then goes on from the refused one in order:
//! with one at a time at first, as the next may be refused too, and with one more for every one that is kept.

use std::collections::BTreeMap;

use barrage_proto::{
    Position,
    v2::pb::{self, Reason},
};

/// Pause after a refusal that names none, ms.
const RETRY_AFTER_MS: u32 = 100;
/// Danmaku that may be without an answer at one time.
const WINDOW_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not sent yet, not answered yet, or to be sent again.
    Pending,
    /// The server keeps it; there.
    Acknowledged(Position),
    /// The server will not have it.
    Refused(Reason),
    /// Given up; whether it was kept only the history knows.
    Unknown,
}

/// One danmaku of a session.
#[derive(Debug, Clone)]
pub struct Line {
    /// Unix time of sending, ms; strictly ascending in a session, so it names the danmaku wherever it appears.
    pub sent_ms: i64,
    pub content: Box<str>,
    pub fate: Fate,
    /// Times it was sent.
    pub tries: u32,
    /// Whether it was sent again although the first try may have been kept.
    pub retried: bool,
    /// Times the sender was shown it.
    pub seen: u8,
    /// Unix time of its answer, ms; 0 while there is none.
    pub settled_ms: i64,
    in_flight: bool,
    first_try_ms: i64,
    last_try_ms: i64,
}

impl Line {
    /// Whether the sender should have been shown it and was not. A retry is not shown to its sender.
    #[must_use]
    pub const fn is_unseen(&self) -> bool {
        matches!(self.fate, Fate::Acknowledged(_)) && !self.retried && self.seen == 0
    }
}

/// A sender's session.
#[derive(Debug)]
pub struct Session {
    id: u64,
    user: u64,
    lines: Vec<Line>,
    /// Index of the first line that is not settled.
    open: usize,
    /// Index of the next line to send on this connection.
    next: usize,
    in_flight: usize,
    window: usize,
    connected: bool,
    connections: u32,
    /// A refusal came: nothing is sent before all answers are in and this time has come.
    held_until_ms: Option<i64>,
    refusals: BTreeMap<i32, u64>,
}

impl Session {
    /// A session of `user`; `id` is what the server knows it by across connections.
    #[must_use]
    pub const fn new(id: u64, user: u64) -> Self {
        Self {
            id,
            user,
            lines: Vec::new(),
            open: 0,
            next: 0,
            in_flight: 0,
            window: WINDOW_MAX,
            connected: false,
            connections: 0,
            held_until_ms: None,
            refusals: BTreeMap::new(),
        }
    }

    /// Adds a danmaku to send; returns its sequence number.
    pub fn push(&mut self, content: &str, now_ms: i64) -> u64 {
        let after_last = self.lines.last().map_or(i64::MIN, |line| line.sent_ms + 1);
        self.lines.push(Line {
            sent_ms: now_ms.max(after_last),
            content: content.into(),
            fate: Fate::Pending,
            tries: 0,
            retried: false,
            seen: 0,
            settled_ms: 0,
            in_flight: false,
            first_try_ms: 0,
            last_try_ms: 0,
        });
        self.lines.len() as u64
    }

    /// A connection is up: what is not settled goes out again on it.
    pub fn connected(&mut self) {
        self.connected = true;
        self.connections += 1;
        self.next = self.open;
    }

    /// The connection is gone: what was in flight may or may not be kept.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.held_until_ms = None;
        self.in_flight = 0;
        for line in self.lines[self.open..].iter_mut().filter(|line| line.in_flight) {
            line.in_flight = false;
            line.retried = true;
        }
    }

    /// The next frame to send, if one is due.
    pub fn next_send(&mut self, now_ms: i64) -> Option<pb::Send> {
        if !self.connected || self.is_held(now_ms) || self.in_flight >= self.window {
            return None;
        }
        self.next += self.lines[self.next..].iter().take_while(|line| line.fate != Fate::Pending).count();
        let line = self.lines.get_mut(self.next)?;
        if line.tries == 0 {
            line.first_try_ms = now_ms;
        }
        line.tries += 1;
        line.in_flight = true;
        line.last_try_ms = now_ms;
        self.in_flight += 1;
        self.next += 1;
        let age_ms = u32::try_from(now_ms.saturating_sub(line.first_try_ms)).unwrap_or(u32::MAX);
        Some(pb::Send {
            seq: self.next as u64,
            oldest_pending: self.open as u64 + 1,
            sent_ms: line.sent_ms,
            content: line.content.to_string(),
            retry_age_ms: if line.retried { age_ms.max(1) } else { 0 },
            ..pb::Send::default()
        })
    }

    /// Takes an Ack; returns how many danmaku it settled.
    pub fn acknowledged(&mut self, ack: &pb::Ack, now_ms: i64) -> usize {
        let mut settled = 0;
        for (at, &seq) in ack.seq.iter().enumerate() {
            let index = ack.index.get(at).copied().unwrap_or_default();
            let position = Position { partition: ack.partition, offset: ack.offset, index };
            settled += usize::from(self.settle(seq, Fate::Acknowledged(position), now_ms));
        }
        self.window = (self.window + settled).min(WINDOW_MAX);
        settled
    }

    /// Takes an Error; returns whether it settled its danmaku.
    pub fn refused(&mut self, error: &pb::Error, now_ms: i64) -> bool {
        *self.refusals.entry(error.reason).or_default() += 1;
        if error.seq == 0 {
            return false;
        }
        let pause_ms = match error.reason() {
            Reason::Retry | Reason::RateLimited | Reason::SlowMode if error.retry_after_ms == 0 => RETRY_AFTER_MS,
            // Who is muted for an hour does not wait for that.
            Reason::Muted => 0,
            _ => error.retry_after_ms,
        };
        let until_ms = now_ms.saturating_add(pause_ms.into());
        self.held_until_ms = Some(self.held_until_ms.map_or(until_ms, |held_ms| held_ms.max(until_ms)));
        self.window = 1;
        match error.reason() {
            Reason::Retry => self.unanswered(error.seq, true),
            Reason::RateLimited | Reason::Blocked | Reason::SlowMode => self.unanswered(error.seq, false),
            Reason::UnknownOutcome => self.settle(error.seq, Fate::Unknown, now_ms),
            reason => self.settle(error.seq, Fate::Refused(reason), now_ms),
        }
    }

    /// The sender was shown its own danmaku of that time; false if it never sent one.
    pub fn saw(&mut self, sent_ms: i64) -> bool {
        let Ok(index) = self.lines.binary_search_by_key(&sent_ms, |line| line.sent_ms) else {
            return false;
        };
        self.lines[index].seen = self.lines[index].seen.saturating_add(1);
        true
    }

    /// When to ask for the next frame again, Unix time in ms: the end of a pause.
    #[must_use]
    pub const fn due_ms(&self) -> Option<i64> {
        self.held_until_ms
    }

    /// When the oldest danmaku that waits for its answer was sent, Unix time in ms.
    #[must_use]
    pub fn waiting_since_ms(&self) -> Option<i64> {
        let mut open = self.lines[self.open..].iter();
        open.find(|line| line.in_flight).map(|line| line.last_try_ms)
    }

    /// Danmaku that are not settled.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.lines.len() - self.open
    }

    /// All danmaku, in order; the sequence number of the first is 1.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Refusals so far, by reason.
    #[must_use]
    pub const fn refusals(&self) -> &BTreeMap<i32, u64> {
        &self.refusals
    }

    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Whose session it is.
    #[must_use]
    pub const fn user(&self) -> u64 {
        self.user
    }

    /// Connections it has had.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        self.connections
    }

    /// Whether sending pauses after a refusal; at the end of the pause sending starts over at what is open.
    fn is_held(&mut self, now_ms: i64) -> bool {
        let Some(until_ms) = self.held_until_ms else {
            return false;
        };
        let held = self.in_flight > 0 || now_ms < until_ms;
        if !held {
            self.held_until_ms = None;
            self.next = self.open;
        }
        held
    }

    /// An answer came that asks for another try; `uncertain`: the try may have been kept nevertheless.
    fn unanswered(&mut self, seq: u64, uncertain: bool) -> bool {
        if let Some(line) = line_of(&mut self.lines, seq)
            && line.in_flight
        {
            line.in_flight = false;
            line.retried |= uncertain;
            self.in_flight -= 1;
        }
        false
    }

    /// False if there is no such danmaku, or if it was settled before.
    fn settle(&mut self, seq: u64, fate: Fate, now_ms: i64) -> bool {
        self.unanswered(seq, false);
        let Some(line) = line_of(&mut self.lines, seq).filter(|line| line.fate == Fate::Pending) else {
            return false;
        };
        line.fate = fate;
        line.settled_ms = now_ms;
        self.open += self.lines[self.open..].iter().take_while(|line| line.fate != Fate::Pending).count();
        true
    }
}

fn line_of(lines: &mut [Line], seq: u64) -> Option<&mut Line> {
    let index = usize::try_from(seq.checked_sub(1)?).ok()?;
    lines.get_mut(index)
}

#[cfg(test)]
mod tests;
