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

use barrage_core::{
    room::RoomId,
    routes::{Table, change::Change},
};
use barrage_crds::RoomManifest;
use tokio::sync::{mpsc, oneshot, watch};

use crate::problem::{Problem, Reason};
use heat::Heard;
use plan::Expected;
pub use target::Target;

/// Rooms that wait to be written: more than are reconciled at once.
const REQUESTS_QUEUE: usize = 256;

/// A room as it shall be served, or `None` for no more.
pub struct Request {
    pub id: RoomId,
    pub manifest: Option<RoomManifest>,
    /// Told when it is written, or why not.
    pub done: oneshot::Sender<Result<(), Problem>>,
}

/// Rooms of which nothing is to be left, and how far that is.
pub type Forgets = HashMap<RoomId, Forgetting>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgetting {
    /// Asked for; with why the last try failed.
    Asked(Option<Problem>),
    /// It is tried now; with why the last try failed.
    Underway(Option<Problem>),
    /// The last try failed; nobody has asked since.
    Failed(Problem),
    /// Nothing is left.
    Done,
}

#[derive(Debug, Clone, Default)]
pub struct News {
    /// Whether the route table can be written.
    pub stage: Stage,
    /// The route table; of epoch 0 when it is not known.
    pub table: Arc<Table>,
    /// The manifests of the rooms that are served, JSON, by room.
    pub manifests: Arc<HashMap<String, String>>,
}

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
    forgets: Arc<watch::Sender<Forgets>>,
    news: watch::Receiver<News>,
    expected: Arc<watch::Sender<Expected>>,
    heard: Arc<Mutex<Heard>>,
}

/// The other end of a handle: what a session works with.
pub struct Ends {
    /// Rooms to be written. Closed when the last handle is gone.
    pub requests: mpsc::Receiver<Request>,
    /// Rooms to be forgotten.
    pub forgets: Arc<watch::Sender<Forgets>>,
    /// What it knows, for the handles.
    pub news: watch::Sender<News>,
    pub expected: watch::Receiver<Expected>,
    pub heard: Arc<Mutex<Heard>>,
}

impl Session {
    /// A handle and its other end.
    #[must_use]
    pub fn new(expected: Expected) -> (Self, Ends) {
        let (requests, requested) = mpsc::channel(REQUESTS_QUEUE);
        let forgets = Arc::new(watch::channel(Forgets::new()).0);
        let (tell, news) = watch::channel(News::default());
        let (expect, expected) = watch::channel(expected);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ends = Ends {
            requests: requested,
            forgets: Arc::clone(&forgets),
            news: tell,
            expected,
            heard: Arc::clone(&heard),
        };
        (Self { requests, forgets, news, expected: Arc::new(expect), heard }, ends)
    }

    #[must_use]
    pub fn news(&self) -> News {
        self.news.borrow().clone()
    }

    /// For whoever waits for news.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<News> {
        self.news.clone()
    }

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
    pub async fn serve(&self, id: RoomId, manifest: Option<RoomManifest>) -> Result<(), Problem> {
        let (done, outcome) = oneshot::channel();
        self.requests.send(Request { id, manifest, done }).await.map_err(|_| ended())?;
        outcome.await.map_err(|_| ended())?
    }

    /// Has what the store has of a room removed, which is not served any more. A room that is served again by then stays.
    /// Does not wait: ask again until it is done.
    ///
    /// # Errors
    /// Why it is not done yet.
    pub fn forget(&self, id: &RoomId) -> Result<(), Problem> {
        let begun = Problem::new(Reason::Deleting, "viewers have been sent away; what was said is being removed");
        let mut outcome = Err(begun);
        self.forgets.send_if_modified(|forgets| {
            let last = match forgets.remove(id) {
                Some(Forgetting::Done) => {
                    outcome = Ok(());
                    return false;
                }
                Some(Forgetting::Failed(problem)) => Some(problem),
                Some(known @ (Forgetting::Asked(_) | Forgetting::Underway(_))) => {
                    if let Forgetting::Asked(Some(problem)) | Forgetting::Underway(Some(problem)) = &known {
                        outcome = Err(problem.clone());
                    }
                    forgets.insert(id.clone(), known);
                    return false;
                }
                None => None,
            };
            if let Some(problem) = &last {
                outcome = Err(problem.clone());
            }
            forgets.insert(id.clone(), Forgetting::Asked(last));
            true
        });
        outcome
    }
}

impl Ends {
    /// Rooms that somebody wants forgotten; from now on they are under way.
    pub fn take_forgets(&self) -> Vec<RoomId> {
        let mut taken = Vec::new();
        self.forgets.send_if_modified(|forgets| {
            for (id, forgetting) in forgets.iter_mut() {
                if let Forgetting::Asked(last) = forgetting {
                    *forgetting = Forgetting::Underway(last.take());
                    taken.push(id.clone());
                }
            }
            false
        });
        taken
    }
}

pub fn forgotten(forgets: &watch::Sender<Forgets>, rooms: &[RoomId], outcome: &Result<(), Problem>) {
    forgets.send_modify(|forgets| {
        for id in rooms {
            let forgetting = match outcome {
                Ok(()) => Forgetting::Done,
                Err(problem) => Forgetting::Failed(problem.clone()),
            };
            forgets.insert(id.clone(), forgetting);
        }
    });
}

fn ended() -> Problem {
    Problem::new(Reason::RoutesUnavailable, "the connection to the pool's Kafka has ended; it is tried again")
}

/// One change for all requests that wait; of two for one room the later counts.
pub(crate) fn change_for(table: &Table, requests: &[Request]) -> Change {
    let rooms = requests.iter().map(|request| (request.id.clone(), request.manifest.clone()));
    Change { rooms: rooms.collect(), ..Change::on(table) }
}

pub(crate) fn manual() -> Problem {
    Problem::new(
        Reason::Manual,
        "an engineer has taken over the route table, so nothing is changed: \
         `barrage routes show -o file | barrage routes apply -f - --auto` gives it back",
    )
}
