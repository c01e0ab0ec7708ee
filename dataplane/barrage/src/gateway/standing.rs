//! Whether what this gateway writes is known to count: whoever moves a slice waits only for gateways that he can hear,
//! and for no longer than a gateway can fail to hear of the move.
//!
//! A slice's old partition is closed when all gateways that were heard within ten seconds have ended the move, or ten
//! seconds after it. So a gateway that was not heard for five, or that does not know the route table of five seconds
//! ago, acknowledges nothing: its record may stand behind the closing. One that is heard again has to read the routes
//! after that, as one that has just started does.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use barrage_cluster::{membership::Beat, routes::Freshness};

/// Half of what a mover waits.
const FRESH_WITHIN: Duration = Duration::from_secs(5);

/// Clones share one.
#[derive(Clone)]
pub struct Standing(Option<Arc<Announced>>);

struct Announced {
    beat: Beat,
    freshness: Freshness,
    heard_since: Mutex<Option<Instant>>,
}

impl Standing {
    /// Of the only gateway there is, whose slices never move.
    #[must_use]
    pub const fn alone() -> Self {
        Self(None)
    }

    /// Of a gateway that has a heartbeat and follows the routes.
    #[must_use]
    pub fn announced(beat: Beat, freshness: Freshness) -> Self {
        Self(Some(Arc::new(Announced { beat, freshness, heard_since: Mutex::new(None) })))
    }

    /// Whether senders may be acknowledged now. To be called several times a second, so that no silence goes unseen.
    pub(super) fn holds(&self) -> bool {
        let Some(announced) = &self.0 else { return true };
        let Announced { beat, freshness, heard_since } = &**announced;
        let mut since = heard_since.lock().unwrap_or_else(PoisonError::into_inner);
        judge(&mut since, beat.age(), freshness.age(), Instant::now())
    }
}

/// `beat` and `routes` are the ages of the last heartbeat and of the last reading of the routes to their end.
fn judge(heard_since: &mut Option<Instant>, beat: Option<Duration>, routes: Option<Duration>, now: Instant) -> bool {
    if beat.is_none_or(|age| age > FRESH_WITHIN) {
        *heard_since = None;
        return false;
    }
    let since = *heard_since.get_or_insert(now);
    let read_after = |age| now.checked_sub(age).is_some_and(|asked| asked >= since);
    routes.is_some_and(|age| age <= FRESH_WITHIN && read_after(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_silent_reads_the_routes_again_before_it_counts() {
        let seconds = |s| Some(Duration::from_secs(s));
        let (mut since, start) = (None, Instant::now() + Duration::from_secs(60));
        let at = |s| start + Duration::from_secs(s);
        assert!(!judge(&mut since, None, seconds(0), at(0)));
        assert!(!judge(&mut since, seconds(0), seconds(1), at(1)), "read before it was heard");
        assert!(judge(&mut since, seconds(1), seconds(0), at(2)));
        assert!(judge(&mut since, seconds(5), seconds(5), at(6)));
        assert!(!judge(&mut since, seconds(6), seconds(0), at(7)), "silent");
        assert!(!judge(&mut since, seconds(0), seconds(2), at(8)), "heard again, but read before");
        assert!(judge(&mut since, seconds(0), seconds(0), at(9)));
        assert!(!judge(&mut since, seconds(0), seconds(6), at(16)), "stale");
    }
}
