//! The end of a run: nobody speaks any more, everything comes to rest, and what is kept is held against what was
//! promised.

use std::{
    fmt,
    time::{Duration, Instant},
};

use tokio::{task::block_in_place, time::sleep};

use super::{ChaosError, Crowd};
use crate::{
    checker::{Finding, Ledger, check_history, check_ranking, check_senders, check_slices, count},
    cluster::Cluster,
    http::{Api, HttpError, Kept},
    session::{Fate, Line, Session},
    swarm::Harvest,
};

/// Answers and the ledger must be at rest by then: a session tries for 30 s.
const REST_WITHIN: Duration = Duration::from_secs(60);
/// How long the last frames may take to the last screen.
const LINGER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Findings that are told one by one.
const FINDINGS_TOLD: usize = 20;

/// How a run ended, room by room.
pub struct Verdict {
    /// Each room.
    pub rooms: Vec<RoomVerdict>,
}

pub struct RoomVerdict {
    pub room: String,
    pub harvest: Harvest,
    pub kept: usize,
    /// The room's ledger at rest.
    pub ledger: Ledger,
    /// Every breach of a promise.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Ends the run and judges it. `shard_of` is the shard of a user.
    ///
    /// # Errors
    /// [`ChaosError`] when nobody can say what is kept.
    pub async fn reach(cluster: &Cluster, crowd: Crowd, shard_of: fn(u64) -> u32) -> Result<Self, ChaosError> {
        crowd.hush();
        let deadline = Instant::now() + REST_WITHIN;
        while !crowd.is_settled() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        let rooms: Vec<String> = crowd.corners().iter().map(|corner| corner.room.clone()).collect();
        let apis = |room: &String| (0..cluster.gateways.len()).map(|at| crowd.api(cluster, at, room)).collect();
        let apis: Vec<Result<Vec<Api>, ChaosError>> = rooms.iter().map(apis).collect();
        sleep(LINGER).await;
        let harvests = block_in_place(|| crowd.leave())?;
        let mut verdicts = Vec::new();
        for (room, harvest) in harvests {
            let at = rooms.iter().position(|name| *name == room);
            let Some(apis) = at.and_then(|at| apis.get(at)) else { continue };
            let apis = match apis {
                Ok(apis) => apis.clone(),
                Err(_) => continue,
            };
            verdicts.push(block_in_place(|| judge(room, harvest, &apis, shard_of))?);
        }
        Ok(Self { rooms: verdicts })
    }

    /// All senders of all rooms.
    pub fn senders(&self) -> impl Iterator<Item = &Session> + Clone {
        self.rooms.iter().flat_map(|room| &room.harvest.senders)
    }

    /// Every breach of a promise, with its room.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let of =
            |room: &RoomVerdict| room.findings.iter().map(|one| format!("{}: {one}", room.room)).collect::<Vec<_>>();
        self.rooms.iter().flat_map(of).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for RoomVerdict { room, harvest, kept, ledger, findings } in &self.rooms {
            let sent = |is: fn(&Line) -> bool| {
                let lines = harvest.senders.iter().flat_map(Session::lines);
                lines.filter(|line| line.tries > 0 && is(line)).count()
            };
            let (acknowledged, unknown) =
                (sent(|line| matches!(line.fate, Fate::Acknowledged(_))), sent(|line| line.fate == Fate::Unknown));
            writeln!(
                f,
                "room {room}: {} sent, {acknowledged} acknowledged, {unknown} without an outcome; {kept} kept; {ledger}; \
                 {} findings",
                sent(|_| true),
                findings.len()
            )?;
            for finding in findings.iter().take(FINDINGS_TOLD) {
                writeln!(f, "  {finding}")?;
            }
        }
        Ok(())
    }
}

fn judge(room: String, harvest: Harvest, apis: &[Api], shard_of: fn(u64) -> u32) -> Result<RoomVerdict, ChaosError> {
    let acknowledged = harvest.senders.iter().flat_map(Session::lines);
    let acknowledged = acknowledged.filter(|line| matches!(line.fate, Fate::Acknowledged(_))).count();
    let (history, ledger) = at_rest(&apis[0], &room, acknowledged)?;
    let ranking = apis[0].whole_ranking(&room)?;
    let mut found = check_history(&harvest.senders, &history);
    found.extend(check_senders(&harvest.senders, &history));
    found.extend(check_slices(&history, shard_of));
    found.extend(check_ranking(&ranking, &[], &count(&history)));
    found.extend(ledger.check());
    let mut findings: Vec<String> = found.iter().map(Finding::to_string).collect();
    if ledger.logged != history.len() as u64 {
        findings.push(format!("{} danmaku are kept, and the ledger says {ledger}", history.len()));
    }
    for (gateway, api) in apis.iter().enumerate().skip(1) {
        if api.whole_history(&room)? != history || api.whole_ranking(&room)? != ranking {
            findings.push(format!("gateway {gateway} tells another history or ranking than gateway 0"));
        }
    }
    let shown_twice = harvest.totals.doubled + harvest.own_doubled;
    if shown_twice > 0 {
        findings.push(format!("{shown_twice} danmaku were shown twice on one screen"));
    }
    if harvest.totals.unreadable > 0 {
        findings.push(format!("{} frames could not be read", harvest.totals.unreadable));
    }
    let pending = harvest.senders.iter().map(Session::pending).sum::<usize>();
    if pending > 0 {
        findings.push(format!("{pending} danmaku are without an answer"));
    }
    Ok(RoomVerdict { room, harvest, kept: history.len(), ledger, findings })
}

/// The history and the ledger when both agree and hold what was acknowledged, or as they are when that takes too long.
fn at_rest(api: &Api, room: &str, acknowledged: usize) -> Result<(Vec<Kept>, Ledger), HttpError> {
    let deadline = Instant::now() + REST_WITHIN;
    loop {
        let ledger = api.room(room)?.ledger;
        let over = Instant::now() > deadline;
        let full = ledger.balance() && ledger.logged >= acknowledged as u64;
        if full || over {
            let history = api.whole_history(room)?;
            if over || history.len() as u64 == ledger.logged {
                return Ok((history, ledger));
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
