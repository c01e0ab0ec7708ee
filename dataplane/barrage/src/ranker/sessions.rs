//! The consumers and gateways that have dialled a ranker, and whose candidates count.

use std::collections::HashMap;

use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use barrage_core::link::{Accounted, Candidates};

/// Consumers that are linked.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) tasks: JoinSet<u64>,
    pub(super) open: HashMap<u64, CancellationToken>,
    pub(super) accounted: HashMap<u64, mpsc::Sender<Accounted>>,
    /// Highest epoch that each partition's candidates came under, and the session that they came by.
    owners: HashMap<u32, (u64, u64)>,
    pub(super) gateways: JoinSet<()>,
    pub(super) begun: u64,
}

impl Sessions {
    /// Whether a session may offer this: candidates of a partition come from one owner, the newest.
    pub(super) fn takes(&mut self, session: u64, candidates: &Candidates) -> bool {
        let (epoch, owner) = self.owners.entry(candidates.record.partition).or_default();
        if candidates.owner_epoch < *epoch {
            return false;
        }
        (*epoch, *owner) = (candidates.owner_epoch, session);
        true
    }

    pub(super) fn accounted(&self, partition: u32) -> Option<&mpsc::Sender<Accounted>> {
        let (_, session) = self.owners.get(&partition)?;
        self.accounted.get(session)
    }

    /// Ends all sessions: consumers dial again and send what is not accounted for.
    pub(super) fn send_again(&mut self) {
        self.open.values().for_each(CancellationToken::cancel);
        self.accounted.clear();
    }
}
