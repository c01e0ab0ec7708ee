//! Finding in the history of a slice: a danmaku by its ID, and where a time begins.

use std::sync::Arc;

use barrage_proto::{Cursor, Position};
use tokio::task::JoinSet;

use super::{config::failed, history::Read, rules, shared::Shared};
use barrage_core::room::{RoomId, SHARDS};
use barrage_core::store::{HistoryItem, StoreError};

/// A danmaku by its ID.
pub(super) async fn find(
    shared: &Shared,
    room: &RoomId,
    shard: u32,
    id: Position,
) -> Result<Option<HistoryItem>, StoreError> {
    let keys = shared.keys.slice(room, shard);
    let rules = rules::of_key(shared, &keys.rules).await?;
    let read = Read { shared, key: &keys.hist, shard, limit: 1, rules };
    Ok(read.block_of(id).await?.into_iter().find(|item| item.position == id))
}

/// The cursor that covers what was received before a time.
pub(super) async fn cursor_at(shared: &Arc<Shared>, room: &RoomId, at_ms: i64) -> Result<Cursor, StoreError> {
    let mut tasks = JoinSet::new();
    for shard in 0..SHARDS {
        let (shared, keys) = (Arc::clone(shared), shared.keys.slice(room, shard));
        tasks.spawn(async move {
            let rules = barrage_core::moderation::Rules::default();
            let read = Read { shared: &shared, key: &keys.hist, shard, limit: 1, rules };
            before(&read, at_ms).await.map(|covered| (shard, covered))
        });
    }
    let mut cursor = Cursor::default();
    while let Some(done) = tasks.join_next().await {
        let (shard, covered) = done.map_err(|error| failed("read", error.to_string())).flatten()?;
        if let Some(covered) = covered {
            cursor.advance(shard, covered);
        }
    }
    Ok(cursor)
}

/// The end of the last block that was received before a time, searched by halves: receipt times rise with IDs, but for
/// the differences between gateways' clocks.
async fn before(read: &Read<'_>, at_ms: i64) -> Result<Option<Position>, StoreError> {
    let Some(last) = read.last().await? else { return Ok(None) };
    let (mut low, mut high, mut covered) = (0, last.offset + 1, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let from = Position { offset: middle, ..Position::default() };
        match read.end_from(from).await?.filter(|(end, _)| end.offset < high) {
            Some((end, received_ms)) if received_ms < at_ms => (low, covered) = (end.offset + 1, Some(end)),
            Some(_) | None => high = middle,
        }
    }
    Ok(covered)
}
