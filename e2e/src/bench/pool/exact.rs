//! Whether everything is exact: each user's score, what was logged, and the ledger.

use std::time::{Duration, Instant};

use barrage_core::{
    room::RoomId,
    store::{Counts, Store},
};
use tokio::time::sleep;

use super::inject::USERS;
use crate::bench::BenchError;

const PATIENCE: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Judgement {
    pub(super) users: usize,
    pub(super) expired: u64,
    /// Danmaku that are logged or accounted for too often or not at all, and users with another score.
    pub(super) wrong: u64,
}

impl Judgement {
    /// Adds what the store says of a room that so many danmaku were sent to.
    pub(super) fn add(&mut self, sent: u64, Kept { wrong_scores, users, logged, counts }: &Kept) {
        self.users += users;
        self.expired += counts.expired;
        self.wrong += logged.abs_diff(sent) + accounted(*counts).abs_diff(sent) + *wrong_scores as u64;
    }
}

pub(super) struct Kept {
    /// Users whose score is not what they sent.
    wrong_scores: usize,
    users: usize,
    logged: u64,
    counts: Counts,
}

/// Waits until `sent` danmaku are logged and accounted for, and compares scores.
pub(super) async fn judge(store: &Store, room: &RoomId, sent: u64, scores: &[(u64, u64)]) -> Result<Kept, BenchError> {
    let refused = BenchError::refused("reading what was kept");
    let until = Instant::now() + PATIENCE;
    let (logged, counts) = loop {
        let (ledger, logged) = store.ledger(room).await.map_err(&refused)?;
        if (logged >= sent && accounted(ledger.counts) >= sent) || Instant::now() > until {
            break (logged, ledger.counts);
        }
        sleep(BEAT).await;
    };
    let ranking = store.ranking(room, USERS).await.map_err(&refused)?;
    let mut kept: Vec<(u64, u64)> = ranking.scores.iter().map(|one| (one.user, one.score)).collect();
    kept.sort_unstable();
    Ok(Kept { wrong_scores: differing(scores, &kept), users: scores.len(), logged, counts })
}

/// Danmaku that the ledger accounts for.
fn accounted(counts: Counts) -> u64 {
    let Counts { shown, merged, sampled_out, deleted, expired, likes: _ } = counts;
    shown + merged + sampled_out + deleted + expired
}

/// Users in only one of the two, or with two scores; both are sorted by user.
fn differing(sent: &[(u64, u64)], kept: &[(u64, u64)]) -> usize {
    let same = |pair: &&(u64, u64)| kept.binary_search(pair).is_ok();
    let right = sent.iter().filter(same).count();
    (sent.len() - right).max(kept.len() - right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_differ_by_user() {
        assert_eq!(differing(&[(1, 2), (2, 1)], &[(1, 2), (2, 1)]), 0);
        assert_eq!(differing(&[(1, 2), (2, 1)], &[(1, 3), (2, 1)]), 1);
        assert_eq!(differing(&[(1, 2)], &[(1, 2), (2, 1)]), 1);
        assert_eq!(differing(&[(1, 2), (2, 1)], &[(2, 1)]), 1);
    }
}
