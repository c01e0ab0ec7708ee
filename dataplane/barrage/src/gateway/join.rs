//! Joining: what a version 2 viewer gets before it is live.
//!
//! Room state, leaderboard, what moderators set and pinned, and history: the newest danmaku, or after a break those that the viewer's cursor does not
//! cover. The history is read once for all who join within a moment. Then the viewer is let in to the kept flushes
//! that the history does not include, so nothing is missing between; what overlaps its client drops by ID.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use barrage_proto::{
    Cursor,
    v2::{Encoder, pb},
};
use tokio::sync::Mutex;

use super::{
    connection::Viewer,
    encode::{self, ranking_snapshot},
    moderated::Moderated,
};
use barrage_core::{
    link::Danmaku,
    store::{Direction, HistoryItem, HistoryPage, Scored, StoreError},
};

/// Danmaku that a viewer gets at the most when it joins, and when it resumes.
pub(super) const JOIN_DANMAKU_MAX: usize = 200;
const RESUME_DANMAKU_MAX: usize = 1_000;
/// Users on the leaderboard that viewers see.
const BOARD_USERS: u32 = 100;
/// Viewers that join within this time share one read of the store.
const SHARED_FOR: Duration = Duration::from_millis(250);

/// What a viewer wants to begin with.
pub(super) enum Wanted {
    /// The newest danmaku, so many.
    Newest(usize),
    /// What the cursor does not cover.
    Since(Cursor),
}

/// Pages read a moment ago, for joining and for resuming.
#[derive(Default)]
pub(super) struct Pages {
    join: Mutex<Option<Rc<Page>>>,
    resume: Mutex<Option<Rc<Page>>>,
}

impl Pages {
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

struct Page {
    /// Whether the store could be read.
    whole: bool,
    read_at: Instant,
    history: HistoryPage,
    board: Vec<Scored>,
    /// Last flush when the leaderboard was taken; later ones change it.
    board_at: u64,
}

/// Serves a viewer its beginning and lets it in. If the store cannot say, it goes live without history.
pub(super) async fn join(viewer: Rc<Viewer>, wanted: Wanted) {
    let entered_at = viewer.room.flush_number();
    let page = match page(&viewer, &wanted).await {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!(%error, room = %viewer.room.served.id(), "a viewer joins without history");
            let history = HistoryPage { applied: viewer.room.watermark.borrow().clone(), ..HistoryPage::default() };
            let board = viewer.room.served.board().unwrap_or_default();
            let (read_at, board_at) = (Instant::now(), viewer.room.flush_number());
            Rc::new(Page { whole: false, read_at, history, board, board_at })
        }
    };
    if viewer.socket.ended().is_some() {
        return;
    }
    let message = beginning(&viewer, &page, &wanted);
    viewer.send(&message);
    viewer.room.join(&viewer, &page.history.applied, page.board_at.min(entered_at));
}

async fn page(viewer: &Viewer, wanted: &Wanted) -> Result<Rc<Page>, StoreError> {
    let room = &viewer.room;
    let (shared, limit) = match wanted {
        Wanted::Newest(_) => (&room.pages.join, JOIN_DANMAKU_MAX),
        Wanted::Since(_) => (&room.pages.resume, RESUME_DANMAKU_MAX),
    };
    // Who comes while the store is read waits for that read.
    let mut shared = shared.lock().await;
    if let Some(page) = &*shared
        && page.read_at.elapsed() < SHARED_FOR
    {
        return Ok(Rc::clone(page));
    }
    let store = &viewer.shard.served.store;
    let board_at = room.flush_number();
    let board = match room.served.board() {
        Some(board) => board,
        None => store.ranking(room.served.id(), BOARD_USERS, 0).await?.scores,
    };
    let history = store.history(room.served.id(), Direction::Before, Cursor::default(), limit).await?;
    room.served.moderated.remember(history.items.iter().map(danmaku));
    let page = Rc::new(Page { whole: true, read_at: Instant::now(), history, board, board_at });
    *shared = Some(Rc::clone(&page));
    Ok(page)
}

/// The first message: three frames.
fn beginning(viewer: &Viewer, page: &Page, wanted: &Wanted) -> bytes::Bytes {
    let mut encoder = viewer.shard.encoder.borrow_mut();
    let mut frames = Vec::new();
    encoder.encode(&viewer.room.served.state(), &mut frames);
    encoder.encode(&ranking_snapshot(&page.board), &mut frames);
    viewer.room.served.moderated.encode_standing(&viewer.room.served.room(), &mut encoder, &mut frames);
    encode_history(page, wanted, &viewer.room.served.moderated, &mut encoder, &mut frames);
    encode::message(&frames)
}

fn encode_history(page: &Page, wanted: &Wanted, moderated: &Moderated, encoder: &mut Encoder, frames: &mut Vec<u8>) {
    // The page may have been read before something in it was removed.
    let items: Vec<&HistoryItem> = page.history.items.iter().filter(|item| !moderated.hides_item(item)).collect();
    let (danmaku, truncated): (Vec<Danmaku>, bool) = match wanted {
        Wanted::Newest(count) => {
            (items[items.len().saturating_sub(*count)..].iter().copied().map(danmaku).collect(), false)
        }
        Wanted::Since(cursor) => {
            let missed: Vec<_> =
                items.iter().filter(|item| !cursor.covers(item.shard, item.position)).copied().map(danmaku).collect();
            let truncated = !page.whole || page.history.more && missed.len() == items.len();
            (missed, truncated)
        }
    };
    let mut batches = encode::batches(danmaku.iter());
    if batches.is_empty() {
        batches.push(pb::Batch::default());
    }
    let last = batches.len() - 1;
    if page.whole {
        // A cursor says that all before it was served.
        batches[last].cursor = page.history.applied.encode();
    }
    for batch in batches {
        encoder.encode(&pb::History { batch: Some(batch), truncated }, frames);
    }
}

fn danmaku(item: &HistoryItem) -> Danmaku {
    Danmaku::of(item.position, &item.entry, item.received_ms)
}
