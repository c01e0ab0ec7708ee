//! The operator's connection to one pool's Kafka and Redis: it makes what the pool needs there, writes the pool's route
//! table as its only writer, and listens to the pool's heat.
//!
//! A session is a task; [`Session`] is the handle by which reconcilers speak with it. [`kafka`] is the real one; tests
//! have another that keeps the table in memory.

pub mod heat;
pub mod kafka;
pub mod plan;
mod prepare;
pub mod target;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use barrage::{
    room::RoomId,
    routes::{Table, change::Change},
};
use barrage_crds::LiveRoom;
use tokio::sync::{mpsc, oneshot, watch};

use crate::problem::{Problem, Reason};
use heat::Heard;
use plan::Expected;
pub use target::Target;

/// Rooms that wait to be written: more than are reconciled at once.
const REQUESTS_QUEUE: usize = 256;

/// A room as it shall be served, or `None` for no more.
pub struct Request {
    /// The room.
    pub id: RoomId,
    /// Its manifest.
    pub manifest: Option<LiveRoom>,
    /// Told when it is written, or why not.
    pub done: oneshot::Sender<Result<(), Problem>>,
}

/// A room that is not served any more, and of which nothing is to be left.
pub struct Forget {
    /// The room.
    pub id: RoomId,
    /// Told when nothing is left, or why something is.
    pub done: oneshot::Sender<Result<(), Problem>>,
}

/// What a session knows.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// Whether the route table can be written.
    pub stage: Stage,
    /// The route table; of epoch 0 when it is not known.
    pub table: Arc<Table>,
    /// The manifests of the rooms that are served, JSON, by room.
    pub manifests: Arc<HashMap<String, String>>,
}

/// How far a session is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stage {
    /// It has begun.
    #[default]
    Opening,
    /// It tries again and again.
    Failing(Problem),
    /// Rooms can be written.
    Open,
}

/// The handle of a session; clones share it. The session ends with the last of them.
#[derive(Clone)]
pub struct Session {
    requests: mpsc::Sender<Request>,
    forgets: mpsc::Sender<Forget>,
    news: watch::Receiver<News>,
    expected: Arc<watch::Sender<Expected>>,
    heard: Arc<Mutex<Heard>>,
}

/// The other end of a handle: what a session works with.
pub struct Ends {
    /// Rooms to be written. Closed when the last handle is gone.
    pub requests: mpsc::Receiver<Request>,
    /// Rooms to be forgotten.
    pub forgets: mpsc::Receiver<Forget>,
    /// What it knows, for the handles.
    pub news: watch::Sender<News>,
    /// Which pods there should be.
    pub expected: watch::Receiver<Expected>,
    /// What was heard on the heat topic.
    pub heard: Arc<Mutex<Heard>>,
}

impl Session {
    /// A handle and its other end.
    #[must_use]
    pub fn new(expected: Expected) -> (Self, Ends) {
        let (requests, requested) = mpsc::channel(REQUESTS_QUEUE);
        let (forgets, to_forget) = mpsc::channel(REQUESTS_QUEUE);
        let (tell, news) = watch::channel(News::default());
        let (expect, expected) = watch::channel(expected);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ends = Ends { requests: requested, forgets: to_forget, news: tell, expected, heard: Arc::clone(&heard) };
        (Self { requests, forgets, news, expected: Arc::new(expect), heard }, ends)
    }

    /// What is known now.
    #[must_use]
    pub fn news(&self) -> News {
        self.news.borrow().clone()
    }

    /// For whoever waits for news.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<News> {
        self.news.clone()
    }

    /// What was heard on the heat topic.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which pods there should be: work is given to no other.
    pub fn expect(&self, expected: Expected) {
        self.expected.send_if_modified(|current| {
            let changed = *current != expected;
            *current = expected;
            changed
        });
    }

    /// Has a room served as `manifest` says, or no more; returns when the route table holds it.
    ///
    /// # Errors
    /// Why it cannot be written now.
    pub async fn serve(&self, id: RoomId, manifest: Option<LiveRoom>) -> Result<(), Problem> {
        let (done, outcome) = oneshot::channel();
        self.requests.send(Request { id, manifest, done }).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }

    /// Removes what the store has of a room that is not served any more. A room that is served again by then stays.
    ///
    /// # Errors
    /// Why it cannot be done yet.
    pub async fn forget(&self, id: RoomId) -> Result<(), Problem> {
        let (done, outcome) = oneshot::channel();
        self.forgets.send(Forget { id, done }).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }
}

fn ended() -> Problem {
    Problem::new(Reason::RoutesUnavailable, "the connection to the pool's Kafka has ended; it is tried again")
}

/// One change for all requests that wait; of two for one room the later counts.
pub(crate) fn change_for(table: &Table, requests: &[Request]) -> Change {
    let rooms = requests.iter().map(|request| (request.id.clone(), request.manifest.clone()));
    Change { rooms: rooms.collect(), ..Change::on(table) }
}

/// What is said when an engineer has taken over.
pub(crate) fn manual() -> Problem {
    Problem::new(
        Reason::Manual,
        "an engineer has taken over the route table, so nothing is changed: `barrage routes apply --auto` gives it back",
    )
}
