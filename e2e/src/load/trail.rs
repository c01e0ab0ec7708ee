//! Follows a room's history while a load runs, so that a history shorter than the run is still seen whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::http::{Api, HISTORY_PAGE_MAX, HttpError, Kept, Page};

/// Pause after a page that was not full: a tenth of the time in which 10,000 danmaku at 1,000/s come.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after a server that did not answer: it may be starting again.
const ABSENCE_PAUSE: Duration = Duration::from_millis(200);
/// A server that is away for longer at the end will not come back.
const ABSENCE_MAX: Duration = Duration::from_secs(30);

/// A thread that reads on.
pub(super) struct Trail {
    finish: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Kept>, HttpError>>,
}

impl Trail {
    /// Starts behind what the history holds now.
    pub(super) fn start(api: Api, room: String) -> Result<Self, HttpError> {
        let cursor = api.history(&room, Page::Newest, 1)?.after.unwrap_or_default();
        let finish = Arc::new(AtomicBool::new(false));
        let finished = Arc::clone(&finish);
        let thread = thread::spawn(move || follow(&api, &room, cursor, &finished));
        Ok(Self { finish, thread })
    }

    /// Reads to the end; returns all that came since the start, oldest first.
    pub(super) fn finish(self) -> Result<Vec<Kept>, HttpError> {
        self.finish.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let panicked = || HttpError::Transport { url: "history".to_owned(), problem: "its reader panicked".to_owned() };
        self.thread.join().map_err(|_| panicked())?
    }
}

fn follow(api: &Api, room: &str, mut cursor: String, finished: &AtomicBool) -> Result<Vec<Kept>, HttpError> {
    let mut all = Vec::new();
    let mut heard = Instant::now();
    loop {
        // Read before the page: a page that is asked for after the end holds everything.
        let last = finished.load(Ordering::Relaxed);
        let page = match api.history(room, Page::After(&cursor), HISTORY_PAGE_MAX) {
            Ok(page) => page,
            Err(error) if error.is_absence() && !(last && heard.elapsed() > ABSENCE_MAX) => {
                thread::park_timeout(ABSENCE_PAUSE);
                continue;
            }
            Err(error) => return Err(error),
        };
        heard = Instant::now();
        let full = page.danmaku.len() >= HISTORY_PAGE_MAX;
        all.extend(page.danmaku);
        if let Some(after) = page.after {
            cursor = after;
        }
        match (full, last) {
            (true, _) => {}
            (false, true) => return Ok(all),
            (false, false) => thread::park_timeout(PAUSE),
        }
    }
}
