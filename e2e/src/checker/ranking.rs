//! The ranking against a plain count.

use std::collections::{BTreeMap, HashMap};

use super::Finding;
use crate::http::{Kept, Place};

/// Danmaku by user.
pub type Scores = BTreeMap<u64, u64>;

/// Counts the history's danmaku by user.
#[must_use]
pub fn count(history: &[Kept]) -> Scores {
    let mut scores = Scores::new();
    for kept in history {
        *scores.entry(kept.user).or_default() += 1;
    }
    scores
}

/// Compares a whole ranking with the count of what came since `before`, an earlier ranking of the same room (empty
/// for a new room). Users who are in neither count as 0.
#[must_use]
pub fn check_ranking(ranking: &[Place], before: &[Place], counted: &Scores) -> Vec<Finding> {
    let mut findings = check_ranking_order(ranking);
    let earlier: HashMap<u64, u64> = before.iter().map(|place| (place.user, place.score)).collect();
    let mut ranked: Scores = counted.keys().map(|&user| (user, 0)).collect();
    for place in ranking {
        let score = place.score.saturating_sub(earlier.get(&place.user).copied().unwrap_or_default());
        ranked.insert(place.user, score);
    }
    for (user, ranked) in ranked {
        let counted = counted.get(&user).copied().unwrap_or_default();
        if counted != ranked {
            findings.push(Finding::Score { user, counted, ranked });
        }
    }
    findings
}

/// Ranks from 1 without a hole; the higher score first, of equal scores the lower user ID.
#[must_use]
pub fn check_ranking_order(ranking: &[Place]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (rank, place) in (1..).zip(ranking) {
        if place.rank != rank {
            findings.push(Finding::Rank { rank, problem: format!("says that it is {}", place.rank) });
        }
    }
    for pair in ranking.windows(2) {
        let [higher, lower] = pair else { continue };
        if (higher.score, lower.user) <= (lower.score, higher.user) {
            let problem = format!("stands above the better one of user {}", lower.user);
            findings.push(Finding::Rank { rank: higher.rank, problem });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(scores: &[(u64, u64)]) -> Vec<Place> {
        (1..).zip(scores).map(|(rank, &(user, score))| Place { rank, user, score }).collect()
    }

    #[test]
    fn a_plain_count_is_the_ranking() {
        let ranking = places(&[(4, 9), (1, 5), (2, 5)]);
        let counted = Scores::from([(1, 5), (2, 5), (4, 9)]);
        assert_eq!(check_ranking(&ranking, &[], &counted), []);
        let before = places(&[(1, 2)]);
        let since = Scores::from([(1, 3), (2, 5), (4, 9)]);
        assert_eq!(check_ranking(&ranking, &before, &since), []);
    }

    #[test]
    fn a_wrong_score_a_missing_user_and_a_stranger_are_named() {
        let counted = Scores::from([(1, 5), (3, 1)]);
        let findings = check_ranking(&places(&[(1, 6), (7, 2)]), &[], &counted);
        let expected = [
            Finding::Score { user: 1, counted: 5, ranked: 6 },
            Finding::Score { user: 3, counted: 1, ranked: 0 },
            Finding::Score { user: 7, counted: 0, ranked: 2 },
        ];
        assert_eq!(findings, expected);
    }

    #[test]
    fn wrong_order_and_wrong_ranks_are_named() {
        let wrong = |scores: &[(u64, u64)]| check_ranking_order(&places(scores)).len();
        assert_eq!(wrong(&[(1, 5), (2, 6)]), 1);
        assert_eq!(wrong(&[(2, 5), (1, 5)]), 1);
        assert_eq!(wrong(&[(1, 5), (1, 5)]), 1);
        let mut ranking = places(&[(1, 6), (2, 5)]);
        ranking[1].rank = 3;
        assert_eq!(check_ranking_order(&ranking).len(), 1);
    }
}
