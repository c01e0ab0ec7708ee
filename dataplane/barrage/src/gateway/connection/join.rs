//! Joining: what a version 2 viewer gets before it is live.
//!
//! Room state, leaderboard, what moderators set and pinned, and history: the newest danmaku, or after a break those that
//! the viewer's cursor does not cover. The history is read once for all who join within a moment. Then the viewer is let
//! in to the kept flushes that the history does not include, so nothing is missing between; what overlaps its client
//! drops by ID.

use std::rc::Rc;

use super::viewer::Viewer;
use crate::gateway::delivery::{Subscriber, Wanted};

/// Serves a viewer its beginning and lets it in. If the store cannot say, it goes live without history.
pub(super) async fn join(viewer: Rc<Viewer>, wanted: Wanted) {
    let room = viewer.room();
    let entered_at = room.flush_number();
    let page = room.page(viewer.store(), &wanted).await;
    if viewer.has_ended() {
        return;
    }
    viewer.send(&room.beginning(&page, &wanted));
    room.join(&*viewer, page.applied(), page.board_at().min(entered_at));
}
