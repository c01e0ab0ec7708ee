//! The rules of one slice: what its acts came to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use barrage_proto::{
    Position,
    log::{self, act::Kind, sanction},
    v2::pb::Role,
};

use super::{LiveSettings, WORD_BYTES_MAX, WORDS_MAX, is_exempt};

/// Acts that are kept to be read, the newest.
const AUDIT_MAX: usize = 1_000;
/// Danmaku removed one by one that are known; the first ones leave the history first.
pub(super) const REMOVED_MAX: usize = 50_000;
/// Users of whom something is known. Sanctions that have ended go first, then the oldest.
pub(super) const USERS_MAX: usize = 50_000;
/// Sanctions of one user that are known, the newest: what was said under older ones is judged as if they had not been.
pub(super) const SANCTIONS_MAX: usize = 100;
/// Super chats that stay at the same time.
const SUPER_CHATS_MAX: usize = 100;

/// What acts of a slice came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    pub(super) through: Option<Position>,
    /// By user, in the order of the log; the last is what holds.
    pub(super) sanctions: HashMap<u64, Vec<Sanction>>,
    pub(super) removed_users: HashMap<u64, Position>,
    pub(super) removed: BTreeSet<Position>,
    pub(super) pin: Option<log::Pin>,
    pub(super) settings: LiveSettings,
    pub(super) blocked_words: BTreeSet<String>,
    pub(super) audit: VecDeque<log::Audited>,
    pub(super) super_chats: BTreeMap<Position, log::SuperChat>,
}

/// What a user may not do, from a place of the slice on until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sanction {
    /// Muted, banned, or free again.
    pub kind: sanction::Kind,
    /// Unix ms; 0 for ever.
    pub until_ms: i64,
    /// What the moderator said.
    pub reason: String,
    pub(super) since: Position,
}

impl Sanction {
    /// Whether it holds at a time.
    const fn holds(&self, at_ms: i64) -> bool {
        !matches!(self.kind, sanction::Kind::None) && (self.until_ms == 0 || at_ms < self.until_ms)
    }
}

impl Rules {
    /// The last entry that is in here.
    #[must_use]
    pub const fn through(&self) -> Option<Position> {
        self.through
    }

    /// Takes an act in; false if it is known.
    pub fn take(&mut self, act: &log::Act, at: Position, at_ms: i64) -> bool {
        if Some(at) <= self.through {
            return false;
        }
        self.through = Some(at);
        match &act.kind {
            Some(Kind::Sanction(sanction)) => self.sanction_user(sanction, &act.reason, at, at_ms),
            Some(Kind::Remove(place)) => self.remove((*place).into()),
            Some(Kind::RemoveUser(user)) => self.remove_user(*user, at),
            Some(Kind::Pin(pin)) => self.pin = Some(pin.clone()).filter(|pin| !pin.content.is_empty()),
            Some(Kind::Settings(settings)) => self.set(settings),
            // Of a newer gateway.
            None => {}
        }
        self.audit.push_back(log::Audited { act: Some(act.clone()), place: Some(at.into()), at_ms });
        if self.audit.len() > AUDIT_MAX {
            self.audit.pop_front();
        }
        true
    }

    fn sanction_user(&mut self, sanction: &log::Sanction, reason: &str, since: Position, at_ms: i64) {
        let (kind, until_ms) = (sanction.kind(), sanction.until_ms);
        let of_user = self.sanctions.entry(sanction.user).or_default();
        of_user.push(Sanction { kind, until_ms, reason: reason.to_owned(), since });
        if of_user.len() > SANCTIONS_MAX {
            of_user.remove(0);
        }
        if self.sanctions.len() <= USERS_MAX {
            return;
        }
        self.sanctions.retain(|_, of_user| of_user.last().is_some_and(|last| last.holds(at_ms)));
        if self.sanctions.len() > USERS_MAX {
            let since = |of_user: &[Sanction]| of_user.last().map(|last| last.since);
            let oldest = self.sanctions.iter().min_by_key(|(_, of_user)| since(of_user)).map(|(user, _)| *user);
            oldest.map(|user| self.sanctions.remove(&user));
        }
    }

    fn remove(&mut self, place: Position) {
        self.removed.insert(place);
        self.super_chats.remove(&place);
        if self.removed.len() > REMOVED_MAX {
            self.removed.pop_first();
        }
    }

    fn remove_user(&mut self, user: u64, before: Position) {
        self.removed_users.insert(user, before);
        self.super_chats.retain(|_, chat| chat.entry.as_ref().is_none_or(|entry| entry.user != user));
        if self.removed_users.len() > USERS_MAX {
            let oldest = self.removed_users.iter().min_by_key(|(_, before)| **before).map(|(user, _)| *user);
            oldest.map(|user| self.removed_users.remove(&user));
        }
    }

    fn set(&mut self, settings: &log::Settings) {
        let log::Settings { slow_mode_s, moderators_only, block_words, allow_words } = settings;
        let now = &mut self.settings;
        now.slow_mode_s = slow_mode_s.or(now.slow_mode_s);
        now.moderators_only = moderators_only.or(now.moderators_only);
        for word in allow_words {
            self.blocked_words.remove(word);
        }
        let short = block_words.iter().filter(|word| (1..=WORD_BYTES_MAX).contains(&word.len()));
        for word in short {
            if self.blocked_words.len() < WORDS_MAX {
                self.blocked_words.insert(word.clone());
            }
        }
    }

    /// Takes a super chat in.
    pub fn stay(&mut self, entry: &log::Entry, at: Position, received_ms: i64) {
        let Some(gift) = &entry.gift else { return };
        if self.through.is_none_or(|through| through < at) {
            self.through = Some(at);
        } else if self.super_chats.contains_key(&at) || self.super_chats.len() >= SUPER_CHATS_MAX {
            return;
        }
        let until_ms = received_ms + i64::from(super_chat_stay_s(gift.value)) * 1_000;
        self.super_chats.retain(|_, chat| chat.until_ms > received_ms);
        let chat = log::SuperChat { entry: Some(entry.clone()), place: Some(at.into()), received_ms, until_ms };
        let role = Role::try_from(entry.role.cast_signed()).unwrap_or_default();
        if !self.hides(at, entry.user, role, received_ms) {
            self.super_chats.insert(at, chat);
        }
        if self.super_chats.len() > SUPER_CHATS_MAX {
            self.super_chats.pop_first();
        }
    }

    /// Whether a danmaku is to be seen by nobody.
    #[must_use]
    pub fn hides(&self, at: Position, user: u64, role: Role, received_ms: i64) -> bool {
        self.removed.contains(&at)
            || self.removed_users.get(&user).is_some_and(|before| at < *before)
            || !is_exempt(role) && self.sanctions.get(&user).is_some_and(|of_user| was_held(of_user, at, received_ms))
    }

    /// What holds of a user now.
    #[must_use]
    pub fn sanction(&self, user: u64, now_ms: i64) -> Option<&Sanction> {
        self.sanctions.get(&user)?.last().filter(|last| last.holds(now_ms))
    }

    /// Users that something holds of now.
    pub(super) fn sanctions(&self, now_ms: i64) -> impl Iterator<Item = (u64, &Sanction)> {
        let last = self.sanctions.iter().filter_map(|(&user, of_user)| Some((user, of_user.last()?)));
        last.filter(move |(_, last)| last.holds(now_ms))
    }

    pub(super) fn blocked_words(&self) -> impl Iterator<Item = &str> {
        self.blocked_words.iter().map(String::as_str)
    }

    pub(super) fn super_chats(&self, now_ms: i64) -> impl Iterator<Item = &log::SuperChat> {
        self.super_chats.values().filter(move |chat| chat.until_ms > now_ms)
    }

    pub(super) fn audit(&self) -> impl Iterator<Item = &log::Audited> {
        self.audit.iter()
    }
}

/// Whether the sanction that a danmaku stands behind held when it was received.
fn was_held(of_user: &[Sanction], at: Position, received_ms: i64) -> bool {
    let before = of_user.partition_point(|sanction| sanction.since < at);
    before > 0 && of_user[before - 1].holds(received_ms)
}

/// How long a super chat stays, s, by its value.
#[must_use]
pub const fn super_chat_stay_s(value: u64) -> u32 {
    match value {
        0..50 => 60,
        50..100 => 2 * 60,
        100..500 => 5 * 60,
        500..1_000 => 30 * 60,
        1_000..2_000 => 60 * 60,
        2_000.. => 2 * 60 * 60,
    }
}
