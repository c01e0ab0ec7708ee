//! Rankings in Redis: slices have no user in common, so the best of a room are among the best of its slices.

use std::cmp::Reverse;

use barrage_proto::Position;
use redis::cmd;
use tokio::task::JoinSet;

use super::{apply, config::failed, shared::Shared};
use barrage_core::room::{RoomId, SHARDS};
use barrage_core::store::{
    StoreError,
    ranking::{Ranking, Scored},
};

/// Partition and offset of the last record that was applied; -1 where none was.
type Fields = (Option<u32>, Option<i64>);
/// Members of the sorted set with their scores.
type Best = Vec<(Vec<u8>, f64)>;

pub(super) async fn page(
    shared: &std::sync::Arc<Shared>,
    room: &RoomId,
    limit: u32,
    offset: u32,
) -> Result<Ranking, StoreError> {
    let wanted = u64::from(limit) + u64::from(offset);
    let mut tasks = JoinSet::new();
    for shard in 0..SHARDS {
        let (shared, keys) = (std::sync::Arc::clone(shared), shared.keys.slice(room, shard));
        tasks.spawn(async move {
            let (script, keys) = (&shared.scripts.ranking, [keys.applied, keys.rank]);
            let best = shared.calls.script::<(Fields, Best)>(script, &keys, &[wanted]).await;
            best.map(|best| (shard, best))
        });
    }
    let mut ranking = Ranking::default();
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| error.to_string()).and_then(|best| best.map_err(|error| error.to_string()));
        let (shard, (applied, best)) =
            done.map_err(|error| failed("read", format!("the ranking of {room}: {error}")))?;
        if let Some(position) = position(applied) {
            ranking.applied.advance(shard, position);
        }
        ranking.scores.extend(best.iter().filter_map(scored));
    }
    ranking.scores = best_of(ranking.scores, offset, limit);
    Ok(ranking)
}

/// Counts at replicas: a user more or less is no matter.
pub(super) async fn count(shared: &Shared, room: &RoomId, limit: u32) -> Result<u32, StoreError> {
    let mut users = 0;
    for shard in 0..SHARDS {
        let key = shared.keys.slice(room, shard).rank;
        let count = cmd("ZCARD").arg(&key).to_owned();
        let count: u64 = shared.calls.read(&key, count).await.map_err(|error| failed("read", error.to_string()))?;
        users += count;
        if users >= limit.into() {
            break;
        }
    }
    Ok(u32::try_from(users).unwrap_or(limit).min(limit))
}

/// The last record that is included.
fn position((partition, offset): Fields) -> Option<Position> {
    Some(Position { partition: partition?, offset: u64::try_from(offset?).ok()?, index: u32::MAX })
}

/// Scores are counts, far below where a double skips whole numbers (2⁵³).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn scored((member, score): &(Vec<u8>, f64)) -> Option<Scored> {
    Some(Scored { user: apply::user_of(member)?, score: *score as u64 })
}

/// The page of all slices' best.
fn best_of(mut scores: Vec<Scored>, offset: u32, limit: u32) -> Vec<Scored> {
    scores.sort_unstable_by_key(|scored| (Reverse(scored.score), scored.user));
    scores.into_iter().skip(offset as usize).take(limit as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_merged_slices_has_the_lower_of_two_equal_users_first() {
        let scores = [(5, 1), (3, 9), (9, 7), (1, 7), (2, 2)].map(|(user, score)| Scored { user, score });
        let page = best_of(scores.to_vec(), 1, 3);
        assert_eq!(page.iter().map(|scored| scored.user).collect::<Vec<_>>(), [1, 9, 2]);
    }

    #[test]
    fn a_slice_of_which_nothing_is_applied_includes_nothing() {
        let at = Position { partition: 5, offset: 0, index: u32::MAX };
        assert_eq!(position((Some(5), Some(0))), Some(at));
        assert_eq!([position((Some(5), Some(-1))), position((None, None))], [None, None]);
    }
}
