//! Acts that a gateway was not told of, once they are found: what of them is news here.

use barrage_proto::{Position, log};

use super::{ModerationState, lock};
use crate::gateway::encode::Content;
use barrage_core::{
    moderation::{Act, RoomRules},
    room::Room,
};

impl ModerationState {
    /// Whether something that may have been missed has been found.
    pub(crate) fn has_missed(&self) -> bool {
        lock(&self.missed).is_some()
    }

    /// What the store has, where acts may have been missed.
    pub(crate) fn found_missed(&self, stored: RoomRules) {
        *lock(&self.missed) = Some(stored);
    }

    /// Takes in what was missed, and what viewers are told of it.
    pub(crate) fn take_missed(&self, room: &Room, content: &mut Content) {
        let Some(stored) = lock(&self.missed).take() else { return };
        let acts = self.news_in(&stored);
        self.follow(room, &acts, &[], content);
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
