//! The sessions with all pools, one a pool, for as long as the pool is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::session::{Session, Target, plan::Expected};

/// Begins a session: with a real Kafka, or in a test.
pub type Open = Arc<dyn Fn(Target, Expected) -> Session + Send + Sync>;

/// All sessions, by the pool's UID.
pub struct Sessions {
    open: Open,
    all: Mutex<HashMap<String, (Target, Session)>>,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(open: Open) -> Self {
        Self { open, all: Mutex::default() }
    }

    /// The session of a pool: the one there is if it goes to the same place, else a new one.
    pub fn ensure(&self, uid: &str, target: Target, expected: Expected) -> Session {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, session)) = all.get(uid)
            && *known == target
        {
            session.expect(expected);
            return session.clone();
        }
        let session = (self.open)(target.clone(), expected);
        all.insert(uid.to_owned(), (target, session.clone()));
        session
    }

    /// The session of a pool, if there is one.
    #[must_use]
    pub fn find(&self, uid: &str) -> Option<Session> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(uid).map(|(_, session)| session.clone())
    }

    /// Ends the sessions of pools that are not among these.
    pub fn retain(&self, uids: &[String]) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| uids.contains(uid));
    }

    /// Ends the session of a pool.
    pub fn end(&self, uid: &str) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
