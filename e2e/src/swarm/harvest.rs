//! What a thread brings home, and how several threads' shares become one.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use super::{
    Swarm, SwarmError,
    received::{self, Account, Received, Totals},
};
use crate::session::Session;

pub struct Harvest {
    /// Sums over all viewers and senders.
    pub totals: Totals,
    /// From sending to receipt, ms; one value a danmaku and viewer.
    pub latency: Histogram<u64>,
    /// All senders with everything that they said.
    pub senders: Vec<Session>,
    /// Acknowledged danmaku that their own sender, connected all the time, was not shown.
    pub own_unseen: u64,
    /// Danmaku that their own sender, connected all the time, was shown twice.
    pub own_doubled: u64,
    /// One entry a viewer.
    pub viewers: Vec<Viewer>,
    /// Why connections ended or did not come to stand, with counts.
    pub ended: BTreeMap<String, u64>,
    /// How late the thread was at most with what was to be said.
    pub behind: Duration,
}

#[derive(Debug, Clone, Copy)]
pub struct Viewer {
    /// Whether it was connected all the time.
    pub steady: bool,
    /// Danmaku shown live.
    pub danmaku: u64,
    /// Danmaku that frames answered for without showing them.
    pub left_out: u64,
}

impl Harvest {
    /// An empty one, to add others to.
    ///
    /// # Errors
    /// [`SwarmError::Histogram`].
    pub fn nothing() -> Result<Self, SwarmError> {
        Ok(Self {
            totals: Totals::default(),
            latency: received::latency_histogram()?,
            senders: Vec::new(),
            own_unseen: 0,
            own_doubled: 0,
            viewers: Vec::new(),
            ended: BTreeMap::new(),
            behind: Duration::ZERO,
        })
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: Self) {
        self.totals.add(&other.totals);
        // Both have the same bounds.
        let _same_bounds = self.latency.add(&other.latency);
        self.senders.extend(other.senders);
        self.own_unseen += other.own_unseen;
        self.own_doubled += other.own_doubled;
        self.viewers.extend(other.viewers);
        for (why, count) in other.ended {
            *self.ended.entry(why).or_default() += count;
        }
        self.behind = self.behind.max(other.behind);
    }
}

impl Swarm {
    /// Takes leave, and sums up.
    pub(super) fn harvest(mut self) -> Result<Harvest, SwarmError> {
        self.received.settle();
        let Received { totals, latency, .. } = self.received;
        let mut harvest = Harvest { totals, latency, ended: self.ended, behind: self.behind, ..Harvest::nothing()? };
        for mut link in self.links {
            let steady = link.is_open() && link.connections == 1;
            if let Some(socket) = link.socket.as_mut().filter(|socket| socket.is_open()) {
                socket.close();
            }
            let Some(session) = link.session else {
                let Account { danmaku, left_out, .. } = link.account;
                harvest.viewers.push(Viewer { steady, danmaku, left_out });
                continue;
            };
            if steady {
                harvest.own_unseen += session.lines().iter().filter(|line| line.is_unseen()).count() as u64;
                harvest.own_doubled += session.lines().iter().filter(|line| line.seen > 1).count() as u64;
            }
            harvest.senders.push(session);
        }
        Ok(harvest)
    }
}
