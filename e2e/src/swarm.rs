//! Thousands of viewers and senders in one thread: one epoll loop, one shared read buffer, a few hundred bytes for
//! each. Viewers get equal bytes, so a message is decoded once and then only counted.

mod control;
mod dialing;
mod harvest;
mod link;
mod message;
mod received;
mod seen;
mod socket;
mod speaking;

pub use control::{Control, Gauge, Progress};
pub use harvest::{Harvest, Viewer};
pub use message::Format;
pub use received::Totals;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    io,
    iter::Peekable,
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use barrage_proto::v2::Encoder;
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token, event::Event};
use thiserror::Error;

use crate::token::{TokenError, TokenKey};
use link::Link;
use received::Received;
use socket::Ended;

/// Read buffer of a thread.
const BUFFER_BYTES: usize = 64 * 1024;
/// Events taken at a time.
const EVENTS: usize = 1024;
/// The longest sleep, so that the conductor's word is heard.
const NAP: Duration = Duration::from_millis(20);
const LATENCY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Target {
    /// Resolved address.
    pub address: SocketAddr,
    /// `HOST:PORT` for the `Host` header.
    pub host: String,
    /// Room ID.
    pub room: String,
    /// More rooms: users are spread over all of them by their IDs.
    pub others: Vec<String>,
}

impl Target {
    /// The room of a user.
    #[must_use]
    pub fn room_of(&self, user: u64) -> &str {
        let rooms = self.others.len() as u64 + 1;
        let other = (user % rooms).checked_sub(1).and_then(|other| usize::try_from(other).ok());
        other.and_then(|other| self.others.get(other)).unwrap_or(&self.room)
    }
}

/// Something to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When, since the beginning.
    pub at: Duration,
    /// By whom.
    pub user: u64,
    pub content: String,
}

/// Things to be said, by time.
pub type Script = Box<dyn Iterator<Item = Said> + Send>;

pub struct Plan {
    pub target: Target,
    /// Signs the tokens; without it nobody has one.
    pub key: Option<TokenKey>,
    /// What viewers speak. Senders always speak v2.
    pub format: Format,
    /// User IDs of the viewers.
    pub viewers: Range<u64>,
    /// Connections started per second; without it as fast as the server answers.
    pub dial_rate: Option<f64>,
    pub script: Option<Script>,
    /// Senders that are connected at one time.
    pub senders_max: usize,
}

#[derive(Debug, Error)]
pub enum SwarmError {
    /// The system refuses an event queue, or sockets.
    #[error("setting up the event loop of the load generator: {0}")]
    Setup(#[source] io::Error),
    /// The server will refuse the next try just so.
    #[error("{0}; check --room, --data and --url")]
    Refused(String),
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The histogram's bounds.
    #[error("setting up the latency histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// Runs one thread's share until the conductor says that it is over.
///
/// # Errors
/// [`SwarmError`]; a server that is away is none, it is dialed again.
pub fn run(plan: Plan, control: Arc<Control>) -> Result<Harvest, SwarmError> {
    let mut poll = Poll::new().map_err(SwarmError::Setup)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut swarm = Swarm::new(plan, control, &poll)?;
    while !swarm.control.is_finished() {
        let now = Instant::now();
        swarm.speak(now)?;
        swarm.wake(now)?;
        swarm.dial(now)?;
        swarm.publish(now);
        match poll.poll(&mut events, Some(swarm.sleep(now))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(SwarmError::Setup(error));
            }
            _ => {}
        }
        for event in &events {
            swarm.ready(event)?;
        }
    }
    swarm.harvest()
}

struct Swarm {
    registry: mio::Registry,
    control: Arc<Control>,
    target: Target,
    key: Option<TokenKey>,
    dial_rate: Option<f64>,
    script: Option<Peekable<Script>>,
    senders_max: usize,
    encoder: Encoder,
    buffer: Vec<u8>,
    links: Vec<Link>,
    link_of: HashMap<u64, usize>,
    received: Received,
    wakes: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Links to be dialed.
    dials: VecDeque<usize>,
    /// Connections that do not stand yet.
    dialing: usize,
    /// Connections started so far, and since when, for the rate.
    dialed: (u64, Instant),
    /// Senders that wait for another to leave.
    waiting: VecDeque<usize>,
    /// Senders that hold a connection or are to get one.
    senders: usize,
    /// Where the search for a sender that can leave goes on.
    leaving: usize,
    /// Danmaku that are not settled.
    unsettled: usize,
    began: Option<Instant>,
    behind: Duration,
    settled: bool,
    ended: BTreeMap<String, u64>,
    published: Totals,
    latency_at: Instant,
    latency_before: Histogram<u64>,
    /// See [`Control::forget_latency`].
    latency_begun: u64,
}

impl Swarm {
    fn new(plan: Plan, control: Arc<Control>, poll: &Poll) -> Result<Self, SwarmError> {
        let now = Instant::now();
        let received = Received::new(plan.format)?;
        let latency_before = received.latency.clone();
        let mut swarm = Self {
            registry: poll.registry().try_clone().map_err(SwarmError::Setup)?,
            control,
            target: plan.target,
            key: plan.key,
            dial_rate: plan.dial_rate,
            script: plan.script.map(Iterator::peekable),
            senders_max: plan.senders_max.max(1),
            encoder: Encoder::plain(),
            buffer: vec![0; BUFFER_BYTES],
            links: Vec::new(),
            link_of: HashMap::new(),
            received,
            wakes: BinaryHeap::new(),
            dials: VecDeque::new(),
            dialing: 0,
            dialed: (0, now),
            waiting: VecDeque::new(),
            senders: 0,
            leaving: 0,
            unsettled: 0,
            began: None,
            behind: Duration::ZERO,
            settled: false,
            ended: BTreeMap::new(),
            published: Totals::default(),
            latency_at: now,
            latency_before,
            latency_begun: 0,
        };
        for user in plan.viewers {
            swarm.links.push(Link::viewer(user, plan.format, now));
            swarm.want(swarm.links.len() - 1, now);
        }
        Ok(swarm)
    }

    /// Takes what a connection has for us.
    fn ready(&mut self, event: &Event) -> Result<(), SwarmError> {
        let Token(at) = event.token();
        let link = &mut self.links[at];
        let Some(socket) = &mut link.socket else {
            return Ok(());
        };
        let was_open = socket.is_open();
        let mut replies = Vec::new();
        let (received, account) = (&mut self.received, &mut link.account);
        let outcome = socket.advance(event, &mut self.buffer, &mut |message| {
            received.take(message, now_ms(), account, &mut replies);
        });
        let is_open = socket.is_open();
        if !was_open && is_open {
            self.opened(at);
        }
        self.answer(at, &replies);
        if self.links[at].socket.is_none() {
            // It had its answers and made room for another.
            return Ok(());
        }
        match outcome {
            Ok(bytes) => {
                // The handshake is no part of what a danmaku costs.
                self.control.progress.bytes.add(if was_open { bytes as u64 } else { 0 });
                if was_open != is_open || !replies.is_empty() {
                    self.serve(at)?;
                }
                Ok(())
            }
            Err(ended) => self.lost(at, &ended),
        }
    }

    fn sleep(&mut self, now: Instant) -> Duration {
        let until = |at: Instant| at.saturating_duration_since(now);
        let wake = self.wakes.peek().map_or(NAP, |Reverse((at, _))| until(*at));
        let said = match (self.began, self.script.as_mut().and_then(Peekable::peek)) {
            (Some(began), Some(said)) => until(began + said.at),
            _ => NAP,
        };
        NAP.min(wake).min(said)
    }

    fn publish(&mut self, now: Instant) {
        let progress = &self.control.progress;
        let totals = self.received.totals;
        progress.messages.add(totals.messages - self.published.messages);
        progress.danmaku.add(totals.danmaku - self.published.danmaku);
        self.published = totals;
        if self.latency_begun != self.control.latency_begun() {
            self.latency_begun = self.control.latency_begun();
            self.received.settle();
            self.received.latency.reset();
            self.latency_before.reset();
        }
        if now < self.latency_at + LATENCY_EVERY {
            return;
        }
        self.latency_at = now;
        self.received.settle();
        let mut recent = self.received.latency.clone();
        // Both have the same bounds, and the earlier one is contained in the later one.
        if recent.subtract(&self.latency_before).is_ok() && !recent.is_empty() {
            progress.latency_ms_p50.set(recent.value_at_quantile(0.5));
            progress.latency_ms_p99.set(recent.value_at_quantile(0.99));
        }
        self.latency_before = self.received.latency.clone();
    }
}

/// Unix time, ms.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
