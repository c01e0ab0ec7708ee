//! What acts of moderation come to, as a function of the log: pure, and the same wherever it is asked.
//!
//! An act is an entry in the slice of the user that it is about (what is about the room is in slice 0), so it has a place
//! among that user's danmaku. Stores keep what the acts of a slice came to ([`Rules`]), rankers keep out of sight what
//! they hide, gateways refuse it at the door. Everything is decided by place, so that whoever meets an act twice, or
//! knows a later one already, decides alike.

mod rules;
mod state;

use std::collections::BTreeMap;

use barrage_proto::{Position, log, v2::pb::Role};

pub use rules::{Rules, Sanction, super_chat_stay_s};

use crate::room::shard_of;

/// What is about the room as a whole is in this slice.
pub const ROOM_SHARD: u32 = 0;
/// Words that a room blocks, at the most.
pub const WORDS_MAX: usize = 50_000;
/// Bytes of a blocked word, at the most.
pub const WORD_BYTES_MAX: usize = 64;
/// The longest slow mode, s.
pub const SLOW_MODE_S_MAX: u32 = 3_600;
/// Bytes of what a moderator says for a reason.
pub const REASON_BYTES_MAX: usize = 256;

/// An act on its way from the log to those who follow its room.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Its slice.
    pub shard: u32,
    /// Where it stands in the log.
    pub position: Position,
    /// Unix time of its receipt, ms.
    pub at_ms: i64,
    /// What was done.
    pub act: log::Act,
}

/// The slice of what an act is about.
#[must_use]
pub fn shard_of_act(kind: &log::act::Kind, target: u64) -> u32 {
    match kind {
        log::act::Kind::Pin(_) | log::act::Kind::Settings(_) => ROOM_SHARD,
        log::act::Kind::Sanction(_) | log::act::Kind::Remove(_) | log::act::Kind::RemoveUser(_) => shard_of(target),
    }
}

/// Whether a record changes what is known of a slice's moderation.
#[must_use]
pub fn concerns(record: &log::Record) -> bool {
    record.entries.iter().any(|entry| entry.act.is_some() || is_super_chat(entry))
}

fn is_super_chat(entry: &log::Entry) -> bool {
    entry.user != 0 && entry.gift.as_ref().is_some_and(|gift| gift.super_chat)
}

/// Whether somebody of this role is beyond sanctions.
#[must_use]
pub const fn is_exempt(role: Role) -> bool {
    matches!(role, Role::Host | Role::Service)
}

/// Whether rules for viewers (slow mode, blocked words, quiet rooms) do not bind this role.
#[must_use]
pub const fn keeps_order(role: Role) -> bool {
    !matches!(role, Role::Viewer)
}

/// A room's settings that moderators change; what they did not set is as its owner has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveSettings {
    /// Seconds that a viewer waits between two danmaku.
    pub slow_mode_s: Option<u32>,
    /// Only moderators and hosts may send.
    pub moderators_only: Option<bool>,
}

/// All slices of a room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomRules {
    slices: BTreeMap<u32, Rules>,
}

impl RoomRules {
    /// Takes a slice's rules as the store has them, unless later ones are known.
    pub fn learn(&mut self, shard: u32, rules: Rules) {
        let known = self.slices.entry(shard).or_default();
        if rules.through() > known.through() {
            *known = rules;
        }
    }

    /// Each slice's.
    pub fn into_slices(self) -> impl Iterator<Item = (u32, Rules)> {
        self.slices.into_iter()
    }

    /// Takes an act in; false if it is known.
    pub fn take(&mut self, act: &Act) -> bool {
        self.slices.entry(act.shard).or_default().take(&act.act, act.position, act.at_ms)
    }

    /// Takes a super chat in.
    pub fn stay(&mut self, shard: u32, entry: &log::Entry, position: Position, received_ms: i64) {
        self.slices.entry(shard).or_default().stay(entry, position, received_ms);
    }

    /// A slice's rules, where there are any.
    #[must_use]
    pub fn slice(&self, shard: u32) -> Option<&Rules> {
        self.slices.get(&shard)
    }

    /// Whether a danmaku is to be seen by nobody.
    #[must_use]
    pub fn hides(&self, position: Position, user: u64, role: Role, received_ms: i64) -> bool {
        // Asked for each danmaku, mostly of rooms where nobody has moderated anything.
        let of_slice = if self.slices.is_empty() { None } else { self.slices.get(&shard_of(user)) };
        of_slice.is_some_and(|rules| rules.hides(position, user, role, received_ms))
    }

    /// What holds of a user now.
    #[must_use]
    pub fn sanction(&self, user: u64, now_ms: i64) -> Option<&Sanction> {
        self.slices.get(&shard_of(user))?.sanction(user, now_ms)
    }

    /// Users that something holds of now.
    pub fn sanctions(&self, now_ms: i64) -> impl Iterator<Item = (u64, &Sanction)> {
        self.slices.values().flat_map(move |rules| rules.sanctions(now_ms))
    }

    /// What moderators set.
    #[must_use]
    pub fn settings(&self) -> LiveSettings {
        self.slices.get(&ROOM_SHARD).map(|rules| rules.settings).unwrap_or_default()
    }

    /// Words that moderators block.
    pub fn blocked_words(&self) -> impl Iterator<Item = &str> {
        self.slices.get(&ROOM_SHARD).into_iter().flat_map(Rules::blocked_words)
    }

    /// What is pinned.
    #[must_use]
    pub fn pin(&self) -> Option<&log::Pin> {
        self.slices.get(&ROOM_SHARD)?.pin.as_ref()
    }

    /// Super chats that stay, the oldest first.
    #[must_use]
    pub fn super_chats(&self, now_ms: i64) -> Vec<(u32, &log::SuperChat)> {
        let slices = self.slices.iter();
        let mut all: Vec<_> =
            slices.flat_map(|(&shard, rules)| rules.super_chats(now_ms).map(move |chat| (shard, chat))).collect();
        all.sort_by_key(|(_, chat)| chat.received_ms);
        all
    }

    /// Acts by slice, each slice's in its order.
    pub fn audited(&self) -> impl Iterator<Item = (u32, &log::Audited)> {
        self.slices.iter().flat_map(|(&shard, rules)| rules.audit().map(move |audited| (shard, audited)))
    }

    /// The newest acts, newest first.
    #[must_use]
    pub fn audit(&self, limit: usize) -> Vec<&log::Audited> {
        let mut all: Vec<_> = self.slices.values().flat_map(Rules::audit).collect();
        all.sort_by_key(|audited| std::cmp::Reverse(audited.at_ms));
        all.truncate(limit);
        all
    }
}

impl Rules {
    /// Takes a record's acts and super chats in, in their order.
    pub fn follow(&mut self, record: &log::Record, partition: u32, offset: u64) {
        for (index, entry) in (0..).zip(&record.entries) {
            let position = Position { partition, offset, index };
            let at_ms = record.received_ms + i64::from(entry.received_delta_ms);
            if let Some(act) = &entry.act {
                self.take(act, position, at_ms);
            } else if is_super_chat(entry) {
                self.stay(entry, position, at_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests;
