//! A room at one worker: its viewers, the loop that writes a flush to them, and the last flushes for who is behind.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use barrage_proto::{Cursor, Position, log::Entry, v2::Encoder};
use bytes::Bytes;

use super::{
    echo::{Echoes, Own},
    pages::{Page, Pages, Wanted},
    subscriber::Subscriber,
};
use crate::gateway::{
    encode::{Flush, Version},
    metrics::Metrics,
    state::RoomState,
};
use barrage_core::{link::Danmaku, store::Store};

/// How long flushes are kept for viewers that join or fall behind.
const KEPT: Duration = Duration::from_secs(5);
/// Flushes kept of a room at the most: 5 s at the shortest flush interval of 10 ms.
const KEPT_FLUSHES_MAX: usize = 500;
/// A viewer that fell behind gets this much of what it missed, the newest; the rest is skipped.
const CATCH_UP_BYTES_MAX: usize = 64 * 1024;

/// A room as one worker serves it.
pub(crate) struct LocalRoom<V> {
    pub(crate) state: Arc<RoomState>,
    v1: Channel<V>,
    v2: Channel<V>,
    watermark: RefCell<Cursor>,
    echoes: RefCell<Echoes<V>>,
    /// Pages of history that joining viewers share.
    pages: Pages,
    /// The worker's.
    encoder: Rc<RefCell<Encoder>>,
    metrics: Metrics,
}

/// The viewers of one wire format and the flushes they get.
struct Channel<V> {
    viewers: RefCell<Vec<Rc<V>>>,
    /// Number of the last flush.
    number: Cell<u64>,
    kept: RefCell<VecDeque<(Instant, Arc<Flush>)>>,
}

impl<V> Default for Channel<V> {
    fn default() -> Self {
        Self { viewers: RefCell::default(), number: Cell::new(0), kept: RefCell::default() }
    }
}

/// What a broadcast did: flushes × viewers.
#[derive(Default)]
struct Tally {
    offered: u64,
    delivered: u64,
}

impl<V: Subscriber> LocalRoom<V> {
    pub(super) fn new(state: Arc<RoomState>, encoder: Rc<RefCell<Encoder>>, metrics: Metrics) -> Self {
        Self {
            state,
            v1: Channel::default(),
            v2: Channel::default(),
            watermark: RefCell::default(),
            echoes: RefCell::default(),
            pages: Pages::default(),
            encoder,
            metrics,
        }
    }

    const fn channel(&self, version: Version) -> &Channel<V> {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }

    /// Puts a viewer on the list. One of version 1 gets everything from the next flush on; one of version 2 nothing
    /// until it has its history ([`Self::join`]). True if it is the room's only viewer at this gateway.
    pub(crate) fn enter(&self, viewer: &Rc<V>) -> bool {
        let seat = viewer.seat();
        let channel = self.channel(seat.version);
        if seat.version == Version::V1 {
            seat.next_flush.set(Some(channel.number.get() + 1));
        }
        let mut viewers = channel.viewers.borrow_mut();
        seat.slot.set(viewers.len());
        viewers.push(Rc::clone(viewer));
        self.state.heat.connected();
        self.state.viewers.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Takes a viewer off the list.
    pub(crate) fn leave(&self, viewer: &V) {
        let seat = viewer.seat();
        let channel = self.channel(seat.version);
        let mut viewers = channel.viewers.borrow_mut();
        let slot = seat.slot.get();
        viewers.swap_remove(slot);
        if let Some(moved) = viewers.get(slot) {
            moved.seat().slot.set(slot);
        }
        self.state.viewers.fetch_sub(1, Ordering::Relaxed);
        self.state.heat.disconnected();
        if let Some(next) = seat.next_flush.take() {
            self.metrics.skipped.inc_by(channel.number.get() + 1 - next);
        }
    }

    /// Every viewer here.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&V)) {
        for channel in [&self.v1, &self.v2] {
            channel.viewers.borrow().iter().for_each(|viewer| visit(viewer));
        }
    }

    /// Writes a flush to every viewer that is up to date; who is not catches up by itself.
    pub(crate) fn broadcast(&self, flush: &Arc<Flush>, now: Instant) {
        self.watermark.borrow_mut().merge(&flush.watermark);
        for (channel, version) in [(&self.v1, Version::V1), (&self.v2, Version::V2)] {
            let message = flush.message(version);
            if message.is_empty() {
                continue;
            }
            let tally = channel.broadcast(message);
            channel.keep(flush, now);
            self.metrics.offered.inc_by(tally.offered);
            self.metrics.delivered.inc_by(tally.delivered);
            self.state.heat.frames(0, tally.delivered * message.len() as u64);
        }
        let left_out = self.echoes.borrow_mut().flushed(flush, &self.watermark.borrow());
        left_out.into_iter().for_each(|own| self.echo(own));
        for notice in &flush.notices {
            self.for_each_of(notice.user, |viewer| viewer.notify(&notice.notice));
        }
    }

    fn for_each_of(&self, user: u64, visit: impl Fn(&V)) {
        self.for_each(|viewer| {
            if viewer.seat().user == user {
                visit(viewer);
            }
        });
    }

    /// A viewer's danmaku was accepted: its sender is to see it, whatever becomes of it.
    pub(crate) fn accepted(&self, sender: Weak<V>, shard: u32, danmaku: Danmaku) {
        self.echoes.borrow_mut().accepted(sender, shard, danmaku);
    }

    /// The log does not have a danmaku.
    pub(crate) fn refused(&self, entry: &Entry) {
        self.echoes.borrow_mut().refused(entry);
    }

    /// The log has a danmaku at `position`.
    pub(crate) fn acknowledged(&self, entry: &Entry, position: Position) {
        let left_out = self.echoes.borrow_mut().acknowledged(entry, position, &self.watermark.borrow());
        if let Some(own) = left_out {
            self.echo(own);
        }
    }

    /// Shows a sender its own danmaku that nobody else was shown.
    fn echo(&self, own: Own<V>) {
        let Some(sender) = own.sender.upgrade() else { return };
        if self.state.moderation.hides(&own.danmaku) {
            return;
        }
        self.metrics.echoes.inc();
        let message = own.message(sender.seat().version, &mut self.encoder.borrow_mut());
        sender.send(&message);
    }

    /// What a viewer begins with, shared with others who come within a moment.
    pub(crate) async fn page(&self, store: &Store, wanted: &Wanted) -> Rc<Page> {
        match self.pages.read(store, &self.state, wanted, || self.flush_number()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, room = %self.state.id(), "a viewer joins without history");
                let board = self.state.board().unwrap_or_default();
                Rc::new(Page::without_history(self.watermark.borrow().clone(), board, self.flush_number()))
            }
        }
    }

    /// The first message to a viewer: room state, leaderboard, what stands, and history.
    pub(crate) fn beginning(&self, page: &Page, wanted: &Wanted) -> Bytes {
        page.encode(wanted, &self.state, &mut self.encoder.borrow_mut())
    }

    /// Lets a viewer that has its history in: it gets every kept flush behind number `since`, and those before it that
    /// the history does not include.
    pub(crate) fn join(&self, viewer: &V, included: &Cursor, since: u64) {
        let seat = viewer.seat();
        let channel = self.channel(seat.version);
        let kept = channel.kept.borrow();
        let first_kept = channel.number.get() + 1 - kept.len() as u64;
        let covered = |(_, flush): &&(Instant, Arc<Flush>)| included.covers_all(&flush.watermark);
        let next = (first_kept + kept.iter().take_while(covered).count() as u64).min(since + 1).max(first_kept);
        drop(kept);
        self.metrics.offered.inc_by(channel.number.get() + 1 - next);
        seat.next_flush.set(Some(next));
        if viewer.is_drained() {
            // A frame was written meanwhile; the rest follows when the socket asks for more.
            self.catch_up(viewer);
        }
    }

    /// Number of the last flush for version 2.
    pub(crate) fn flush_number(&self) -> u64 {
        self.v2.number.get()
    }

    /// Queues what a drained viewer missed, as far as it is kept; true if there was anything.
    pub(crate) fn catch_up(&self, viewer: &V) -> bool {
        let seat = viewer.seat();
        let channel = self.channel(seat.version);
        let last = channel.number.get();
        let Some(next) = seat.next_flush.get().filter(|&next| next <= last) else { return false };
        seat.next_flush.set(Some(last + 1));
        let kept = channel.kept.borrow();
        let missed = usize::try_from(last + 1 - next).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let affordable = kept.iter().rev().take(missed).take_while(|(_, flush)| {
            bytes += flush.message(seat.version).len();
            bytes <= CATCH_UP_BYTES_MAX
        });
        let caught = affordable.count();
        for (_, flush) in kept.range(kept.len() - caught..) {
            viewer.write(flush.message(seat.version));
        }
        if caught < missed && seat.version == Version::V2 {
            // What changed in the skipped flushes, as it stands now.
            viewer.write(&self.state.encode_whole(&mut self.encoder.borrow_mut()));
        }
        self.metrics.delivered.inc_by(caught as u64);
        self.metrics.skipped.inc_by((missed - caught) as u64);
        true
    }

    /// Lets go of what nobody needs any more: a silent room costs nothing.
    pub(super) fn tidy(&self, now: Instant) {
        for channel in [&self.v1, &self.v2] {
            channel.forget_old(now);
        }
        self.pages.forget_old();
    }
}

impl<V: Subscriber> Channel<V> {
    /// The hot loop: one non-blocking write per viewer of the same bytes, no lock, no copy, no wake-up.
    fn broadcast(&self, message: &Bytes) -> Tally {
        let number = self.number.get() + 1;
        self.number.set(number);
        let mut tally = Tally::default();
        for viewer in self.viewers.borrow().iter() {
            let seat = viewer.seat();
            let next = seat.next_flush.get();
            tally.offered += u64::from(next.is_some());
            if next == Some(number) && viewer.is_drained() {
                seat.next_flush.set(Some(number + 1));
                viewer.write(message);
                tally.delivered += 1;
            }
        }
        tally
    }

    fn keep(&self, flush: &Arc<Flush>, now: Instant) {
        self.kept.borrow_mut().push_back((now, Arc::clone(flush)));
        self.forget_old(now);
    }

    fn forget_old(&self, now: Instant) {
        let mut kept = self.kept.borrow_mut();
        while kept.len() > KEPT_FLUSHES_MAX || kept.front().is_some_and(|(then, _)| now.duration_since(*then) > KEPT) {
            kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
