//! Ledgers in Redis: a hash for each room, beside its first slice.

use barrage_proto::Cursor;
use redis::{RedisError, cmd};

use super::{config::failed, shared::Shared};
use barrage_core::room::{RoomId, SHARDS};
use barrage_core::store::{
    StoreError,
    ledger::{Counts, Ledger},
};

/// Epoch, counts and watermark, as far as they are there.
type Fields = (Option<u64>, Option<String>, Option<Vec<u8>>);

pub(super) async fn load(shared: &Shared, room: &RoomId) -> Result<(Ledger, u64), StoreError> {
    let key = shared.keys.ledger(room);
    let read = cmd("HMGET").arg(&key).arg(&["e", "c", "w"]).to_owned();
    let fields = shared.calls.send_to_master(&key, read).await.map_err(|error| failure("read", room, &error))?;
    let mut logged = 0;
    for shard in 0..SHARDS {
        let key = shared.keys.slice(room, shard).applied;
        let read = cmd("HGET").arg(&key).arg("l").to_owned();
        let of_slice: Option<u64> =
            shared.calls.send_to_master(&key, read).await.map_err(|error| failure("read", room, &error))?;
        logged += of_slice.unwrap_or_default();
    }
    Ok((parse(room, fields)?, logged))
}

pub(super) async fn take(shared: &Shared, room: &RoomId) -> Result<Ledger, StoreError> {
    let (script, key) = (&shared.scripts.take_ledger, shared.keys.ledger(room));
    let fields = shared.calls.script::<Fields>(script, &[key], &[""; 0]).await;
    parse(room, fields.map_err(|error| failure("written", room, &error))?)
}

/// Whether the ledger is saved: not when somebody has taken it over.
pub(super) async fn save(shared: &Shared, room: &RoomId, ledger: &Ledger) -> Result<bool, StoreError> {
    let counts = serde_json::to_vec(&ledger.counts).map_err(|error| failed("written", error.to_string()))?;
    let (script, key) = (&shared.scripts.save_ledger, shared.keys.ledger(room));
    let arguments = [ledger.epoch.to_string().into_bytes(), counts, ledger.watermark.encode()];
    let saved = shared.calls.script::<bool>(script, &[key], &arguments).await;
    saved.map_err(|error| failure("written", room, &error))
}

pub(super) async fn forget(shared: &Shared, room: &RoomId) -> Result<(), StoreError> {
    let counts = serde_json::to_vec(&Counts::default()).map_err(|error| failed("written", error.to_string()))?;
    let (script, key) = (&shared.scripts.forget_ledger, shared.keys.ledger(room));
    let emptied = shared.calls.script::<()>(script, &[key], &[counts]).await;
    emptied.map_err(|error| failure("written", room, &error))
}

fn parse(room: &RoomId, (epoch, counts, watermark): Fields) -> Result<Ledger, StoreError> {
    let damaged = |error: String| failed("read", format!("the ledger of {room} is damaged: {error}"));
    let counts: Option<Counts> =
        counts.map(|counts| serde_json::from_str(&counts)).transpose().map_err(|error| damaged(error.to_string()))?;
    let watermark = watermark.map(|watermark| Cursor::decode(&watermark)).transpose();
    Ok(Ledger {
        epoch: epoch.unwrap_or_default(),
        counts: counts.unwrap_or_default(),
        watermark: watermark.map_err(|error| damaged(error.to_string()))?.unwrap_or_default(),
    })
}

fn failure(doing: &'static str, room: &RoomId, error: &RedisError) -> StoreError {
    failed(doing, format!("the ledger of {room}: {error}"))
}
