//! Users whom the rate limit that gateways share holds back.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Users of a room who have to wait, whatever their own bucket says.
#[derive(Default)]
pub(super) struct ThrottledUsers {
    /// Most rooms hold nobody back: then no lock is taken.
    any: AtomicBool,
    until: Mutex<HashMap<u64, Instant>>,
}

impl ThrottledUsers {
    pub(super) fn hold(&self, user: u64, wait: Duration) {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).insert(user, Instant::now() + wait);
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn wait(&self, user: u64) -> Option<Duration> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&user)?.checked_duration_since(Instant::now())
    }

    /// Forgets those who have waited.
    pub(super) fn forget(&self) {
        if self.any.load(Ordering::Acquire) {
            let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            until.retain(|_, until| *until > now);
            self.any.store(!until.is_empty(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_back_waits_and_is_forgotten() {
        let users = ThrottledUsers::default();
        assert_eq!(users.wait(7), None);
        users.hold(7, Duration::from_secs(60));
        users.hold(8, Duration::ZERO);
        assert!(users.wait(7).is_some_and(|wait| wait > Duration::from_secs(50)));
        assert_eq!(users.wait(9), None);
        users.forget();
        assert_eq!((users.wait(8), users.until.lock().unwrap().len()), (None, 1));
    }
}
