//! What decides at the door whether a danmaku is taken, besides rate and form: what moderators did, the room's slow
//! mode and words, and which danmaku are known that one can answer or remove.

mod missed;
mod recent;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use barrage_proto::{
    Position, log,
    v2::{Encoder, pb},
};
use tokio::time::timeout;

use crate::gateway::{
    encode::{Content, Notice, batches},
    metrics::Refusal,
};
use barrage_core::{
    clock::unix_ms,
    link::Danmaku,
    moderation::{self, Act, RoomRules},
    room::{Room, RoomId, shard_of},
    store::{HistoryItem, Store},
    token::Identity,
    words::WordFilter,
};
use recent::Recent;

/// How long who connects waits until it is known what moderators did. If the store cannot say by then, danmaku are taken
/// all the same: rankers know.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// A store that did not say is asked again after this long.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// A room's moderation at this gateway.
pub(crate) struct ModerationState {
    rules: RwLock<RoomRules>,
    /// Whether the store has been asked since the room is followed.
    known: AtomicBool,
    asked: tokio::sync::Mutex<Option<Instant>>,
    own_words: Mutex<Arc<[String]>>,
    /// Of the owner's words; with tens of thousands of them it takes tens of ms to make.
    own_filter: ArcSwap<WordFilter>,
    /// Of the words that moderators blocked: made anew in the hub's thread when they block another one.
    filter: ArcSwap<WordFilter>,
    /// When users sent last, ms; only in slow mode.
    slow: Mutex<HashMap<u64, i64>>,
    recent: Mutex<Recent>,
    /// What the store has, when acts may have been missed.
    missed: Mutex<Option<RoomRules>>,
}

impl ModerationState {
    pub(crate) fn new(room: &Room) -> Self {
        Self {
            rules: RwLock::default(),
            known: AtomicBool::new(false),
            asked: tokio::sync::Mutex::default(),
            own_words: Mutex::new(Arc::clone(&room.blocked_words)),
            own_filter: ArcSwap::from_pointee(own_filter(room)),
            filter: ArcSwap::default(),
            slow: Mutex::default(),
            recent: Mutex::default(),
            missed: Mutex::default(),
        }
    }

    /// The room's own settings have changed.
    pub(crate) fn change(&self, room: &Room) {
        let words = Arc::clone(&room.blocked_words);
        let known = std::mem::replace(&mut *lock(&self.own_words), words);
        if known != room.blocked_words {
            self.own_filter.store(Arc::new(own_filter(room)));
        }
    }

    fn change_filter(&self) {
        let filter = WordFilter::new(self.rules().blocked_words());
        self.filter.store(Arc::new(filter));
    }

    pub(crate) fn rules(&self) -> RwLockReadGuard<'_, RoomRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the store what moderators did, unless that is known.
    pub(crate) async fn know(&self, store: &Store, room: &RoomId) {
        if self.known.load(Ordering::Acquire) {
            return;
        }
        // Who comes meanwhile waits for the same answer.
        let mut asked = self.asked.lock().await;
        if self.known.load(Ordering::Acquire) || asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER) {
            return;
        }
        match timeout(KNOWN_WITHIN, store.rules(room)).await {
            Ok(Ok(rules)) => return self.learn(rules),
            Ok(Err(error)) => tracing::warn!(%room, %error, "what moderators did is not known here yet"),
            Err(_) => tracing::warn!(%room, "the store does not say in time what moderators did"),
        }
        *asked = Some(Instant::now());
    }

    /// Whether it is known what moderators did before the room was followed here.
    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    fn learn(&self, stored: RoomRules) {
        let words_before: usize = self.rules().blocked_words().count();
        {
            let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
            for (shard, of_slice) in stored.into_slices() {
                rules.learn(shard, of_slice);
            }
        }
        self.known.store(true, Ordering::Release);
        if words_before + self.rules().blocked_words().count() > 0 {
            self.change_filter();
        }
    }

    /// Takes a frame in: its danmaku, from `from` on in what viewers are told next, and its acts.
    pub(crate) fn take_frame(&self, room: &Room, acts: &[Act], from: usize, content: &mut Content) {
        let shown = &content.danmaku[from..];
        self.note_slow(room, shown);
        self.remember(shown.iter().cloned());
        let is_super = |danmaku: &&Danmaku| danmaku.gift().is_some_and(|gift| gift.super_chat);
        let chats: Vec<_> = shown.iter().filter(is_super).cloned().collect();
        if !acts.is_empty() || !chats.is_empty() {
            self.follow(room, acts, &chats, content);
        }
    }

    fn follow(&self, room: &Room, acts: &[Act], chats: &[Danmaku], content: &mut Content) {
        let mut changed = Changed { highlights: !chats.is_empty(), ..Changed::default() };
        {
            let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
            // In the order of the log: what stands before something that is known counts as known, too.
            let acts = acts.iter().map(|act| (act.position, Some(act), None));
            let chats = chats.iter().map(|chat| (chat.position, None, Some(chat)));
            let mut happened: Vec<_> = acts.chain(chats).collect();
            happened.sort_by_key(|&(position, ..)| position);
            for (_, act, chat) in happened {
                if let Some(act) = act
                    && rules.take(act)
                {
                    changed.note(act, content);
                }
                if let Some(chat) = chat {
                    rules.stay(shard_of(chat.user), &chat.entry(), chat.position, chat.received_ms);
                }
            }
            let hidden =
                |danmaku: &Danmaku| rules.hides(danmaku.position, danmaku.user, danmaku.role, danmaku.received_ms);
            // What waits to be written is not shown for a moment only to be removed.
            content.danmaku.retain(|danmaku| !hidden(danmaku));
        }
        if changed.words {
            self.change_filter();
        }
        if changed.settings {
            content.settings = Some(self.settings(room));
        }
        if changed.highlights {
            content.highlights = Some(self.highlights());
        }
    }

    /// Danmaku that can be answered and removed.
    pub(crate) fn remember(&self, danmaku: impl Iterator<Item = Danmaku>) {
        let mut recent = lock(&self.recent);
        danmaku.for_each(|danmaku| recent.add(danmaku));
    }

    /// A danmaku of the room's newest.
    pub(crate) fn find(&self, id: Position) -> Option<Danmaku> {
        lock(&self.recent).find(id)
    }

    /// Whether nobody is to see a danmaku.
    pub(crate) fn hides(&self, danmaku: &Danmaku) -> bool {
        self.rules().hides(danmaku.position, danmaku.user, danmaku.role, danmaku.received_ms)
    }

    /// Whether nobody is to see a danmaku of the history.
    pub(crate) fn hides_item(&self, item: &HistoryItem) -> bool {
        let role = pb::Role::try_from(item.entry.role.cast_signed()).unwrap_or_default();
        self.rules().hides(item.position, item.entry.user, role, item.received_ms)
    }

    /// Whether a text may be said at all by who says it, now.
    ///
    /// # Errors
    /// Why not, and after how many ms it may be tried again (0: not as it is).
    pub(crate) fn check(
        &self,
        identity: &Identity,
        text: &str,
        folded: &mut String,
        now_ms: i64,
    ) -> Result<(), (Refusal, u32)> {
        let role: pb::Role = identity.role.into();
        let rules = self.rules();
        if !moderation::is_exempt(role)
            && let Some(sanction) = rules.sanction(identity.user, now_ms)
        {
            let left_ms = if sanction.until_ms == 0 { 0 } else { sanction.until_ms - now_ms };
            return Err((Refusal::Muted, u32::try_from(left_ms).unwrap_or(u32::MAX)));
        }
        if moderation::keeps_order(role) {
            return Ok(());
        }
        if rules.settings().moderators_only.unwrap_or_default() {
            return Err((Refusal::ModeratorsOnly, 0));
        }
        drop(rules);
        if self.own_filter.load().finds(text, folded) || self.filter.load().finds(text, folded) {
            return Err((Refusal::BlockedWord, 0));
        }
        Ok(())
    }

    /// Time between two danmaku of a viewer, ms.
    fn slow_ms(&self, room: &Room) -> i64 {
        i64::from(self.rules().settings().slow_mode_s.unwrap_or(room.slow_mode_s)) * 1_000
    }

    /// Slow mode counts what a user said at other gateways, too, from when it is shown.
    fn note_slow(&self, room: &Room, shown: &[Danmaku]) {
        let slow_ms = self.slow_ms(room);
        if slow_ms == 0 {
            return;
        }
        let mut slow = lock(&self.slow);
        for said in shown.iter().filter(|said| said.gift().is_none() && !moderation::keeps_order(said.role)) {
            let last_ms = slow.entry(said.user).or_insert(said.received_ms);
            // What was said here is known by when it came, which is a little earlier.
            if said.received_ms - *last_ms >= slow_ms {
                *last_ms = said.received_ms;
            }
        }
    }

    /// Takes a send in slow mode.
    ///
    /// # Errors
    /// How long to wait, ms.
    pub(crate) fn take_slow(&self, room: &Room, identity: &Identity, now_ms: i64) -> Result<(), u32> {
        let slow_ms = self.slow_ms(room);
        if slow_ms == 0 || moderation::keeps_order(identity.role.into()) {
            return Ok(());
        }
        let mut slow = lock(&self.slow);
        let next_ms = slow.get(&identity.user).map_or(i64::MIN, |last_ms| last_ms + slow_ms);
        if now_ms < next_ms {
            return Err(u32::try_from(next_ms - now_ms).unwrap_or(u32::MAX));
        }
        slow.insert(identity.user, now_ms);
        Ok(())
    }

    /// Forgets who has waited long enough for any slow mode.
    pub(crate) fn forget_slow(&self) {
        let mut slow = lock(&self.slow);
        if !slow.is_empty() {
            let since_ms = unix_ms() - i64::from(moderation::SLOW_MODE_S_MAX) * 1_000;
            slow.retain(|_, last_ms| *last_ms > since_ms);
        }
    }

    /// Nobody follows the room here any more.
    pub(crate) fn forget(&self) {
        self.known.store(false, Ordering::Release);
        *lock(&self.recent) = Recent::default();
    }

    /// What moderators set, as viewers are told.
    pub(crate) fn settings(&self, room: &Room) -> pb::RoomSettings {
        let set = self.rules().settings();
        pb::RoomSettings {
            slow_mode_s: set.slow_mode_s.unwrap_or(room.slow_mode_s),
            moderators_only: set.moderators_only.unwrap_or_default(),
        }
    }

    pub(crate) fn highlights(&self) -> pb::Highlights {
        let rules = self.rules();
        let chats = rules.super_chats(unix_ms());
        let row = |(_, chat): (u32, &log::SuperChat)| {
            let at = chat.place.map(Position::from).unwrap_or_default();
            let danmaku = Danmaku::of(at, chat.entry.as_ref()?, chat.received_ms);
            Some((batches(std::iter::once(&danmaku)).pop()?, chat.until_ms))
        };
        let (super_chats, until_ms) = chats.into_iter().filter_map(row).unzip();
        pb::Highlights { pin: rules.pin().map(pin), super_chats, until_ms }
    }

    /// Appends what stands, where it is not the default.
    pub(crate) fn encode_standing(&self, room: &Room, encoder: &mut Encoder, frames: &mut Vec<u8>) {
        let (settings, highlights) = (self.settings(room), self.highlights());
        if settings != pb::RoomSettings::default() {
            encoder.encode(&settings, frames);
        }
        if highlights != pb::Highlights::default() {
            encoder.encode(&highlights, frames);
        }
    }

    /// What a user is told who comes, if it is anything.
    pub(crate) fn notice(&self, user: u64) -> Option<pb::Notice> {
        let rules = self.rules();
        let sanction = rules.sanction(user, unix_ms())?;
        Some(notice(sanction.kind, sanction.until_ms, &sanction.reason))
    }
}

#[derive(Default)]
struct Changed {
    words: bool,
    settings: bool,
    highlights: bool,
}

impl Changed {
    fn note(&mut self, act: &Act, content: &mut Content) {
        use log::act::Kind;
        match &act.act.kind {
            Some(Kind::Sanction(sanction)) => content.notices.push(Notice {
                user: sanction.user,
                notice: notice(sanction.kind(), sanction.until_ms, &act.act.reason),
            }),
            Some(Kind::Remove(place)) => {
                content.removal.danmaku.push(Position::from(*place).into());
                self.highlights = true;
            }
            Some(Kind::RemoveUser(user)) => {
                content.removal.user.push(*user);
                self.highlights = true;
            }
            Some(Kind::Pin(_)) => self.highlights = true,
            Some(Kind::Settings(settings)) => {
                self.settings = true;
                self.words |= !settings.block_words.is_empty() || !settings.allow_words.is_empty();
            }
            None => {}
        }
    }
}

fn own_filter(room: &Room) -> WordFilter {
    WordFilter::new(room.blocked_words.iter().map(String::as_str))
}

fn notice(kind: log::sanction::Kind, until_ms: i64, reason: &str) -> pb::Notice {
    let kind = match kind {
        log::sanction::Kind::None => pb::NoticeKind::Lifted,
        log::sanction::Kind::Muted => pb::NoticeKind::Muted,
        log::sanction::Kind::Banned => pb::NoticeKind::Banned,
    };
    pb::Notice { kind: kind.into(), until_ms, reason: reason.to_owned() }
}

fn pin(pin: &log::Pin) -> pb::Pin {
    pb::Pin {
        content: pin.content.clone(),
        user: pin.user,
        role: pin.role.cast_signed(),
        danmaku: pin.danmaku.map(|place| Position::from(place).into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
