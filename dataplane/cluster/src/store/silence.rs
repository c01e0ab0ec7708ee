//! For which hash slots nobody has answered for too long.
//!
//! The client mends its connections by itself, with exceptions that were seen: while it looks for the topology it carries
//! out no call, and a call that holds its lock at that moment keeps it from ever finding it; it looks over and over where
//! it has lost its connections to all nodes; and it can go on asking a node that another has replaced. Then a new client
//! helps. The other nodes answer all the while, so each part of the slots has to be heard by itself.

use std::{
    array::from_fn,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::keys::SLOTS;

/// Slots are looked at in so many parts: each is 256 slots in a row, far fewer than a master has.
const PARTS: u16 = 64;

/// After so much silence from a part a new client is due.
const TOO_LONG: Duration = Duration::from_secs(5);
/// How long it takes until the next, where that did not help: each time double, up to this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

pub(super) struct Silence(Mutex<State>);

struct State {
    parts: [Option<Silent>; PARTS as usize],
    /// When the next client may come, and how long the one after it has to wait.
    next: Option<Instant>,
    pause: Duration,
}

/// A part that has not answered: its first call of those, and its last.
#[derive(Clone, Copy)]
struct Silent {
    since: Instant,
    last: Instant,
}

impl Default for Silence {
    fn default() -> Self {
        Self(Mutex::new(State { parts: from_fn(|_| None), next: None, pause: TOO_LONG }))
    }
}

impl Silence {
    /// Takes down whether a call was answered. Whether a new client is due: true for one caller, and again when that
    /// did not help.
    pub(super) fn is_too_long(&self, slot: u16, answered: bool, now: Instant) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { parts, next, pause } = &mut *state;
        let part = &mut parts[usize::from(slot / (SLOTS / PARTS))];
        if answered {
            if part.take().is_some() {
                *pause = TOO_LONG;
            }
            return false;
        }
        // One that failed long ago and was not asked since says nothing about the time between.
        let since = part.filter(|silent| now.saturating_duration_since(silent.last) < TOO_LONG);
        let since = since.map_or(now, |silent| silent.since);
        *part = Some(Silent { since, last: now });
        let due = now.saturating_duration_since(since) >= TOO_LONG && next.is_none_or(|next| now >= next);
        if due {
            *next = Some(now + *pause);
            *pause = (2 * *pause).min(PAUSE_MAX);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two slots of different parts.
    const SLOT: u16 = 7;
    const OTHER: u16 = 16_000;

    fn at(tenths: u32) -> Duration {
        TOO_LONG * tenths / 10
    }

    #[test]
    fn a_client_is_due_when_a_part_is_silent_for_too_long_whatever_others_say() {
        let (silence, now) = (Silence::default(), Instant::now());
        for tenth in 0..10 {
            assert!(!silence.is_too_long(SLOT, false, now + at(tenth)));
            assert!(!silence.is_too_long(OTHER, true, now + at(tenth)));
        }
        assert!(silence.is_too_long(SLOT, false, now + at(10)));
        assert!(!silence.is_too_long(SLOT, false, now + at(10)), "one caller is enough");
    }

    #[test]
    fn an_answer_ends_the_silence_of_its_part() {
        let (silence, now) = (Silence::default(), Instant::now());
        assert!(!silence.is_too_long(SLOT, false, now));
        assert!(!silence.is_too_long(SLOT, true, now + at(5)));
        assert!(!silence.is_too_long(SLOT, false, now + at(9)));
        assert!(!silence.is_too_long(SLOT, false, now + at(18)));
        assert!(silence.is_too_long(SLOT, false, now + at(20)));
    }

    #[test]
    fn calls_that_failed_long_apart_are_no_silence() {
        let (silence, now) = (Silence::default(), Instant::now());
        for hour in 0..3 {
            assert!(!silence.is_too_long(SLOT, false, now + Duration::from_hours(hour)));
        }
    }

    #[test]
    fn who_gets_no_answer_from_new_clients_either_asks_for_fewer() {
        let (silence, now) = (Silence::default(), Instant::now());
        let due = (0..400).filter(|&second| silence.is_too_long(SLOT, false, now + Duration::from_secs(second)));
        assert_eq!(due.collect::<Vec<_>>(), [5, 10, 20, 40, 80, 140, 200, 260, 320, 380]);
    }
}
