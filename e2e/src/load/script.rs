//! What is said and when: made up, with a few users who talk much and many who talk little, or as it was recorded.

use std::time::Duration;

use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Zipf};

use crate::{replay::Recorded, swarm::Said, text::Texts};

/// User IDs of made-up users start behind this one.
const USER_BASE: u64 = 100_000;

/// Made-up danmaku at a steady rate, without end.
pub struct Chat {
    rate: f64,
    count: u64,
    users: Zipf<f64>,
    texts: Texts,
    random: StdRng,
}

impl Chat {
    /// `rate` danmaku/s of `users` users; the activity of the n-th falls with the power `exponent` of n, and with 0
    /// all talk alike. The same for the same `seed`. Nothing for a rate or a number of users of 0.
    #[must_use]
    pub fn new(rate: f64, users: u32, exponent: f64, seed: u64) -> Option<Self> {
        let users = Zipf::new(users.into(), exponent).ok()?;
        let sane = rate.is_finite() && rate > 0.0;
        sane.then(|| Self { rate, count: 0, users, texts: Texts::new(seed), random: StdRng::seed_from_u64(seed) })
    }
}

impl Iterator for Chat {
    type Item = Said;

    fn next(&mut self) -> Option<Said> {
        let at = Duration::from_secs_f64(self.count as f64 / self.rate);
        self.count += 1;
        #[expect(clippy::cast_possible_truncation, reason = "a rank is a whole number up to the number of users")]
        let rank = self.users.sample(&mut self.random) as u64;
        let content = self.texts.next()?;
        Some(Said { at, user: USER_BASE + rank, content })
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// At a multiple of its own speed.
    Speed(f64),
    /// At so many danmaku/s, whatever its own times.
    Rate(f64),
}

/// A recording, played once or over and over.
pub struct Replay {
    recorded: Vec<Recorded>,
    pace: Pace,
    repeat: bool,
    count: u64,
}

impl Replay {
    /// Plays what was recorded, sorted by time.
    #[must_use]
    pub const fn new(recorded: Vec<Recorded>, pace: Pace, repeat: bool) -> Self {
        Self { recorded, pace, repeat, count: 0 }
    }

    fn at(&self, round: u64, recorded: &Recorded) -> Duration {
        match self.pace {
            Pace::Rate(rate) => Duration::from_secs_f64(self.count as f64 / rate),
            Pace::Speed(speed) => {
                let first_ms = self.recorded.first().map_or(0, |first| first.at_ms);
                let last_ms = self.recorded.last().map_or(0, |last| last.at_ms);
                // A second's rest between two rounds.
                let round_ms = last_ms - first_ms + 1000;
                Duration::from_millis(round * round_ms + recorded.at_ms - first_ms).div_f64(speed)
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Said;

    fn next(&mut self) -> Option<Said> {
        let length = self.recorded.len() as u64;
        let round = self.count.checked_div(length)?;
        if round > 0 && !self.repeat {
            return None;
        }
        let recorded = self.recorded.get(usize::try_from(self.count % length).ok()?)?;
        let at = self.at(round, recorded);
        let said = Said { at, user: recorded.user, content: recorded.content.clone() };
        self.count += 1;
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn recorded() -> Vec<Recorded> {
        let line = |at_ms, user| Recorded { at_ms, user, content: format!("{user}") };
        vec![line(500, 7), line(1500, 8), line(4500, 7)]
    }

    fn times(replay: Replay) -> Vec<u128> {
        replay.take(5).map(|said| said.at.as_millis()).collect()
    }

    #[test]
    fn activity_falls_with_rank_and_the_seed_fixes_all() {
        let said = |seed| Chat::new(50.0, 100, 1.2, seed).unwrap().take(5000).collect::<Vec<_>>();
        assert_eq!(said(1), said(1));
        let mut by_user: HashMap<u64, u32> = HashMap::new();
        for said in said(1) {
            *by_user.entry(said.user).or_default() += 1;
        }
        let of = |rank: u64| by_user.get(&(USER_BASE + rank)).copied().unwrap_or(0);
        assert!(of(1) > 2 * of(4) && of(4) > of(40), "{} {} {}", of(1), of(4), of(40));
        assert_eq!(said(1)[100].at, Duration::from_secs(2));
    }

    #[test]
    fn without_an_exponent_all_talk_alike() {
        let first = Chat::new(1.0, 4, 0.0, 1).unwrap().take(4000).filter(|said| said.user == USER_BASE + 1);
        assert!((800..1200).contains(&first.count()));
    }

    #[test]
    fn nobody_and_never_are_no_chat() {
        assert!(Chat::new(1.0, 0, 1.0, 1).is_none());
        assert!(Chat::new(0.0, 1, 1.0, 1).is_none());
        assert!(Chat::new(1.0, 1, -1.0, 1).is_none());
    }

    #[test]
    fn a_recording_plays_at_a_speed_or_a_rate_once_or_again() {
        assert_eq!(times(Replay::new(recorded(), Pace::Speed(2.0), false)), [0, 500, 2000]);
        assert_eq!(times(Replay::new(recorded(), Pace::Rate(10.0), true)), [0, 100, 200, 300, 400]);
        assert_eq!(times(Replay::new(recorded(), Pace::Speed(1.0), true)), [0, 1000, 4000, 5000, 6000]);
        assert_eq!(times(Replay::new(Vec::new(), Pace::Speed(1.0), true)), [0_u128; 0]);
    }
}
