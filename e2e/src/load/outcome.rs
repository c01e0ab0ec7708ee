//! What a run brought in, before it is judged.

use std::time::Duration;

use crate::{
    checker::{Finding, Ledger, check_history, check_ranking, count},
    http::{Kept, Place},
    swarm::Harvest,
};

/// A run as it was.
pub struct Outcome {
    pub harvest: Harvest,
    /// What the server kept, unless nobody asked.
    pub checked: Option<Checked>,
    /// From the first danmaku, or the last viewer's joining, to the end.
    pub time: Duration,
}

pub struct Checked {
    /// All danmaku of the run and of others meanwhile, oldest first.
    pub history: Vec<Kept>,
    /// The room's ledger before and after.
    pub ledger: (Ledger, Ledger),
    /// Ranking of the room before and after.
    pub ranking: (Vec<Place>, Vec<Place>),
}

impl Outcome {
    /// Every breach of a promise that the run shows, named; nothing where nothing was checked.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let Some(Checked { history, ledger, ranking }) = &self.checked else {
            return Vec::new();
        };
        let mut findings = check_history(&self.harvest.senders, history);
        findings.extend(check_ranking(&ranking.1, &ranking.0, &count(history)));
        findings.extend(ledger.1.check());
        findings
    }
}
