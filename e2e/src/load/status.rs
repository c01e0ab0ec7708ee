//! The live view: one line that refreshes itself on a terminal, a plain line now and then elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::swarm::{Control, Progress};

const REFRESH: Duration = Duration::from_millis(250);
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows a run's progress on standard error until the returned guard is dropped; standard output is the report's.
#[must_use]
pub fn watch_progress(control: &Arc<Control>) -> Shown {
    let control = Arc::clone(control);
    let (done, over) = mpsc::channel();
    let thread = thread::spawn(move || {
        let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        let pause = if terminal { REFRESH } else { PLAIN_EVERY };
        let mut view = View::new();
        while over.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            let line = view.line(&control.progress, Instant::now());
            // A view that nobody can read is no reason to stop.
            let _unread = if terminal { show(&line) } else { writeln!(io::stderr(), "{line}") };
        }
        let _unread = if terminal { show("") } else { Ok(()) };
    });
    Shown { done: Some(done), thread: Some(thread) }
}

/// Ends the live view when dropped.
pub struct Shown {
    done: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the view has shown itself already.
            let _shown = thread.join();
        }
    }
}

fn show(line: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    // Back to the line's start, and clear to its end.
    write!(out, "\r\x1b[K{line}")?;
    out.flush()
}

/// What stood on the line before, for the rates.
struct View {
    began: Instant,
    at: Instant,
    sent: u64,
    acknowledged: u64,
    danmaku: u64,
    bytes: u64,
}

impl View {
    fn new() -> Self {
        let now = Instant::now();
        Self { began: now, at: now, sent: 0, acknowledged: 0, danmaku: 0, bytes: 0 }
    }

    fn line(&mut self, progress: &Progress, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64().max(1e-3);
        self.at = now;
        let rate = |value: u64, before: &mut u64| {
            let more = value.saturating_sub(*before);
            *before = value;
            amount(more as f64 / seconds)
        };
        let sent = rate(progress.sent.value(), &mut self.sent);
        let acknowledged = rate(progress.acknowledged.value(), &mut self.acknowledged);
        let danmaku = rate(progress.danmaku.value(), &mut self.danmaku);
        let bytes = rate(progress.bytes.value(), &mut self.bytes);
        format!(
            "{:>4} s  viewers {}  senders {}  sent {sent}/s  acked {acknowledged}/s  received {danmaku}/s  \
             {bytes}B/s  P50 {} ms  P99 {} ms  lost connections {}",
            now.saturating_duration_since(self.began).as_secs(),
            progress.viewers.value(),
            progress.senders.value(),
            progress.latency_ms_p50.value(),
            progress.latency_ms_p99.value(),
            progress.disconnects.value(),
        )
    }
}

fn amount(value: f64) -> String {
    match value {
        small if small < 1e4 => format!("{small:.0}"),
        medium if medium < 1e6 => format!("{:.1}k", medium / 1e3),
        large => format!("{:.1}M", large / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_since_the_line_before() {
        let control = Control::default();
        let mut view = View::new();
        control.progress.sent.add(300);
        let first = view.line(&control.progress, view.began + Duration::from_secs(3));
        assert!(first.contains("   3 s") && first.contains("sent 100/s"), "{first}");
        control.progress.danmaku.add(2_400_000);
        let second = view.line(&control.progress, view.began + Duration::from_secs(5));
        assert!(second.contains("sent 0/s") && second.contains("received 1.2M/s"), "{second}");
    }
}
