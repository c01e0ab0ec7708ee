//! What viewers that join begin with: history and leaderboard, read from the store once for all who come within a
//! moment.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use barrage_proto::{
    Cursor,
    v2::{Encoder, pb},
};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::gateway::{
    encode::{self, ranking_snapshot},
    state::RoomState,
};
use barrage_core::{
    link::Danmaku,
    store::{Direction, HistoryItem, HistoryPage, Scored, Store, StoreError},
};

/// Danmaku that a viewer gets at the most when it joins, and when it resumes.
pub(crate) const JOIN_DANMAKU_MAX: usize = 200;
const RESUME_DANMAKU_MAX: usize = 1_000;
/// Users on the leaderboard that viewers see.
const BOARD_USERS: u32 = 100;
/// Viewers that join within this time share one read of the store.
const SHARED_FOR: Duration = Duration::from_millis(250);

pub(crate) enum Wanted {
    /// The newest danmaku, so many.
    Newest(usize),
    Since(Cursor),
}

/// Pages read a moment ago, for joining and for resuming.
#[derive(Default)]
pub(super) struct Pages {
    join: Mutex<Option<Rc<Page>>>,
    resume: Mutex<Option<Rc<Page>>>,
}

impl Pages {
    /// The page that a viewer wants, read now or a moment ago; `flush_number` is the room's last flush.
    pub(super) async fn read(
        &self,
        store: &Store,
        room: &RoomState,
        wanted: &Wanted,
        flush_number: impl Fn() -> u64,
    ) -> Result<Rc<Page>, StoreError> {
        let (shared, limit) = match wanted {
            Wanted::Newest(_) => (&self.join, JOIN_DANMAKU_MAX),
            Wanted::Since(_) => (&self.resume, RESUME_DANMAKU_MAX),
        };
        // Who comes while the store is read waits for that read.
        let mut shared = shared.lock().await;
        if let Some(page) = &*shared
            && page.read_at.elapsed() < SHARED_FOR
        {
            return Ok(Rc::clone(page));
        }
        let board_at = flush_number();
        let board = match room.board() {
            Some(board) => board,
            None => store.ranking(room.id(), BOARD_USERS, 0).await?.scores,
        };
        let history = store.history(room.id(), Direction::Before, Cursor::default(), limit).await?;
        room.moderation.remember(history.items.iter().map(danmaku));
        let page = Rc::new(Page { whole: true, read_at: Instant::now(), history, board, board_at });
        *shared = Some(Rc::clone(&page));
        Ok(page)
    }

    /// Lets go of pages that nobody shares any more.
    pub(super) fn forget_old(&self) {
        for shared in [&self.join, &self.resume] {
            if let Ok(mut page) = shared.try_lock()
                && page.as_ref().is_some_and(|page| page.read_at.elapsed() >= SHARED_FOR)
            {
                *page = None;
            }
        }
    }
}

/// History and leaderboard as they were when they were read.
pub(crate) struct Page {
    /// Whether the store could be read.
    whole: bool,
    read_at: Instant,
    history: HistoryPage,
    board: Vec<Scored>,
    /// Last flush when the leaderboard was taken; later ones change it.
    board_at: u64,
}

impl Page {
    /// For who joins while the store cannot say: nothing but the leaderboard, and what `applied` covers is missing.
    pub(super) fn without_history(applied: Cursor, board: Vec<Scored>, board_at: u64) -> Self {
        let history = HistoryPage { applied, ..HistoryPage::default() };
        Self { whole: false, read_at: Instant::now(), history, board, board_at }
    }

    /// What the history includes, or would if the store could say.
    pub(crate) const fn applied(&self) -> &Cursor {
        &self.history.applied
    }

    /// The last flush that the leaderboard includes; later ones change it.
    pub(crate) const fn board_at(&self) -> u64 {
        self.board_at
    }

    /// The first message to a viewer: room state, leaderboard, what stands, and history.
    pub(super) fn encode(&self, wanted: &Wanted, room: &RoomState, encoder: &mut Encoder) -> Bytes {
        let mut frames = Vec::new();
        encoder.encode(&room.summary(), &mut frames);
        encoder.encode(&ranking_snapshot(&self.board), &mut frames);
        room.moderation.encode_standing(&room.room(), encoder, &mut frames);
        for history in self.frames(wanted, |item| room.moderation.hides_item(item)) {
            encoder.encode(&history, &mut frames);
        }
        encode::message(&frames)
    }

    /// The frames of history. The page may have been read before something in it was removed.
    fn frames(&self, wanted: &Wanted, hides: impl Fn(&HistoryItem) -> bool) -> impl Iterator<Item = pb::History> {
        let items: Vec<&HistoryItem> = self.history.items.iter().filter(|item| !hides(item)).collect();
        let (danmaku, truncated): (Vec<Danmaku>, bool) = match wanted {
            Wanted::Newest(count) => {
                (items[items.len().saturating_sub(*count)..].iter().copied().map(danmaku).collect(), false)
            }
            Wanted::Since(cursor) => {
                let missed = items.iter().filter(|item| !cursor.covers(item.shard, item.position));
                let missed: Vec<_> = missed.copied().map(danmaku).collect();
                let truncated = !self.whole || self.history.more && missed.len() == items.len();
                (missed, truncated)
            }
        };
        let mut batches = encode::batches(danmaku.iter());
        if batches.is_empty() {
            batches.push(pb::Batch::default());
        }
        if let (true, Some(last)) = (self.whole, batches.last_mut()) {
            // A cursor says that all before it was served.
            last.cursor = self.history.applied.encode();
        }
        batches.into_iter().map(move |batch| pb::History { batch: Some(batch), truncated })
    }
}

fn danmaku(item: &HistoryItem) -> Danmaku {
    Danmaku::of(item.position, &item.entry, item.received_ms)
}
