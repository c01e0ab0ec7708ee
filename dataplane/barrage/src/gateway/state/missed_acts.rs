//! Finds acts that a gateway was not told of. A ranker that goes on from a state, and not from the last frame that a
//! gateway has, leaves out what was done in between; the store has it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::Cursor;
use tokio::time::sleep;

use super::room_state::RoomState;
use barrage_core::{
    moderation::RoomRules,
    store::{Store, StoreError},
};

/// How often the store is asked while it is away or behind.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often it may be behind: of a slice that it has lost it never says that it has come so far.
const BEHIND_TIMES_MAX: u32 = 30;

/// Finds what was done up to where a ranker goes on from; the hub takes it with its next look.
pub(crate) async fn find(room: Arc<RoomState>, store: Store, watermark: Cursor) {
    let mut behind = 0;
    while !room.closed.load(Ordering::Relaxed) {
        match rules(&room, &store, &watermark).await {
            Ok((is_whole, rules)) if is_whole || behind >= BEHIND_TIMES_MAX => {
                room.moderation.found_missed(rules);
                return;
            }
            Ok(_) => behind += 1,
            Err(error) => {
                tracing::debug!(room = %room.id(), %error, "acts that may have been missed are not known yet")
            }
        }
        sleep(ASK_EVERY).await;
    }
}

/// The room's rules, and whether the store had applied everything up to the watermark before.
async fn rules(room: &RoomState, store: &Store, watermark: &Cursor) -> Result<(bool, RoomRules), StoreError> {
    let applied = store.ranking(room.id(), 1).await?.applied;
    Ok((applied.covers_all(watermark), store.rules(room.id()).await?))
}
