//! What people notice of a fault: how long the slowest answer took, how long the stillest screen stood.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{ChaosError, Crowd};
use crate::{
    session::{Line, Session},
    swarm::{Control, now_ms},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Silences that are remembered, ms: shorter ones are the chat's own.
const SILENCE_MS: i64 = 300;

/// A fault's time, Unix ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub what: String,
    pub from_ms: i64,
    pub healed_ms: i64,
    pub well_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Felt {
    pub window: Window,
    /// The longest wait for an answer that fell into it, ms.
    pub wait_ms: i64,
    /// The longest silence on a screen that fell into it, ms; 0 for one too short to notice.
    pub silence_ms: i64,
}

impl fmt::Display for Felt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { what, from_ms, healed_ms, well_ms } = &self.window;
        write!(
            f,
            "senders waited {:>6} ms, screens stood {:>6} ms, broken {:>6} ms, well {:>6} ms later: {what}",
            self.wait_ms,
            self.silence_ms,
            healed_ms - from_ms,
            well_ms - healed_ms
        )
    }
}

/// Looks at the screens of all groups of a crowd until it is asked what it saw.
pub struct Screens {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Silence>>,
}

/// From, to; Unix ms.
type Silence = (i64, i64);

impl Screens {
    /// Starts to look.
    ///
    /// # Errors
    /// [`ChaosError::Thread`].
    pub fn watch(crowd: &Crowd) -> Result<Self, ChaosError> {
        let controls: Vec<_> = crowd.corners().iter().map(|corner| Arc::clone(&corner.control)).collect();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let thread = thread::Builder::new().name("screens".to_owned()).spawn(move || look(&controls, &ended));
        Ok(Self { done, thread: thread.map_err(ChaosError::Thread)? })
    }

    /// What was noticed of each fault, by screens and by these senders.
    ///
    /// # Errors
    /// [`ChaosError::Panicked`].
    pub fn tell<'a>(
        self,
        windows: Vec<Window>,
        senders: impl Iterator<Item = &'a Session> + Clone,
    ) -> Result<Vec<Felt>, ChaosError> {
        self.done.store(true, Ordering::Relaxed);
        let silences = self.thread.join().map_err(|_| ChaosError::Panicked)?;
        let waits = senders.flat_map(Session::lines).filter_map(wait);
        let felt = windows.into_iter().map(|window| Felt {
            wait_ms: longest(&window, waits.clone()),
            silence_ms: longest(&window, silences.iter().copied()),
            window,
        });
        Ok(felt.collect())
    }
}

/// The longest of those that were going on in the window.
fn longest(window: &Window, spans: impl Iterator<Item = (i64, i64)>) -> i64 {
    let within = spans.filter(|(from_ms, to_ms)| *from_ms < window.well_ms && *to_ms > window.from_ms);
    within.map(|(from_ms, to_ms)| to_ms - from_ms).max().unwrap_or_default()
}

fn wait(line: &Line) -> Option<(i64, i64)> {
    (line.settled_ms > 0).then_some((line.sent_ms, line.settled_ms))
}

fn look(controls: &[Arc<Control>], ended: &AtomicBool) -> Vec<Silence> {
    let mut silences = Vec::new();
    let mut moved = vec![(0, now_ms()); controls.len()];
    while !ended.load(Ordering::Relaxed) {
        let now_ms = now_ms();
        for (control, (shown, since_ms)) in controls.iter().zip(&mut moved) {
            let shows = control.progress.danmaku.value();
            if shows == *shown {
                continue;
            }
            if now_ms - *since_ms >= SILENCE_MS {
                silences.push((*since_ms, now_ms));
            }
            (*shown, *since_ms) = (shows, now_ms);
        }
        thread::sleep(LOOK_EVERY);
    }
    silences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_a_window_counts_whole_and_the_rest_not() {
        let window = Window { what: String::new(), from_ms: 100, healed_ms: 150, well_ms: 200 };
        assert_eq!(longest(&window, [(0, 99), (50, 120), (190, 210), (200, 900)].into_iter()), 70);
        assert_eq!(longest(&window, std::iter::empty()), 0);
    }
}
