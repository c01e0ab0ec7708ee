//! The way to a worker, and how far behind it is.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use crate::gateway::encode::Flushes;

/// Rounds between hub and a worker: a second of them at the highest rate.
const ROUNDS_MAX: usize = 512;
/// A worker that has not taken a round after this skips what comes: nobody wants to see the past.
const BEHIND_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Done {
    /// Rounds that it has taken.
    taken: AtomicU64,
    /// Time that it has spent on them, µs.
    spent_us: AtomicU64,
}

/// The hub's end.
pub(crate) struct Mailbox {
    rounds: mpsc::Sender<Flushes>,
    done: Arc<Done>,
    /// When those were sent that were not taken, as far as it was looked.
    waiting: VecDeque<Instant>,
    taken: u64,
}

/// The worker's end.
pub(crate) struct Rounds {
    rounds: mpsc::Receiver<Flushes>,
    done: Arc<Done>,
}

/// Both ends.
pub(crate) fn mailbox() -> (Mailbox, Rounds) {
    let (sender, receiver) = mpsc::channel(ROUNDS_MAX);
    let done = Arc::<Done>::default();
    let rounds = Rounds { rounds: receiver, done: Arc::clone(&done) };
    (Mailbox { rounds: sender, done, waiting: VecDeque::new(), taken: 0 }, rounds)
}

impl Mailbox {
    /// Hands a round over; false when the worker is so far behind that it has to do without.
    pub(super) fn send(&mut self, round: &Flushes, now: Instant) -> bool {
        let taken = self.done.taken.load(Ordering::Relaxed);
        let more = usize::try_from(taken - self.taken).unwrap_or(usize::MAX).min(self.waiting.len());
        self.waiting.drain(..more);
        self.taken = taken;
        if self.waiting.front().is_some_and(|sent| now.duration_since(*sent) > BEHIND_MAX) {
            return false;
        }
        let sent = self.rounds.try_send(Arc::clone(round)).is_ok();
        if sent {
            self.waiting.push_back(now);
        }
        sent
    }

    /// Time that the worker has spent on rounds so far.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_micros(self.done.spent_us.load(Ordering::Relaxed))
    }
}

impl Rounds {
    /// The next round; `None` when the hub is gone.
    pub(crate) async fn next(&mut self) -> Option<Flushes> {
        let round = self.rounds.recv().await?;
        self.done.taken.fetch_add(1, Ordering::Relaxed);
        Some(round)
    }

    /// Counts the time in that the last one took.
    pub(crate) fn spent(&self, time: Duration) {
        self.done.spent_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_worker_that_is_behind_does_without_until_it_has_taken_what_is_old() {
        let ((mut mailbox, mut rounds), began) = (mailbox(), Instant::now());
        let round: Flushes = Arc::new([]);
        // Long idle is not behind.
        assert!(mailbox.send(&round, began) && mailbox.send(&round, began + BEAT));
        assert!(mailbox.send(&round, began + BEHIND_MAX));
        assert!(!mailbox.send(&round, began + BEHIND_MAX + BEAT / 2), "the first has waited for too long");
        rounds.next().await.unwrap();
        assert!(mailbox.send(&round, began + BEHIND_MAX + BEAT), "and the second has not");
        assert!(!mailbox.send(&round, began + BEHIND_MAX + 2 * BEAT));
        for _ in 0..3 {
            rounds.next().await.unwrap();
        }
        assert!(mailbox.send(&round, began + 3 * BEHIND_MAX));
        rounds.spent(BEAT);
        assert_eq!(mailbox.spent(), BEAT);
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let ((mut mailbox, _rounds), now) = (mailbox(), Instant::now());
        let round: Flushes = Arc::new([]);
        assert_eq!((0..2 * ROUNDS_MAX).filter(|_| mailbox.send(&round, now)).count(), ROUNDS_MAX);
    }
}
