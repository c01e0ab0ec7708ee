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
            None => store.ranking(room.id(), BOARD_USERS).await?.scores,
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
    /// For a viewer that joins while the store cannot be read: the leaderboard, and flushes from `applied` on.
    pub(super) fn without_history(applied: Cursor, board: Vec<Scored>, board_at: u64) -> Self {
        let history = HistoryPage { applied, ..HistoryPage::default() };
        Self { whole: false, read_at: Instant::now(), history, board, board_at }
    }

    /// What need not be written to the viewer again.
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

#[cfg(test)]
mod tests {
    use barrage_proto::{batch::rows, log::Entry};

    use super::*;
    use crate::gateway::testing::{at, find, room_state, types};
    use barrage_core::room::shard_of;

    const USER: u64 = 7;

    fn item(offset: u64) -> HistoryItem {
        let entry = Entry { user: USER, content: "x".into(), ..Entry::default() };
        HistoryItem { shard: shard_of(USER), position: at(offset), received_ms: 0, entry }
    }

    fn through(offset: u64) -> Cursor {
        [(shard_of(USER), at(offset))].into_iter().collect()
    }

    fn page(offsets: impl Iterator<Item = u64>, more: bool) -> Page {
        let history =
            HistoryPage { items: offsets.map(item).collect(), more, applied: through(9), ..HistoryPage::default() };
        Page { whole: true, read_at: Instant::now(), history, board: Vec::new(), board_at: 0 }
    }

    /// Offsets of a page's danmaku, whether some are missing, and what the last frame's cursor covers.
    fn begun(page: &Page, wanted: &Wanted) -> (Vec<u64>, bool, Vec<u8>) {
        let message = page.encode(wanted, &room_state(|_| {}), &mut Encoder::plain());
        let histories: Vec<pb::History> = find(&message);
        let truncated = histories.iter().any(|history| history.truncated);
        let batches: Vec<_> = histories.into_iter().filter_map(|history| history.batch).collect();
        let offsets = batches.iter().flat_map(|batch| rows(batch).unwrap().map(|row| row.position.offset)).collect();
        (offsets, truncated, batches.last().map(|batch| batch.cursor.clone()).unwrap_or_default())
    }

    #[test]
    fn a_viewer_gets_the_newest_that_it_asks_for() {
        let page = page(1..=5, true);
        assert_eq!(begun(&page, &Wanted::Newest(2)), (vec![4, 5], false, through(9).encode()));
        assert_eq!(begun(&page, &Wanted::Newest(9)).0, [1, 2, 3, 4, 5]);
        assert_eq!(
            begun(&page, &Wanted::Newest(0)),
            (vec![], false, through(9).encode()),
            "an empty batch says where to resume"
        );
    }

    #[test]
    fn who_resumes_gets_what_its_cursor_does_not_cover() {
        let page = page(1..=5, true);
        assert_eq!(begun(&page, &Wanted::Since(through(3))), (vec![4, 5], false, through(9).encode()));
        assert_eq!(begun(&page, &Wanted::Since(through(5))).0, [0; 0]);
        let (offsets, truncated, _) = begun(&page, &Wanted::Since(Cursor::default()));
        assert_eq!((offsets.len(), truncated), (5, true), "there is more before");
    }

    #[test]
    fn who_resumes_to_the_beginning_of_a_room_misses_nothing() {
        let (offsets, truncated, _) = begun(&page(1..=5, false), &Wanted::Since(Cursor::default()));
        assert_eq!((offsets.len(), truncated), (5, false));
    }

    #[test]
    fn without_a_store_nothing_is_claimed() {
        let page = Page::without_history(through(4), vec![Scored { user: 1, score: 2 }], 3);
        let (offsets, truncated, cursor) = begun(&page, &Wanted::Since(through(1)));
        assert_eq!((offsets, truncated, cursor), (vec![], true, vec![]));
        assert_eq!((page.board_at(), page.applied()), (3, &through(4)));
        let message = page.encode(&Wanted::Newest(1), &room_state(|_| {}), &mut Encoder::plain());
        assert_eq!(find::<pb::RankingSnapshot>(&message)[0].user, [1]);
        assert_eq!(types(&message).len(), 3);
    }

    #[test]
    fn what_a_moderator_removed_after_the_page_was_read_is_left_out() {
        let page = page(1..=3, false);
        let shown = page.frames(&Wanted::Newest(9), |item| item.position == at(2));
        let batches: Vec<_> = shown.filter_map(|history| history.batch).collect();
        let offsets: Vec<u64> =
            batches.iter().flat_map(|batch| rows(batch).unwrap().map(|row| row.position.offset)).collect();
        assert_eq!(offsets, [1, 3]);
    }
}
