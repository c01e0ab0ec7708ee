//! Conducts a run: everybody gathers, senders speak, answers come in, everybody leaves, the ledger is read.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use thiserror::Error;

use super::{
    EndpointError,
    outcome::{Checked, Outcome},
    trail::Trail,
};
use crate::{
    checker::Ledger,
    http::{Api, HttpError, Place},
    swarm::{self, Control, Format, Harvest, Plan, Script, SwarmError, Target},
    token::{TokenError, TokenKey},
};

const BEAT: Duration = Duration::from_millis(20);
/// Everybody must be connected by then.
const GATHER_TIMEOUT: Duration = Duration::from_secs(180);
/// Answers must be in by then: a retry is refused after 30 s, and one that the server loses is tried again after 10.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(45);
/// After the last answer the last frames come, and the room's ledger comes to rest.
const LINGER: Duration = Duration::from_millis(1200);
/// User IDs of viewers: far from those of senders, and exact in JavaScript.
const VIEWER_BASE: u64 = 1 << 40;

pub struct Load {
    pub target: Target,
    /// Signs the tokens; without it nobody has one.
    pub key: Option<TokenKey>,
    pub format: Format,
    /// Viewers.
    pub viewers: u32,
    /// Connections started per second; without it as fast as the server answers.
    pub dial_rate: Option<f64>,
    /// What senders say; without it nobody speaks.
    pub script: Option<Script>,
    /// Senders that are connected at one time.
    pub senders_max: usize,
    /// How long; without it until the script ends or somebody says hush.
    pub duration: Option<Duration>,
    /// Threads; senders are in the first.
    pub threads: u32,
    /// The API to check the result with; without it nothing is checked.
    pub api: Option<Api>,
}

#[derive(Debug, Error)]
pub enum LoadError {
    /// The server's API.
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A thread gave up.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// Not all viewers came to be connected.
    #[error(
        "{connected} of {asked} viewers were connected after {GATHER_TIMEOUT:?}, {failed} tries failed; \
         does the server's log say why?"
    )]
    NotGathered {
        /// Connected.
        connected: u64,
        /// Asked for.
        asked: u32,
        /// Tries that failed.
        failed: u64,
    },
    /// A bug of the load generator.
    #[error("a thread of the load generator panicked; its message stands above")]
    Panicked,
}

type Swarms = Vec<JoinHandle<Result<Harvest, SwarmError>>>;

/// Runs a load to its end. `control` shows its progress, and can end it early with [`Control::hush`].
///
/// # Errors
/// [`LoadError`].
pub fn run(mut load: Load, control: &Arc<Control>) -> Result<Outcome, LoadError> {
    let before = load.api.as_ref().map(|api| Before::read(api, &load.target.room)).transpose()?;
    let speakers = u64::from(load.script.is_some());
    let mut swarms = start(&mut load, control);
    let ran = stages(&load, control, &swarms, speakers);
    control.finish();
    let mut harvest = Harvest::nothing()?;
    for swarm in swarms.drain(..) {
        harvest.add(swarm.join().map_err(|_| LoadError::Panicked)??);
    }
    let time = ran?;
    let checked = match (before, &load.api) {
        (Some(before), Some(api)) => Some(before.close(api, &load.target.room)?),
        _ => None,
    };
    Ok(Outcome { harvest, checked, time })
}

fn start(load: &mut Load, control: &Arc<Control>) -> Swarms {
    let threads = load.threads.max(1);
    let share = |thread: u32| VIEWER_BASE + u64::from(load.viewers) * u64::from(thread) / u64::from(threads);
    let shares: Vec<_> = (0..threads).map(|thread| share(thread)..share(thread + 1)).collect();
    let mut swarms = Vec::new();
    for viewers in shares {
        let plan = Plan {
            target: load.target.clone(),
            key: load.key.clone(),
            format: load.format,
            viewers,
            dial_rate: load.dial_rate.map(|rate| rate / f64::from(threads)),
            script: load.script.take(),
            senders_max: load.senders_max,
        };
        let control = Arc::clone(control);
        swarms.push(thread::spawn(move || swarm::run(plan, control)));
    }
    swarms
}

/// The stages of a run; returns how long it took from the moment that all were gathered.
fn stages(load: &Load, control: &Control, swarms: &Swarms, speakers: u64) -> Result<Duration, LoadError> {
    let progress = &control.progress;
    // A thread that is through before it was told to has an error to tell.
    let over = || control.is_hushed() || swarms.iter().any(JoinHandle::is_finished);
    let gathered = || progress.viewers.value() >= u64::from(load.viewers);
    if !wait(GATHER_TIMEOUT, || gathered() || over()) {
        let failed = progress.failed_dials.value();
        return Err(LoadError::NotGathered { connected: progress.viewers.value(), asked: load.viewers, failed });
    }
    let began = Instant::now();
    control.speak();
    let settled = || speakers > 0 && progress.settled.value() >= speakers;
    wait(load.duration.unwrap_or(Duration::MAX), || settled() || over());
    control.hush();
    let failed = || swarms.iter().any(JoinHandle::is_finished);
    wait(DRAIN_TIMEOUT, || speakers == 0 || settled() || failed());
    let time = began.elapsed();
    if speakers > 0 && !failed() {
        thread::sleep(LINGER);
    }
    Ok(time)
}

/// Waits until something holds, at most so long; returns whether it does.
fn wait(timeout: Duration, holds: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() >= timeout {
            return false;
        }
        thread::sleep(BEAT);
    }
    true
}

/// The room before the run.
struct Before {
    ledger: Ledger,
    ranking: Vec<Place>,
    trail: Trail,
}

impl Before {
    fn read(api: &Api, room: &str) -> Result<Self, HttpError> {
        let ledger = api.room(room)?.ledger;
        let ranking = api.whole_ranking(room)?;
        Ok(Self { ledger, ranking, trail: Trail::start(api.clone(), room.to_owned())? })
    }

    fn close(self, api: &Api, room: &str) -> Result<Checked, HttpError> {
        let history = self.trail.finish()?;
        let ledger = (self.ledger, api.room(room)?.ledger);
        let ranking = (self.ranking, api.whole_ranking(room)?);
        Ok(Checked { history, ledger, ranking })
    }
}
