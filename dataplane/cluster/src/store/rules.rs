//! What moderation came to in the slices of a room: one value a slice, written by the script that applies records, made
//! here. Read at masters: what was acknowledged as removed must not come back from a replica that is behind.

use std::sync::Arc;

use redis::cmd;
use tokio::task::JoinSet;

use super::{config::failed, keys::SliceKeys, shared::Shared};
use barrage_core::store::{SliceBatch, SliceRecord, StoreError};
use barrage_core::{
    moderation::{RoomRules, Rules},
    room::{RoomId, SHARDS},
};

/// What a slice's rules come to with these records, and the version that they were made from.
pub(super) async fn with(
    shared: &Shared,
    keys: &SliceKeys,
    batch: &SliceBatch,
    records: &[SliceRecord],
) -> Result<(u64, Vec<u8>), StoreError> {
    // The version first: if both change meanwhile, the script finds another one.
    let read = cmd("HGET").arg(&keys.applied).arg("v").to_owned();
    let version: Option<u64> =
        shared.calls.send_to_master(&keys.applied, read).await.map_err(|error| failed("read", error.to_string()))?;
    let mut rules = of_key(shared, &keys.rules).await?;
    for one in records {
        rules.follow(&one.record, batch.partition, one.offset);
    }
    Ok((version.unwrap_or_default(), rules.encode()))
}

/// The rules of all slices that have any.
pub(super) async fn of_room(shared: &Arc<Shared>, room: &RoomId) -> Result<RoomRules, StoreError> {
    let mut tasks = JoinSet::new();
    for shard in 0..SHARDS {
        let (shared, key) = (Arc::clone(shared), shared.keys.slice(room, shard).rules);
        tasks.spawn(async move { of_key(&shared, &key).await.map(|rules| (shard, rules)) });
    }
    let mut of_room = RoomRules::default();
    while let Some(done) = tasks.join_next().await {
        let (shard, rules) = done.map_err(|error| failed("read", error.to_string())).flatten()?;
        if rules.through().is_some() {
            of_room.learn(shard, rules);
        }
    }
    Ok(of_room)
}

/// The rules at a key; none where there is no such key.
pub(super) async fn of_key(shared: &Shared, key: &str) -> Result<Rules, StoreError> {
    let read = cmd("GET").arg(key).to_owned();
    let stored: Option<Vec<u8>> =
        shared.calls.send_to_master(key, read).await.map_err(|error| failed("read", format!("{key}: {error}")))?;
    let Some(stored) = stored else { return Ok(Rules::default()) };
    Rules::decode(&stored).map_err(|error| failed("read", format!("{key} is damaged: {error}")))
}
