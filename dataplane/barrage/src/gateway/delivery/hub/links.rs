//! Sessions with rankers, and which rooms are followed by which.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::subscription::RoomSubscription;
use barrage_core::{
    link::{Following, Peer, Request, Update},
    room::RoomId,
    routes::Table,
};

/// Updates of all sessions that wait for the hub.
const EVENTS_QUEUE: usize = 1_024;

pub(super) enum Event {
    Update(Update),
    /// It is over.
    Ended(u64),
}

/// All sessions.
pub(super) struct Links {
    sessions: HashMap<Peer, Session>,
    begun: u64,
    sender: mpsc::Sender<Event>,
    pub(super) events: mpsc::Receiver<Event>,
}

struct Session {
    id: u64,
    requests: mpsc::Sender<Request>,
}

impl Default for Links {
    fn default() -> Self {
        let (sender, events) = mpsc::channel(EVENTS_QUEUE);
        Self { sessions: HashMap::new(), begun: 0, sender, events }
    }
}

impl Links {
    pub(super) fn begin(&mut self, session: Following) {
        self.begun += 1;
        let id = self.begun;
        let Following { ranker, requests, mut updates } = session;
        tracing::info!(%ranker, "linked");
        self.sessions.insert(ranker, Session { id, requests });
        let events = self.sender.clone();
        tokio::spawn(async move {
            while let Some(update) = updates.recv().await {
                if events.send(Event::Update(update)).await.is_err() {
                    return;
                }
            }
            // The hub is gone: nobody wants to know.
            let _ = events.send(Event::Ended(id)).await;
        });
    }

    pub(super) fn end(&mut self, id: u64) {
        self.sessions.retain(|ranker, session| {
            if session.id == id {
                tracing::warn!(%ranker, "link ended");
            }
            session.id != id
        });
    }

    /// Asks the room's ranker for what comes behind the last frame, unless it was asked on this session.
    pub(super) fn follow(&self, room: &RoomId, subscription: &mut RoomSubscription, table: &Table) {
        let session = table.ranker_of(room).and_then(|ranker| self.sessions.get(ranker));
        let Some(session) = session else {
            subscription.session = None;
            return;
        };
        if subscription.session == Some(session.id) {
            return;
        }
        self.unfollow(room, subscription);
        let (epoch, number) = subscription.last;
        let request = Request::Follow { room: room.clone(), epoch, number };
        // Full: asked again in a second.
        subscription.session = session.requests.try_send(request).is_ok().then_some(session.id);
        // Who ranks now has not heard how many watch.
        subscription.told_viewers = 0;
    }

    /// Tells a ranker that the room is no longer followed.
    pub(super) fn unfollow(&self, room: &RoomId, subscription: &RoomSubscription) {
        if let Some(session) = self.session_of(subscription) {
            // Full: it goes on being told, and what it says is passed over.
            let _ = session.requests.try_send(Request::Unfollow { room: room.clone() });
        }
    }

    /// Tells the ranker what has arrived.
    pub(super) fn seen(&self, room: &RoomId, subscription: &RoomSubscription, viewers: u32) {
        let (epoch, number) = subscription.last;
        if let Some(session) = self.session_of(subscription) {
            // Full: the next one says it, too.
            let _ = session.requests.try_send(Request::Seen { room: room.clone(), epoch, number, viewers });
        }
    }

    /// Rankers of the table without a session, as text.
    pub(super) fn missing(&self, table: &Table) -> String {
        let missing = table.rankers.keys().filter(|ranker| !self.sessions.contains_key(*ranker));
        missing.map(|ranker| &**ranker).collect::<Vec<_>>().join(", ")
    }

    fn session_of(&self, subscription: &RoomSubscription) -> Option<&Session> {
        self.sessions.values().find(|session| Some(session.id) == subscription.session)
    }
}
