//! Hands the danmaku of one partition to one ranker, as long as its session lives.

use std::sync::Arc;

use tokio::time::sleep;

use super::{
    Context, RETRY_AFTER, Session,
    follow::{Followed, Source},
    progress::Progress,
};
use crate::routes::Table;

/// Runs until the session or the partition ends.
///
/// It begins at the commit: what lies behind it is accounted for, and what the ranker has seen it drops.
pub(super) async fn relay(context: Arc<Context>, source: Arc<Source>, progress: Arc<Progress>, session: Session) {
    let mut follower = source.follow(progress.committed(), &progress);
    let mut table = Arc::clone(&context.routes.borrow());
    loop {
        let poll = match follower.next().await {
            Ok(Followed::Poll(poll)) => poll,
            Ok(Followed::Rewound { to }) => {
                // How far back the store is does not matter to a ranker.
                follower.go_back(to.max(progress.committed()));
                continue;
            }
            Ok(Followed::End) => return,
            Err(error) => {
                tracing::warn!(ranker = %session.ranker, %error, "handing on is tried again");
                sleep(RETRY_AFTER).await;
                continue;
            }
        };
        let newest = Arc::clone(&context.routes.borrow());
        if !Arc::ptr_eq(&table, &newest) {
            let regrouped = ranks_others(&table, &newest);
            table = newest;
            if regrouped {
                // A room that is new to this ranker begins at what its last one has not accounted for.
                follower.go_back(progress.committed());
                continue;
            }
        }
        for candidates in poll.candidates(&table, &session.ranker) {
            if session.candidates.send(candidates).await.is_err() {
                return;
            }
        }
    }
}

fn ranks_others(old: &Table, new: &Table) -> bool {
    old.room_rankers != new.room_rankers || !old.rankers.keys().eq(new.rankers.keys())
}
