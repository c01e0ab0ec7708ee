//! Acts that a gateway was not told of. A ranker that goes on from a state, and not from the last frame that a gateway
//! has, leaves out what was done in between; the store has it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::{Cursor, Position, log};
use tokio::time::sleep;

use super::{super::encode::Content, Moderated, lock};
use crate::gateway::served::ServedRoom;
use barrage_core::{
    moderation::{Act, RoomRules},
    room::Room,
    store::{Store, StoreError},
};

/// How often the store is asked while it is away or behind.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often it may be behind: of a slice that it has lost it never says that it has come so far.
const BEHIND_TIMES_MAX: u32 = 30;

/// Finds what was done up to where a ranker goes on from; the hub takes it with its next look.
pub(in super::super) async fn find(room: Arc<ServedRoom>, store: Store, watermark: Cursor) {
    let mut behind = 0;
    while !room.closed.load(Ordering::Relaxed) {
        match rules(&room, &store, &watermark).await {
            Ok((is_whole, rules)) if is_whole || behind >= BEHIND_TIMES_MAX => {
                *lock(&room.moderated.missed) = Some(rules);
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
async fn rules(room: &ServedRoom, store: &Store, watermark: &Cursor) -> Result<(bool, RoomRules), StoreError> {
    let applied = store.ranking(room.id(), 1, 0).await?.applied;
    Ok((applied.covers_all(watermark), store.rules(room.id()).await?))
}

impl Moderated {
    /// Whether something that may have been missed has been found.
    pub(in super::super) fn has_missed(&self) -> bool {
        lock(&self.missed).is_some()
    }

    /// Takes in what was missed, and what viewers are told of it.
    pub(in super::super) fn take_missed(&self, room: &Room, content: &mut Content) {
        let Some(stored) = lock(&self.missed).take() else { return };
        let acts = self.news_in(&stored);
        self.follow(room, &acts, content);
        // Super chats are no acts.
        self.learn(stored);
        content.highlights = Some(self.highlights());
    }

    /// Acts that the store has and nobody told of.
    fn news_in(&self, stored: &RoomRules) -> Vec<Act> {
        let known = self.rules();
        let of_slice = |(shard, audited): (u32, &log::Audited)| {
            let position = Position::from(audited.place?);
            let through = known.slice(shard).and_then(barrage_core::moderation::Rules::through);
            let act = Act { shard, position, at_ms: audited.at_ms, act: audited.act.clone()? };
            (Some(position) > through).then_some(act)
        };
        stored.audited().filter_map(of_slice).collect()
    }
}
