//! Rules as stores keep them.

use barrage_proto::{Position, log};
use prost::{DecodeError, Message};

use super::{LiveSettings, Rules, Sanction};

impl Rules {
    /// The bytes that a store keeps.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut sanctions: Vec<_> = self
            .sanctions
            .iter()
            .flat_map(|(&user, of_user)| of_user.iter().map(move |one| sanctioned(user, one)))
            .collect();
        sanctions.sort_by_key(|one| one.sanction.as_ref().map(|sanction| sanction.user));
        let mut removed_users: Vec<_> = self
            .removed_users
            .iter()
            .map(|(&user, &before)| log::Removed { user, before: Some(before.into()) })
            .collect();
        removed_users.sort_by_key(|removed| removed.user);
        let rules = log::Rules {
            through: self.through.map(Into::into),
            sanctions,
            removed_users,
            removed: self.removed.iter().map(|&place| place.into()).collect(),
            pin: self.pin.clone(),
            slow_mode_s: self.settings.slow_mode_s,
            moderators_only: self.settings.moderators_only,
            blocked_words: self.blocked_words.iter().cloned().collect(),
            audit: self.audit.iter().cloned().collect(),
            super_chats: self.super_chats.values().cloned().collect(),
        };
        rules.encode_to_vec()
    }

    /// The rules of bytes that a store keeps.
    ///
    /// # Errors
    /// The bytes are none that [`Self::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let stored = log::Rules::decode(bytes)?;
        let settings = LiveSettings { slow_mode_s: stored.slow_mode_s, moderators_only: stored.moderators_only };
        let at = |place: &Option<log::Place>| place.map(Position::from).unwrap_or_default();
        let chats = stored.super_chats.into_iter().map(|chat| (at(&chat.place), chat));
        let mut rules = Self {
            through: stored.through.map(Position::from),
            removed_users: stored.removed_users.iter().map(|removed| (removed.user, at(&removed.before))).collect(),
            removed: stored.removed.into_iter().map(Position::from).collect(),
            pin: stored.pin,
            settings,
            blocked_words: stored.blocked_words.into_iter().collect(),
            audit: stored.audit.into(),
            super_chats: chats.collect(),
            ..Self::default()
        };
        for log::Sanctioned { sanction, since, reason } in stored.sanctions {
            let sanction = sanction.unwrap_or_default();
            let (kind, until_ms, since) = (sanction.kind(), sanction.until_ms, at(&since));
            rules.sanctions.entry(sanction.user).or_default().push(Sanction { kind, until_ms, reason, since });
        }
        Ok(rules)
    }
}

fn sanctioned(user: u64, one: &Sanction) -> log::Sanctioned {
    let sanction = log::Sanction { user, kind: one.kind.into(), until_ms: one.until_ms };
    log::Sanctioned { sanction: Some(sanction), since: Some(one.since.into()), reason: one.reason.clone() }
}
