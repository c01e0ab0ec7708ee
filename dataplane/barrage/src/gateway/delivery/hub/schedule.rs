//! What is to be flushed, and when: each room on a beat of its own, so that a frame waits for no other room's.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::subscription::RoomSubscription;
use crate::gateway::encode::Content;
use barrage_core::room::RoomId;

/// Workers are woken no more often, however many rooms there are: those whose beats are this close are flushed together.
const TOGETHER: Duration = Duration::from_millis(2);
/// Viewers are written to this often when there is time for it.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// And at least this often, however many they are.
const INTERVAL_MAX: Duration = Duration::from_millis(50);
/// A worker spends at most about this share of its time on broadcasts: 1 / 2.
const INTERVAL_PER_BROADCAST: u32 = 2;
/// Intervals over which it is looked how much of their time workers spend.
const LOOK_INTERVALS: u32 = 2;

/// Rooms with something to flush.
#[derive(Default)]
pub(super) struct Schedule {
    rooms: HashMap<RoomId, Content>,
    next: Option<Instant>,
    /// No room is flushed before.
    pause: Option<Instant>,
}

impl Schedule {
    /// What is flushed next of a room, when that is due.
    pub(super) fn of(&mut self, room: RoomId, due: Instant) -> &mut Content {
        self.rooms.entry(room).or_insert_with(|| {
            let at = Some(due - TOGETHER).max(self.pause);
            self.next = self.next.map_or(at, |next| at.min(Some(next)));
            Content::default()
        })
    }

    /// When to flush next; `None` while there is nothing.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes the rooms that are to be flushed now; each is due again after `interval`.
    pub(super) fn take(
        &mut self,
        now: Instant,
        interval: Duration,
        subscription: &mut HashMap<RoomId, RoomSubscription>,
    ) -> HashMap<RoomId, Content> {
        let pause = now + TOGETHER;
        let mut next: Option<Instant> = None;
        let is_due = |room: &RoomId, _: &mut Content| {
            // One that is not followed any more waits for nobody.
            let Some(subscription) = subscription.get_mut(room) else { return true };
            let due = subscription.flush_due;
            if due <= pause {
                subscription.flush_due = due.max(now) + interval;
                return true;
            }
            next = Some(next.map_or(due, |next| next.min(due)));
            false
        };
        let taken = self.rooms.extract_if(is_due).collect();
        self.pause = Some(pause);
        self.next = next.map(|due| pause.max(due - TOGETHER));
        taken
    }

    /// Takes all of them.
    pub(super) fn take_all(&mut self) -> HashMap<RoomId, Content> {
        self.next = None;
        std::mem::take(&mut self.rooms)
    }
}

/// How long after a room's flush the next may come: as soon as the busiest worker affords it.
pub(super) struct Pace {
    interval: Duration,
    looked: Instant,
    /// Time that each worker had spent on broadcasts then.
    spent: Vec<Duration>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { interval: INTERVAL_MIN, looked: now, spent: Vec::new() }
    }

    /// The interval, by what workers have spent on broadcasts so far.
    pub(super) fn interval(&mut self, now: Instant, spent: impl Iterator<Item = Duration> + Clone) -> Duration {
        let time = now.saturating_duration_since(self.looked);
        if time < self.interval * LOOK_INTERVALS {
            return self.interval;
        }
        let more = spent.clone().zip(self.spent.iter().copied().chain(std::iter::repeat(Duration::ZERO)));
        let busiest = more.map(|(now, then)| now.saturating_sub(then)).max().unwrap_or_default();
        // What everything costs once: it was spent this often.
        let once = busiest.mul_f64(self.interval.as_secs_f64() / time.as_secs_f64());
        // Rises at once, falls by a quarter each time.
        let affordable = (once * INTERVAL_PER_BROADCAST).max(self.interval * 3 / 4);
        self.interval = affordable.clamp(INTERVAL_MIN, INTERVAL_MAX);
        (self.looked, self.spent) = (now, spent.collect());
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(10);

    fn names(taken: &HashMap<RoomId, Content>) -> Vec<&str> {
        let mut names: Vec<_> = taken.keys().map(RoomId::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Rooms by name, and when each may be flushed.
    fn subscription(dues: impl IntoIterator<Item = (String, Instant)>) -> HashMap<RoomId, RoomSubscription> {
        let subscription = |due| {
            let mut subscription = RoomSubscription::default();
            subscription.flush_due = due;
            subscription
        };
        dues.into_iter().map(|(room, due)| (RoomId::from(room.as_str()), subscription(due))).collect()
    }

    #[test]
    fn a_room_waits_for_its_own_beat_alone_and_goes_with_those_close_by() {
        let (now, mut schedule) = (Instant::now(), Schedule::default());
        let dues = [("a", now), ("b", now + BEAT), ("c", now + TOGETHER)];
        let mut rooms = subscription(dues.map(|(room, due)| (room.to_owned(), due)));
        assert_eq!(schedule.next(), None);
        for (room, subscription) in &rooms {
            schedule.of(room.clone(), subscription.flush_due);
        }
        assert_eq!(schedule.next(), Some(now - TOGETHER));
        assert_eq!(names(&schedule.take(now, BEAT, &mut rooms)), ["a", "c"]);
        assert_eq!(schedule.next(), Some(now + BEAT - TOGETHER));
        assert!(schedule.take(now + BEAT / 2, BEAT, &mut rooms).is_empty());
        assert_eq!(names(&schedule.take(now + BEAT, BEAT, &mut rooms)), ["b"]);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_room_is_flushed_an_interval_apart_and_keeps_its_beat() {
        let (began, mut schedule) = (Instant::now(), Schedule::default());
        let mut rooms = subscription([("a".to_owned(), began)]);
        let (room, interval) = (RoomId::from("a"), 3 * BEAT);
        let mut flushed = Vec::new();
        // A frame comes every beat.
        for frame in 0..10 {
            let now = began + frame * BEAT;
            schedule.of(room.clone(), rooms[&room].flush_due);
            if schedule.next().unwrap() <= now && !schedule.take(now, interval, &mut rooms).is_empty() {
                flushed.push(frame);
            }
        }
        assert_eq!(flushed, [0, 3, 6, 9]);
    }

    #[test]
    fn many_rooms_wake_workers_no_more_often_than_a_few() {
        let (began, mut schedule) = (Instant::now(), Schedule::default());
        let due = |number: u64| began + Duration::from_micros(10 * number);
        let mut rooms = subscription((0..1_000).map(|number| (number.to_string(), due(number))));
        for (room, subscription) in &rooms {
            schedule.of(room.clone(), subscription.flush_due);
        }
        let (mut flushes, mut flushed, mut now) = (0, 0, began);
        while let Some(next) = schedule.next() {
            now = now.max(next);
            flushed += schedule.take(now, BEAT, &mut rooms).len();
            flushes += 1;
            // One that nobody follows comes a moment after, and waits for the others.
            if flushes == 1 {
                schedule.of(RoomId::from("late"), began);
                assert_eq!(schedule.next(), Some(now + TOGETHER));
            }
        }
        assert_eq!((flushes, flushed, now), (5, 1_001, began + 4 * TOGETHER));
    }

    /// The interval after a second of workers that spend so much on flushing everything once.
    fn settled(once: Duration) -> Duration {
        let mut now = Instant::now();
        let (mut pace, mut spent) = (Pace::new(now), [Duration::ZERO; 2]);
        let end = now + Duration::from_secs(1);
        while now < end {
            now += pace.interval;
            spent[0] += once;
            pace.interval(now, spent.into_iter());
        }
        pace.interval
    }

    #[test]
    fn a_busy_worker_is_left_half_of_its_time() {
        for (once_ms, interval_ms) in [(0, 10), (1, 10), (5, 10), (12, 24), (25, 50), (80, 50)] {
            let interval = settled(Duration::from_millis(once_ms)).as_secs_f64() * 1_000.0;
            assert!((interval - f64::from(interval_ms)).abs() < 1.0, "{once_ms}: {interval}, not {interval_ms}");
        }
    }

    #[test]
    fn what_was_a_burst_is_forgotten_in_steps() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let burst = [BEAT * 4];
        assert_eq!(pace.interval(now + BEAT, burst.into_iter()), BEAT, "not yet");
        assert_eq!(pace.interval(now + 2 * BEAT, burst.into_iter()), 4 * BEAT);
        assert_eq!(pace.interval(now + 12 * BEAT, burst.into_iter()), 3 * BEAT);
    }
}
