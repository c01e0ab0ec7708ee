//! Senders at one gateway and viewers at another, room by room.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::Rig;
use crate::{
    bench::BenchError,
    load::{self, Chat, Endpoint, Load, LoadError, Outcome},
    swarm::{Control, Format, Script, Target},
};

/// Users of a room who send, all alike.
const USERS: u32 = 100;
/// Viewers of a room.
const VIEWERS: u32 = 10;
/// Of so many rooms each has threads of its own; of more, all together have, and in each somebody watches and a few speak.
const ROOMS_APART: usize = 16;
const USERS_OF_MANY: u32 = 2;
const VIEWERS_OF_MANY: u32 = 1;
const BEAT: Duration = Duration::from_millis(20);
/// The gateway that is sent to, and the one that is watched at.
const SENT_TO: usize = 0;
const WATCHED_AT: usize = 1;

pub(super) struct Crowd {
    watching: Vec<Side>,
    speaking: Vec<Side>,
}

/// Viewers of a room, or of several, or their senders.
struct Side {
    control: Arc<Control>,
    run: JoinHandle<Result<Outcome, LoadError>>,
}

impl Crowd {
    /// Connects viewers to all rooms; then senders, who begin at once and together send `rate` danmaku/s.
    pub(super) fn gather(rig: &Rig, rooms: &[String], rate: f64) -> Result<Self, BenchError> {
        let (together, users, viewers) = match rooms.len() {
            0..=ROOMS_APART => (1, USERS, VIEWERS),
            many => (u32::try_from(many).unwrap_or(u32::MAX), USERS_OF_MANY, VIEWERS_OF_MANY),
        };
        crate::files::allow(rooms.len() as u64 * u64::from(users + viewers))?;
        let (users, viewers, sides) = (users * together, viewers * together, rooms.chunks(together as usize));
        let mut watching = Vec::new();
        for rooms in sides.clone() {
            watching.push(Side::start(rig, WATCHED_AT, rooms, (0, viewers), None)?);
        }
        for side in &watching {
            while side.control.progress.viewers.value() < u64::from(viewers) && !side.run.is_finished() {
                thread::sleep(BEAT);
            }
        }
        let (rate, mut speaking) = (rate / sides.len() as f64, Vec::new());
        for (seed, rooms) in (1..).zip(sides) {
            let chat = Chat::new(rate, users, 0.0, seed);
            let chat = chat.ok_or_else(|| BenchError::Meaningless("a chat of nobody".to_owned()))?;
            speaking.push(Side::start(rig, SENT_TO, rooms, (users, 0), Some(Box::new(chat)))?);
        }
        Ok(Self { watching, speaking })
    }

    /// Danmaku acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.speaking.iter().map(|side| side.control.progress.acknowledged.value()).sum()
    }

    pub(super) fn forget_latency(&self) {
        self.watching.iter().for_each(|side| side.control.forget_latency());
    }

    /// Everybody leaves; what viewers measured from send to receipt, ms.
    pub(super) fn leave(self) -> Result<Histogram<u64>, BenchError> {
        self.speaking.iter().for_each(|side| side.control.hush());
        for side in self.speaking {
            side.end()?;
        }
        self.watching.iter().for_each(|side| side.control.hush());
        let mut all: Option<Histogram<u64>> = None;
        for side in self.watching {
            let latency = side.end()?.harvest.latency;
            match &mut all {
                // All have the same bounds.
                Some(all) => _ = all.add(latency),
                None => all = Some(latency),
            }
        }
        all.filter(|all| !all.is_empty()).ok_or_else(|| BenchError::Meaningless("no danmaku came back".to_owned()))
    }
}

impl Side {
    fn start(
        rig: &Rig,
        gateway: usize,
        rooms: &[String],
        (users, viewers): (u32, u32),
        script: Option<Script>,
    ) -> Result<Self, BenchError> {
        let (room, others) = rooms.split_first().ok_or_else(|| BenchError::Meaningless("no room".to_owned()))?;
        let gateway = rig.cluster.gateways[gateway].listen();
        let listen = gateway.ok_or_else(|| BenchError::Meaningless("a gateway that does not listen".to_owned()))?;
        let endpoint = Endpoint::parse(&format!("ws://{listen}"));
        let target = endpoint.and_then(|at| at.target(room)).map_err(LoadError::from)?;
        let load = Load {
            target: Target { others: others.to_vec(), ..target },
            key: Some(rig.cluster.token_key().map_err(LoadError::from)?),
            format: Format::V2,
            viewers,
            dial_rate: None,
            script,
            senders_max: users as usize,
            duration: None,
            threads: 1,
            api: None,
        };
        let control = Arc::new(Control::default());
        let conductor = Arc::clone(&control);
        Ok(Self { control, run: thread::spawn(move || load::run(load, &conductor)) })
    }

    fn end(self) -> Result<Outcome, BenchError> {
        Ok(self.run.join().map_err(|_| LoadError::Panicked)??)
    }
}
