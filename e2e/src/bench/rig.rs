//! What the benchmarks of a running server share: servers and baselines to start, loads to put on them, and what they
//! used meanwhile.

use std::{
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::error::BenchError;
use crate::{
    load::{self, Endpoint, Load, LoadError, Outcome},
    process::{Process, Usage},
    server::{Options, Server},
    swarm::{Control, Format, Progress, Script},
    token::TokenKey,
};

/// The room of all benchmarks.
pub(super) const ROOM: &str = "bench";
/// Until the last connections' setting up is over.
const WARM_UP: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_millis(20);
/// Senders that are connected at one time; no benchmark has more.
const SENDERS_MAX: usize = 1000;

/// How much of a load a build moves: one with debug assertions a quarter of it, beside a load generator like that.
const SHARE: u32 = if cfg!(debug_assertions) { 4 } else { 1 };

/// So many viewers or connections as this build serves.
pub(super) fn crowd(viewers: u32) -> u32 {
    viewers / SHARE
}

/// So many danmaku a second as this build moves.
pub(super) fn rate(full: f64) -> f64 {
    full / f64::from(SHARE)
}

/// Something that serves, and what it has used.
pub(super) trait Serving {
    /// `ws://HOST:PORT`.
    fn url(&self) -> String;
    fn used(&self) -> Result<Usage, BenchError>;
    /// The key of its tokens, if it asks for any.
    fn key(&self) -> Result<Option<TokenKey>, BenchError>;
}

impl Serving for Server {
    fn url(&self) -> String {
        self.ws_url()
    }

    fn used(&self) -> Result<Usage, BenchError> {
        Ok(self.usage()?)
    }

    fn key(&self) -> Result<Option<TokenKey>, BenchError> {
        Ok(Some(TokenKey::load(&self.data()).map_err(LoadError::from)?))
    }
}

/// A baseline: this program again, in another role.
impl Serving for Process {
    fn url(&self) -> String {
        Self::url(self).replacen("http", "ws", 1)
    }

    fn used(&self) -> Result<Usage, BenchError> {
        Ok(self.usage()?)
    }

    fn key(&self) -> Result<Option<TokenKey>, BenchError> {
        Ok(None)
    }
}

/// Starts the server with a room of that budget.
pub(super) fn server(shards: Option<u32>, budget: u32) -> Result<Server, BenchError> {
    Ok(Server::start(Options { manifest: Some(room(ROOM, budget, "{}")), shards, ..Options::default() })?)
}

/// The manifest of a room of that budget and moderation; other limits are out of the way.
pub(super) fn room(name: &str, budget: u32, moderation: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {name}}}\nspec:\n  \
         rateLimit: {{messagesPerSecond: 1000, burst: 1000}}\n  viewerBudget: {{danmakuPerSecond: {budget}}}\n  \
         moderation: {moderation}\n"
    )
}

/// Starts a baseline, `serve-bare` or `serve-naive`.
pub(super) fn baseline(role: &str, rate: u32, bytes: usize) -> Result<Process, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::io("finding this program's own file"))?;
    let mut command = Command::new(program);
    command.arg(role).args(["--rate", &rate.to_string(), "--bytes", &bytes.to_string()]);
    Ok(Process::start(command)?)
}

/// Ends this process when its parent does: a baseline must not outlive a benchmark that was killed.
pub(super) fn end_with_parent() {
    let parent = rustix::process::getppid();
    thread::spawn(move || {
        while rustix::process::getppid() == parent {
            thread::sleep(Duration::from_millis(500));
        }
        std::process::exit(0);
    });
}

pub(super) struct Crowd {
    pub(super) viewers: u32,
    pub(super) format: Format,
    pub(super) script: Option<Script>,
}

/// What happened in a stretch of time in the middle of a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) messages: u64,
    pub(super) danmaku: u64,
    pub(super) acknowledged: u64,
    pub(super) cpu: Duration,
    pub(super) time: Duration,
}

impl Stretch {
    /// Per second of the server's CPU.
    pub(super) fn per_cpu_second(&self, count: u64) -> Result<f64, BenchError> {
        if self.cpu.is_zero() || count == 0 {
            return Err(BenchError::Meaningless(format!("nothing to divide: {self:?}")));
        }
        Ok(count as f64 / self.cpu.as_secs_f64())
    }
}

/// Puts a crowd on a server, lets it settle, and measures for a while.
pub(super) fn measure(serving: &impl Serving, crowd: Crowd, time: Duration) -> Result<(Stretch, Outcome), BenchError> {
    during(serving, crowd, |control| {
        thread::sleep(WARM_UP);
        control.forget_latency();
        let (before, began) = (Count::now(serving, &control.progress)?, Instant::now());
        thread::sleep(time);
        Ok(Count::now(serving, &control.progress)?.since(before, began.elapsed()))
    })
}

/// Puts a crowd on a server, and does something while all are connected.
pub(super) fn during<T>(
    serving: &impl Serving,
    crowd: Crowd,
    act: impl FnOnce(&Control) -> Result<T, BenchError>,
) -> Result<(T, Outcome), BenchError> {
    let viewers = u64::from(crowd.viewers);
    crate::files::allow(viewers + SENDERS_MAX as u64)?;
    let load = Load {
        target: Endpoint::parse(&serving.url()).and_then(|at| at.target(ROOM)).map_err(LoadError::from)?,
        key: serving.key()?,
        format: crowd.format,
        viewers: crowd.viewers,
        dial_rate: None,
        script: crowd.script,
        senders_max: SENDERS_MAX,
        duration: None,
        threads: 1,
        api: None,
    };
    let control = Arc::new(Control::default());
    let conductor = Arc::clone(&control);
    let run = thread::spawn(move || load::run(load, &conductor));
    while control.progress.viewers.value() < viewers && !run.is_finished() {
        thread::sleep(BEAT);
    }
    let acted = if run.is_finished() { None } else { Some(act(&control)) };
    control.hush();
    let outcome = run.join().map_err(|_| LoadError::Panicked)??;
    let ended = || BenchError::Meaningless("the load ended before it was measured".to_owned());
    Ok((acted.ok_or_else(ended)??, outcome))
}

/// Counters at a moment.
#[derive(Clone, Copy)]
struct Count {
    messages: u64,
    danmaku: u64,
    acknowledged: u64,
    cpu: Duration,
}

impl Count {
    fn now(serving: &impl Serving, progress: &Progress) -> Result<Self, BenchError> {
        Ok(Self {
            messages: progress.messages.value(),
            danmaku: progress.danmaku.value(),
            acknowledged: progress.acknowledged.value(),
            cpu: serving.used()?.cpu,
        })
    }

    fn since(self, earlier: Self, time: Duration) -> Stretch {
        Stretch {
            messages: self.messages - earlier.messages,
            danmaku: self.danmaku - earlier.danmaku,
            acknowledged: self.acknowledged - earlier.acknowledged,
            cpu: self.cpu.saturating_sub(earlier.cpu),
            time,
        }
    }
}
