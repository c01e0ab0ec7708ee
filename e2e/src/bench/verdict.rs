//! What a room's outside moderator does to other rooms when it is slow or talks without end: P99 of a room beside it,
//! against the same two rooms with a moderator that judges at once.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    error::BenchError,
    median::median,
    rig::{Crowd, ROOM, Serving, measure, rate, room},
    table::{Row, Table, Target},
};
use crate::{
    load::{self, Chat, Endpoint, Latency, Load, LoadError, Outcome},
    moderator::{Moderator, Mood, Words},
    server::{Options, Server},
    swarm::{Control, Format},
};

/// The room whose moderator is asked.
const JUDGED: &str = "judged";
/// Danmaku per second of each of both rooms.
const RATE: f64 = 500.0;
/// Users who send them, all alike.
const USERS: u32 = 50;
const VIEWERS: u32 = 50;
const BUDGET: u32 = 1_000;
/// What the room's moderator is given, ms; a second's danmaku wait for it at the same time then.
const TIMEOUT_MS: u32 = 1_000;
/// Longer than that.
const SLOW: Duration = Duration::from_secs(10);
/// Runs of either kind, in turn, and how many in the short form.
const RUNS: usize = 3;
const RUNS_SHORT: usize = 1;
/// P99 is a flush of 10 ms or two on a machine that is shared with the load; one more is chance.
const TARGET_MORE_MS: f64 = 10.0;

pub(super) fn run(short: bool, table: &mut Table) -> Result<(), BenchError> {
    let time = Duration::from_secs(if short { 3 } else { 10 });
    let moderator = Moderator::new(Words::default());
    let address = moderator.start().map_err(BenchError::io("starting a moderator"))?;
    let verdict =
        format!("{{url: \"http://{address}/verdict\", timeoutMilliseconds: {TIMEOUT_MS}, failurePolicy: Allow}}");
    let rooms = [room(ROOM, BUDGET, "{}"), room(JUDGED, BUDGET, &format!("{{verdict: {verdict}}}"))];
    let server = Server::start(Options { manifest: Some(rooms.join("---\n")), ..Options::default() })?;
    let p99_beside = |mood: Mood| {
        moderator.set(mood);
        let asked = moderator.asked();
        let p99 = beside(&server, time)?;
        if moderator.asked() == asked {
            return Err(BenchError::Meaningless("the moderator was asked nothing".to_owned()));
        }
        Ok(p99)
    };
    let moods = [("slow", Mood::Slow(SLOW)), ("without end", Mood::Endless)];
    let (mut well, mut ill) = (Vec::new(), [Vec::new(), Vec::new()]);
    let runs = if short { RUNS_SHORT } else { RUNS };
    for _ in 0..runs {
        well.push(p99_beside(Mood::Well)?);
        for ((_, mood), figures) in moods.iter().zip(&mut ill) {
            figures.push(p99_beside(mood.clone())?);
        }
    }
    let well = median(well);
    for ((what, _), figures) in moods.into_iter().zip(ill) {
        let ill = median(figures);
        let figure = format!("verdict: P99 of the room beside, moderator {what}");
        let row = Row::plain(figure, format!("{ill:.0} ms")).against(format!("{well:.0} ms, moderator well"), "");
        let target = format!("≤ {TARGET_MORE_MS:.0} ms more");
        table.add(row.target(Target::at_most(ill - well, TARGET_MORE_MS, target)));
    }
    Ok(())
}

/// P99 of the room that asks nobody, while the other one talks as much, ms.
fn beside(server: &Server, time: Duration) -> Result<f64, BenchError> {
    let control = Arc::new(Control::default());
    let judged = judged(server, &control)?;
    let crowd = Crowd { viewers: VIEWERS, format: Format::V2, script: Some(Box::new(chat(1)?)) };
    let measured = measure(server, crowd, time);
    control.hush();
    judged.join().map_err(|_| LoadError::Panicked)??;
    let latency = Latency::of(&measured?.1.harvest.latency);
    Ok(latency.ok_or_else(|| BenchError::Meaningless("no danmaku came back".to_owned()))?.p99 as f64)
}

/// The load on the room that asks.
fn judged(server: &Server, control: &Arc<Control>) -> Result<JoinHandle<Result<Outcome, LoadError>>, BenchError> {
    let load = Load {
        target: Endpoint::parse(&server.url()).and_then(|at| at.target(JUDGED)).map_err(LoadError::from)?,
        key: server.key()?,
        format: Format::V2,
        viewers: VIEWERS,
        dial_rate: None,
        script: Some(Box::new(chat(2)?)),
        senders_max: USERS as usize,
        duration: None,
        threads: 1,
        api: None,
    };
    let control = Arc::clone(control);
    Ok(thread::spawn(move || load::run(load, &control)))
}

fn chat(seed: u64) -> Result<Chat, BenchError> {
    Chat::new(rate(RATE), USERS, 0.0, seed).ok_or_else(|| BenchError::Meaningless("a chat of nobody".to_owned()))
}
