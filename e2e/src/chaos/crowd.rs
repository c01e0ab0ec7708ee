//! Senders and watchers on every gateway in every room, each group a swarm of its own, so that what one sees is known.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::ChaosError;
use crate::{
    cluster::Cluster,
    http::Api,
    load::{Chat, Endpoint, Pace, Replay},
    replay,
    swarm::{self, Control, Format, Harvest, Plan, Script, SwarmError},
    token::{Claims, TokenKey},
};

/// User IDs of watchers: far from those of senders.
const WATCHER_BASE: u64 = 1 << 40;
/// Some talk much, most talk little.
const EXPONENT: f64 = 1.0;

#[derive(Debug, Clone)]
pub struct CrowdOptions {
    pub rooms: Vec<String>,
    /// Danmaku/s of all together.
    pub rate: f64,
    /// Users who talk, in each room at each gateway.
    pub users: u32,
    /// Watchers, in each room at each gateway.
    pub watchers: u32,
    /// Seed of texts and activity.
    pub seed: u64,
    /// Played over and over in the first room, instead of made-up texts.
    pub recording: Option<PathBuf>,
}

/// Everybody.
pub struct Crowd {
    corners: Vec<Corner>,
    key: TokenKey,
}

/// Those in one room at one gateway.
pub struct Corner {
    /// Number of the gateway.
    pub gateway: usize,
    pub room: String,
    /// How it goes, as it goes.
    pub control: Arc<Control>,
    thread: JoinHandle<Result<Harvest, SwarmError>>,
}

impl Crowd {
    /// Lets everybody in, and speak.
    ///
    /// # Errors
    /// [`ChaosError`] of the options; a gateway that is away is none.
    pub fn gather(cluster: &Cluster, options: &CrowdOptions) -> Result<Self, ChaosError> {
        let key = cluster.token_key()?;
        let places = options.rooms.iter().flat_map(|room| (0..cluster.gateways.len()).map(move |at| (room, at)));
        let places: Vec<_> = places.collect();
        let mut crowd = Self { corners: Vec::new(), key: key.clone() };
        for (number, &(room, gateway)) in places.iter().enumerate() {
            let (number, count) = (number as u64, places.len() as u64);
            let first = WATCHER_BASE + number * u64::from(options.watchers);
            let plan = Plan {
                target: Endpoint::parse(&url(cluster, gateway))?.target(room)?,
                key: Some(key.clone()),
                format: Format::V2,
                viewers: first..first + u64::from(options.watchers),
                dial_rate: None,
                script: Some(script(options, room, number, count)?),
                senders_max: options.users as usize,
            };
            let control = Arc::new(Control::default());
            control.speak();
            let swarm = Arc::clone(&control);
            let spawned = thread::Builder::new().name(format!("crowd {room}")).spawn(move || swarm::run(plan, swarm));
            let thread = spawned.map_err(ChaosError::Thread)?;
            crowd.corners.push(Corner { gateway, room: room.clone(), control, thread });
        }
        Ok(crowd)
    }

    /// All groups.
    #[must_use]
    pub fn corners(&self) -> &[Corner] {
        &self.corners
    }

    /// A gateway's API, read as somebody who may read this room.
    ///
    /// # Errors
    /// [`ChaosError::Token`].
    pub fn api(&self, cluster: &Cluster, gateway: usize, room: &str) -> Result<Api, ChaosError> {
        let token = self.key.mint(&Claims::viewer(room, 1))?;
        Ok(Api::new(&url(cluster, gateway)).with_token(token))
    }

    /// Nobody starts anything new; what is under way is brought to its end.
    pub fn hush(&self) {
        self.corners.iter().for_each(|corner| corner.control.hush());
    }

    /// Whether everybody has all answers, once hushed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.corners.iter().all(|corner| corner.control.progress.settled.value() > 0 || corner.has_given_up())
    }

    /// Everybody leaves; what they brought in, by room.
    ///
    /// # Errors
    /// [`ChaosError::Swarm`], [`ChaosError::Panicked`].
    pub fn leave(self) -> Result<Vec<(String, Harvest)>, ChaosError> {
        self.corners.iter().for_each(|corner| corner.control.finish());
        let mut rooms: Vec<(String, Harvest)> = Vec::new();
        for Corner { gateway, room, thread, .. } in self.corners {
            let harvest = thread.join().map_err(|_| ChaosError::Panicked)?;
            let gave_up = |source| ChaosError::Swarm { gateway, room: room.clone(), source };
            let harvest = harvest.map_err(gave_up)?;
            match rooms.iter_mut().find(|(name, _)| *name == room) {
                Some((_, all)) => all.add(harvest),
                None => rooms.push((room, harvest)),
            }
        }
        Ok(rooms)
    }
}

impl Corner {
    /// Whether it ended before it was told to; [`Crowd::leave`] says why.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.thread.is_finished()
    }
}

fn url(cluster: &Cluster, gateway: usize) -> String {
    cluster.gateways[gateway].listen().map_or_else(String::new, |listen| format!("http://{listen}"))
}

/// What the `number`-th of `count` groups says. No user is in two: across connections nobody promises an order.
fn script(options: &CrowdOptions, room: &str, number: u64, count: u64) -> Result<Script, ChaosError> {
    let rate = options.rate / count as f64;
    let recording = options.recording.as_ref().filter(|_| options.rooms.first().is_some_and(|first| first == room));
    let own = move |mut said: swarm::Said| {
        said.user = said.user.wrapping_mul(count).wrapping_add(number);
        said
    };
    match recording {
        Some(file) => Ok(Box::new(Replay::new(replay::read(file)?.danmaku, Pace::Rate(rate), true).map(own))),
        None => {
            let chat = Chat::new(rate, options.users, EXPONENT, options.seed.wrapping_add(number));
            let chat = chat.ok_or(ChaosError::Nobody { users: options.users, rate: options.rate })?;
            Ok(Box::new(chat.map(own)))
        }
    }
}
