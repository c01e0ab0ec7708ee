//! Hands the danmaku of one partition to one ranker, as long as its session lives.

use std::{collections::HashSet, sync::Arc};

use tokio::time::sleep;

use super::{
    Context, RETRY_AFTER, Session,
    follow::{Followed, Source},
    poll::candidates,
    progress::Progress,
};
use crate::{room::RoomId, routes::Table};

/// Runs until the session or the partition ends.
///
/// It begins at the commit: what lies behind it is accounted for, and what the ranker has seen it drops.
pub(super) async fn relay(context: Arc<Context>, source: Arc<Source>, progress: Arc<Progress>, session: Session) {
    let mut follower = source.follow(progress.committed(), &progress);
    let mut routes = context.routes.clone();
    let mut table = Arc::clone(&routes.borrow_and_update());
    // Rooms of which something was passed over because nobody served them.
    let mut passed_over: HashSet<RoomId> = HashSet::new();
    loop {
        let followed = tokio::select! {
            followed = follower.next() => Some(followed),
            // What reads behind is not interrupted: it would begin anew. Something comes soon then anyway.
            Ok(()) = routes.changed(), if !follower.is_behind() => None,
        };
        let poll = match followed {
            None | Some(Ok(Followed::Reached)) => None,
            Some(Ok(Followed::Poll(poll))) => Some(poll),
            Some(Ok(Followed::Rewound { to })) => {
                // How far back the store is does not matter to a ranker.
                follower.go_back(to.max(progress.committed()));
                continue;
            }
            Some(Ok(Followed::End)) => return,
            Some(Err(error)) => {
                tracing::warn!(ranker = %session.ranker, %error, "handing on is tried again");
                sleep(RETRY_AFTER).await;
                continue;
            }
        };
        let newest = Arc::clone(&routes.borrow_and_update());
        if !Arc::ptr_eq(&table, &newest) {
            let regrouped = ranks_others(&table, &newest);
            table = newest;
            // One that was away for a moment may be expected to be accounted for all the same.
            let returned = passed_over.iter().any(|room| table.serves(room));
            if regrouped || returned {
                // A room that is new to this ranker begins at what its last one has not accounted for.
                passed_over.clear();
                follower.go_back(progress.committed());
                continue;
            }
        }
        let Some(poll) = poll else { continue };
        for (slice, records) in &poll.slices {
            if !table.serves(&slice.0) && !passed_over.contains(&slice.0) {
                passed_over.insert(slice.0.clone());
            }
            for mut candidates in candidates(progress.partition, slice, records, &table, &session.ranker) {
                let offset = candidates.record.offset;
                (candidates.trace, candidates.payload) = (poll.trace(offset), poll.payload(offset));
                if session.candidates.send(candidates).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn ranks_others(old: &Table, new: &Table) -> bool {
    old.room_rankers != new.room_rankers || !old.rankers.keys().eq(new.rankers.keys())
}
