//! What is counted and timed of a connection, and looked at once a second: answers, likes, silence, and output that the
//! peer does not take.

use crate::gateway::{config::Config, metrics::Disconnect};

/// Heartbeats and refused frames that are answered in a second: a hundred times the highest rate that rooms usually
/// allow, and little enough work that nobody else notices.
const ANSWERS_PER_SECOND_MAX: u32 = 2_000;

/// Likes of a connection that count in a second: nobody's finger is faster.
const LIKES_PER_SECOND_MAX: u32 = 100;

/// Counters and clocks of one connection, in whole seconds of its worker.
pub(crate) struct Upkeep {
    /// Answers in this second.
    answers: u32,
    /// Likes in this second.
    liked: u32,
    /// When the peer last gave a sign of life; `None` where the transport looks after that.
    heard_s: Option<u32>,
    pinged: bool,
    /// Since when output waits.
    waiting_since_s: Option<u32>,
}

/// How long a connection may be silent, and take nothing, s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    idle_s: u64,
    slow_s: u64,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self { idle_s: config.idle_timeout.as_secs(), slow_s: config.slow_timeout.as_secs() }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Everything is written.
    pub(crate) is_drained: bool,
    /// Something that waited was written since the last check.
    pub(crate) progressed: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// The peer is silent: a ping asks whether it is there.
    pub(crate) ping: bool,
    /// The connection is over.
    pub(crate) end: Option<Disconnect>,
}

impl Upkeep {
    pub(super) const fn new(transport_keeps_alive: bool, now_s: u32) -> Self {
        let heard_s = if transport_keeps_alive { None } else { Some(now_s) };
        Self { answers: 0, liked: 0, heard_s, pinged: false, waiting_since_s: None }
    }

    /// The peer gave a sign of life.
    pub(crate) const fn heard(&mut self, now_s: u32) {
        if let Some(heard_s) = &mut self.heard_s {
            *heard_s = now_s;
        }
        self.pinged = false;
    }

    /// Counts an answer to a frame of the peer; false if it wants too many.
    pub(crate) const fn answer(&mut self) -> bool {
        self.answers += 1;
        self.answers <= ANSWERS_PER_SECOND_MAX
    }

    /// Counts likes; gives how many count in this second.
    pub(super) fn like(&mut self, count: u32) -> u32 {
        let counted = count.min(LIKES_PER_SECOND_MAX - self.liked);
        self.liked += counted;
        counted
    }

    /// A second is over: pings who is silent, ends who is gone or takes nothing.
    pub(crate) fn check(&mut self, now_s: u32, output: Output, limits: Limits) -> Check {
        self.answers = 0;
        self.liked = 0;
        let since = |then_s: u32| u64::from(now_s.saturating_sub(then_s));
        let silent_s = self.heard_s.map_or(0, since);
        if silent_s >= limits.idle_s {
            return Check { ping: false, end: Some(Disconnect::Idle) };
        }
        let ping = silent_s >= limits.idle_s / 2 && !std::mem::replace(&mut self.pinged, true);
        if output.is_drained {
            self.waiting_since_s = None;
            return Check { ping, end: None };
        }
        if output.progressed {
            self.waiting_since_s = None;
        }
        let waiting_since_s = *self.waiting_since_s.get_or_insert(now_s);
        Check { ping, end: (since(waiting_since_s) >= limits.slow_s).then_some(Disconnect::Slow) }
    }
}
