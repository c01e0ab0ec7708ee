//! The leaderboard equals a plain count, whatever the store includes when it is read.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn position(offset: u64) -> Position {
    Position { partition: 0, offset, index: 0 }
}

fn follow(held: &mut BTreeMap<u64, u64>, change: &BoardChange) {
    if change.reset {
        held.clear();
    }
    for user in &change.removed {
        held.remove(user);
    }
    held.extend(change.scores.iter().map(|scored| (scored.user, scored.score)));
}

/// One danmaku of a user.
const fn point(user: u64) -> Scored {
    Scored { user, score: 1 }
}

#[test]
fn nothing_is_said_before_the_store_was_read() {
    let mut board = Board::default();
    board.add(0, position(0), vec![point(7)]);
    assert_eq!(board.change(), None);
    board.refresh(&Ranking::default());
    let change = board.change().unwrap();
    assert_eq!(change, BoardChange { reset: true, scores: vec![Scored { user: 7, score: 1 }], removed: vec![] });
    assert_eq!(board.change(), None);
}

#[test]
fn who_falls_behind_the_hundredth_leaves() {
    let mut board = Board::default();
    let scores = (0..100).map(|user| Scored { user, score: 2 }).collect();
    board.refresh(&Ranking { scores, applied: Cursor::default() });
    board.change();
    for offset in 0..3 {
        board.add(0, position(offset), vec![point(1_000)]);
    }
    let change = board.change().unwrap();
    assert_eq!(change.removed, [99]);
    assert_eq!(change.scores, [Scored { user: 1_000, score: 3 }]);
    assert!(board.shows(1_000) && !board.shows(99));
}

proptest! {
    #[test]
    fn a_viewer_who_follows_the_changes_holds_the_count(
        users in prop::collection::vec(0..120_u64, 1..200),
        refreshes in prop::collection::vec((0..200_usize, 0..200_usize), 1..6),
    ) {
        let mut board = Board::default();
        let mut held = BTreeMap::new();
        for (sent, &user) in users.iter().enumerate() {
            board.add(0, position(sent as u64), vec![point(user)]);
            for (_, lag) in refreshes.iter().filter(|(at, _)| *at == sent) {
                // The store has applied all but the last `lag`.
                let applied = (sent + 1).saturating_sub(*lag);
                let mut scores: BTreeMap<u64, u64> = BTreeMap::new();
                users[..applied].iter().for_each(|&user| *scores.entry(user).or_default() += 1);
                let scores = scores.into_iter().map(|(user, score)| Scored { user, score }).collect();
                let applied = applied.checked_sub(1).map(|last| (0, position(last as u64)));
                board.refresh(&Ranking { scores, applied: applied.into_iter().collect() });
            }
            if let Some(change) = board.change() {
                follow(&mut held, &change);
            }
        }
        if board.known {
            let mut count: BTreeMap<u64, u64> = BTreeMap::new();
            users.iter().for_each(|&user| *count.entry(user).or_default() += 1);
            let mut order: Vec<_> = count.into_iter().collect();
            order.sort_by_key(|&(user, score)| (std::cmp::Reverse(score), user));
            order.truncate(BOARD_USERS);
            prop_assert_eq!(held, order.into_iter().collect());
        }
    }
}
