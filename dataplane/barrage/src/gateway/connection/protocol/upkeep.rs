//! What is counted and timed of a connection, and looked at once a second: what the peer sends, likes, silence, and output
//! that the peer does not take.

use crate::gateway::{config::Config, metrics::Disconnect};

/// What a peer may send in a second besides danmaku that are accepted, which the room limits: pings, pongs, heartbeats,
/// likes, what is refused or passed over. A hundred times the highest rate that rooms usually allow, and little enough work
/// that nobody else notices.
const SENT_PER_SECOND_MAX: u32 = 2_000;

/// Likes of a connection that count in a second: nobody's finger is faster.
const LIKES_PER_SECOND_MAX: u32 = 100;

/// Counters and clocks of one connection, in whole seconds of its worker.
pub(crate) struct Upkeep {
    /// What it sent in this second.
    sent: u32,
    /// Likes in this second.
    liked: u32,
    /// When the peer last gave a sign of life; `None` where the transport looks after that.
    heard_s: Option<u32>,
    /// When it was last pinged, or came.
    pinged_s: u32,
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
    /// A ping asks whether the peer is there, and shows whatever is on the way that the server is.
    pub(crate) ping: bool,
    /// The connection is over.
    pub(crate) end: Option<Disconnect>,
}

impl Upkeep {
    pub(super) const fn new(transport_keeps_alive: bool, now_s: u32) -> Self {
        let heard_s = if transport_keeps_alive { None } else { Some(now_s) };
        Self { sent: 0, liked: 0, heard_s, pinged_s: now_s, waiting_since_s: None }
    }

    /// The peer gave a sign of life.
    pub(crate) const fn heard(&mut self, now_s: u32) {
        if let Some(heard_s) = &mut self.heard_s {
            *heard_s = now_s;
        }
    }

    /// Counts what the peer sent; false if that is too much.
    pub(crate) const fn count(&mut self, weight: u32) -> bool {
        self.sent = self.sent.saturating_add(weight);
        self.sent <= SENT_PER_SECOND_MAX
    }

    /// Counts likes; gives how many count in this second.
    pub(super) fn like(&mut self, count: u32) -> u32 {
        let counted = count.min(LIKES_PER_SECOND_MAX - self.liked);
        self.liked += counted;
        counted
    }

    /// A second is over: pings, whatever the peer says by itself, and ends who is gone or takes nothing.
    pub(crate) fn check(&mut self, now_s: u32, output: Output, limits: Limits) -> Check {
        self.sent = 0;
        self.liked = 0;
        let since = |then_s: u32| u64::from(now_s.saturating_sub(then_s));
        let silent_s = self.heard_s.map_or(0, since);
        if silent_s >= limits.idle_s {
            return Check { ping: false, end: Some(Disconnect::Idle) };
        }
        let ping = self.heard_s.is_some() && since(self.pinged_s) >= limits.idle_s / 2;
        if ping {
            self.pinged_s = now_s;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { idle_s: 60, slow_s: 15 };
    const DRAINED: Output = Output { is_drained: true, progressed: false };
    const STUCK: Output = Output { is_drained: false, progressed: false };
    const SLOW: Output = Output { is_drained: false, progressed: true };

    /// Seconds in which something happens while output is like this.
    fn watched(upkeep: &mut Upkeep, seconds: std::ops::Range<u32>, output: Output) -> Vec<(u32, Check)> {
        let checks = seconds.map(|now_s| (now_s, upkeep.check(now_s, output, LIMITS)));
        checks.filter(|(_, check)| *check != Check::default()).collect()
    }

    const PING: Check = Check { ping: true, end: None };

    const fn ended(reason: Disconnect) -> Check {
        Check { ping: false, end: Some(reason) }
    }

    #[test]
    fn a_peer_that_talks_all_the_time_hears_something_too() {
        let mut upkeep = Upkeep::new(false, 0);
        let pings = (1..100).filter(|&now_s| {
            upkeep.heard(now_s);
            upkeep.check(now_s, DRAINED, LIMITS) == PING
        });
        assert_eq!(pings.collect::<Vec<_>>(), [30, 60, 90]);
    }

    #[test]
    fn a_silent_peer_is_pinged_once_and_then_given_up() {
        let mut upkeep = Upkeep::new(false, 100);
        assert_eq!(watched(&mut upkeep, 101..161, DRAINED), [(130, PING), (160, ended(Disconnect::Idle))]);
    }

    #[test]
    fn a_pong_is_a_sign_of_life() {
        let mut upkeep = Upkeep::new(false, 0);
        assert_eq!(watched(&mut upkeep, 1..31, DRAINED), [(30, PING)]);
        upkeep.heard(31);
        assert_eq!(watched(&mut upkeep, 31..91, DRAINED), [(60, PING), (90, PING)], "and it is asked again");
        assert_eq!(watched(&mut upkeep, 91..92, DRAINED), [(91, ended(Disconnect::Idle))]);
    }

    #[test]
    fn a_transport_that_keeps_itself_alive_is_left_alone() {
        let mut upkeep = Upkeep::new(true, 0);
        assert_eq!(watched(&mut upkeep, 1..1_000, DRAINED), []);
        upkeep.heard(5);
        assert_eq!(watched(&mut upkeep, 1_000..2_000, DRAINED), []);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_ended() {
        let mut upkeep = Upkeep::new(true, 0);
        assert_eq!(watched(&mut upkeep, 1..17, STUCK), [(16, ended(Disconnect::Slow))]);
    }

    #[test]
    fn a_peer_that_takes_a_little_is_only_slow() {
        let mut upkeep = Upkeep::new(true, 0);
        assert_eq!(watched(&mut upkeep, 1..100, SLOW), []);
        assert_eq!(watched(&mut upkeep, 100..115, STUCK), [(114, ended(Disconnect::Slow))], "15 s after 99");
    }

    #[test]
    fn who_has_taken_everything_begins_anew() {
        let mut upkeep = Upkeep::new(true, 0);
        assert_eq!(watched(&mut upkeep, 1..15, STUCK), []);
        assert_eq!(watched(&mut upkeep, 15..16, DRAINED), []);
        assert_eq!(watched(&mut upkeep, 16..32, STUCK), [(31, ended(Disconnect::Slow))]);
    }

    #[test]
    fn a_flood_is_borne_for_a_while() {
        let mut upkeep = Upkeep::new(false, 0);
        let borne = |upkeep: &mut Upkeep, weight| (0..=SENT_PER_SECOND_MAX).filter(|_| upkeep.count(weight)).count();
        assert_eq!(borne(&mut upkeep, 1), 2_000);
        assert!(!upkeep.count(1));
        upkeep.check(1, DRAINED, LIMITS);
        assert_eq!(borne(&mut upkeep, 8), 250, "the next second counts anew");
    }

    #[test]
    fn likes_of_a_second_are_counted_up_to_the_limit() {
        let mut upkeep = Upkeep::new(false, 0);
        assert_eq!([upkeep.like(99), upkeep.like(2), upkeep.like(1)], [99, 1, 0]);
        upkeep.check(1, DRAINED, LIMITS);
        assert_eq!(upkeep.like(1_000), LIKES_PER_SECOND_MAX);
    }
}
