//! Faults at random in a cluster under load: what is broken is drawn from a seed, each fault is felt by a crowd of
//! senders and watchers, and at the end everything that they were promised is checked.

mod crowd;
mod observe;
mod recovery;
mod schedule;
mod verdict;

pub use crowd::{Corner, Crowd, CrowdOptions};
pub use observe::{Felt, Screens, Window};
pub use recovery::until_well;
pub use schedule::{Draw, Shape, Strike};
pub use verdict::{RoomVerdict, Verdict};

use std::{io, time::Duration};

use thiserror::Error;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, ClusterError, Fault},
    http::HttpError,
    load::EndpointError,
    replay::ReplayError,
    swarm::{SwarmError, now_ms},
    token::TokenError,
};

#[derive(Debug, Error)]
pub enum ChaosError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A server's API.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A part of the crowd gave up.
    #[error("the crowd at gateway {gateway} in room {room} gave up: {source}")]
    Swarm { gateway: usize, room: String, source: SwarmError },
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A gateway's address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("starting a thread of the crowd: {0}")]
    Thread(#[source] io::Error),
    /// A rate of nothing, or nobody who speaks.
    #[error("a crowd of {users} users and {rate} danmaku/s is none; both have to be above 0")]
    Nobody {
        /// Users.
        users: u32,
        /// Danmaku/s.
        rate: f64,
    },
    /// A bug of the load generator.
    #[error("a thread of the crowd panicked; its message stands above")]
    Panicked,
    /// It does not get well again.
    #[error("not well again {within:?} after {after}: {ails}")]
    NotWell { after: String, within: Duration, ails: String },
}

/// How long everything may take to be well after a fault: elections, failovers and a start, on a busy machine.
pub const WELL_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// What is drawn, and when; the same seed gives the same faults.
    pub seed: u64,
    /// Times that something is broken.
    pub faults: usize,
}

impl Chaos {
    /// Breaks and heals, one after the other, waiting after each until all is well. Prints what it does.
    ///
    /// # Errors
    /// [`ChaosError`]; [`ChaosError::NotWell`] with the strike after which something stays broken.
    pub async fn wreak(&self, cluster: &mut Cluster, crowd: &Crowd) -> Result<Vec<Window>, ChaosError> {
        println!("chaos: {} faults from seed {}", self.faults, self.seed);
        let mut windows = Vec::new();
        for (number, strike) in Draw::new(self.seed, Shape::of(cluster)).take(self.faults).enumerate() {
            sleep(strike.rest).await;
            let text = strike.to_string();
            println!("chaos {}: {text}", number + 1);
            let from_ms = now_ms();
            strike.carry_out(cluster).await?;
            let healed_ms = now_ms();
            until_well(cluster, crowd, &text).await?;
            windows.push(Window { what: text, from_ms, healed_ms, well_ms: now_ms() });
        }
        Ok(windows)
    }
}

impl Strike {
    /// Breaks, holds, heals.
    async fn carry_out(&self, cluster: &mut Cluster) -> Result<(), ChaosError> {
        self.first.inject(cluster)?;
        if let Some((second, after)) = &self.second {
            sleep(*after).await;
            second.inject(cluster)?;
        }
        sleep(self.hold).await;
        // A process that starts may wait for what the other fault keeps from it: all is mended before one is waited for.
        let all = [Some(self.first), self.second.map(|(second, _)| second)];
        let (starts, others): (Vec<Fault>, Vec<Fault>) =
            all.into_iter().flatten().partition(|fault| matches!(fault, Fault::Kill(_) | Fault::Empty(_)));
        for fault in others.into_iter().chain(starts) {
            fault.heal(cluster).await?;
        }
        Ok(())
    }
}
