//! A room at one shard: its viewers, the loop that writes a flush to them, and the last flushes for who is behind.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use barrage_proto::Cursor;
use bytes::Bytes;

use super::{
    Metrics,
    connection::{Version, Viewer},
    echo::Echoes,
    encode::{Flush, standing},
    join::Pages,
    served::ServedRoom,
};

/// How long flushes are kept for viewers that join or fall behind.
const KEPT: Duration = Duration::from_secs(5);
/// Flushes kept of a room at the most: 5 s at the shortest flush interval of 10 ms.
const KEPT_FLUSHES_MAX: usize = 500;
/// A viewer that fell behind gets this much of what it missed, the newest; the rest is skipped.
const CATCH_UP_BYTES_MAX: usize = 64 * 1024;

/// A room as one shard serves it.
pub(super) struct RoomHere {
    pub(super) served: Arc<ServedRoom>,
    v1: Channel,
    v2: Channel,
    /// What all flushes so far account for.
    pub(super) watermark: RefCell<Cursor>,
    pub(super) echoes: RefCell<Echoes>,
    /// Pages of history that joining viewers share.
    pub(super) pages: Pages,
    metrics: Metrics,
}

/// The viewers of one wire format and the flushes they get.
#[derive(Default)]
struct Channel {
    viewers: RefCell<Vec<Rc<Viewer>>>,
    /// Number of the last flush.
    number: Cell<u64>,
    kept: RefCell<VecDeque<(Instant, Arc<Flush>)>>,
}

/// What a broadcast did: flushes × viewers.
#[derive(Default)]
struct Tally {
    offered: u64,
    delivered: u64,
}

impl RoomHere {
    pub(super) fn new(served: Arc<ServedRoom>, metrics: Metrics) -> Self {
        Self {
            served,
            v1: Channel::default(),
            v2: Channel::default(),
            watermark: RefCell::default(),
            echoes: RefCell::default(),
            pages: Pages::default(),
            metrics,
        }
    }

    fn channel(&self, version: Version) -> &Channel {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }

    /// Puts a viewer on the list. One of version 1 gets everything from the next flush on; one of version 2 nothing
    /// until it has its history ([`Self::join`]).
    pub(super) fn enter(&self, viewer: &Rc<Viewer>) {
        let channel = self.channel(viewer.version);
        if viewer.version == Version::V1 {
            viewer.next_flush.set(Some(channel.number.get() + 1));
        }
        let mut viewers = channel.viewers.borrow_mut();
        viewer.slot.set(viewers.len());
        viewers.push(Rc::clone(viewer));
        self.served.heat.connected();
        if self.served.viewers.fetch_add(1, Ordering::Relaxed) == 0 {
            viewer.shard.served.want(self.served.id());
        }
    }

    /// Takes a viewer off the list.
    pub(super) fn leave(&self, viewer: &Rc<Viewer>) {
        let channel = self.channel(viewer.version);
        let mut viewers = channel.viewers.borrow_mut();
        let slot = viewer.slot.get();
        viewers.swap_remove(slot);
        if let Some(moved) = viewers.get(slot) {
            moved.slot.set(slot);
        }
        self.served.viewers.fetch_sub(1, Ordering::Relaxed);
        self.served.heat.disconnected();
        if let Some(next) = viewer.next_flush.take() {
            self.metrics.skipped.inc_by(channel.number.get() + 1 - next);
        }
    }

    /// Every viewer here.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Viewer)) {
        for channel in [&self.v1, &self.v2] {
            channel.viewers.borrow().iter().for_each(|viewer| visit(viewer));
        }
    }

    /// Writes a flush to every viewer that is up to date; who is not catches up by itself.
    pub(super) fn broadcast(&self, flush: &Arc<Flush>, now: Instant) {
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
            self.served.heat.frames(0, tally.delivered * message.len() as u64);
        }
        self.echoes.borrow_mut().flushed(flush, &self.watermark.borrow());
        for notice in &flush.notices {
            self.for_each_of(notice.user, |viewer| viewer.notify(&notice.notice));
        }
    }

    fn for_each_of(&self, user: u64, visit: impl Fn(&Viewer)) {
        self.for_each(|viewer| {
            if viewer.identity.user == user {
                visit(viewer);
            }
        });
    }

    /// Lets a viewer that has its history in: it gets every kept flush behind number `since`, and those before it that
    /// the history does not include.
    pub(super) fn join(&self, viewer: &Viewer, included: &Cursor, since: u64) {
        let channel = self.channel(viewer.version);
        let kept = channel.kept.borrow();
        let first_kept = channel.number.get() + 1 - kept.len() as u64;
        let covered = |(_, flush): &&(Instant, Arc<Flush>)| included.covers_all(&flush.watermark);
        let next = (first_kept + kept.iter().take_while(covered).count() as u64).min(since + 1).max(first_kept);
        drop(kept);
        self.metrics.offered.inc_by(channel.number.get() + 1 - next);
        viewer.next_flush.set(Some(next));
        if viewer.socket.is_drained() {
            // A frame was written meanwhile; the rest follows when the socket asks for more.
            self.catch_up(viewer);
        }
    }

    /// Number of the last flush for version 2.
    pub(super) fn flush_number(&self) -> u64 {
        self.v2.number.get()
    }

    /// Queues what a drained viewer missed, as far as it is kept; true if there was anything.
    pub(super) fn catch_up(&self, viewer: &Viewer) -> bool {
        let channel = self.channel(viewer.version);
        let last = channel.number.get();
        let Some(next) = viewer.next_flush.get().filter(|&next| next <= last) else { return false };
        viewer.next_flush.set(Some(last + 1));
        let kept = channel.kept.borrow();
        let missed = usize::try_from(last + 1 - next).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let affordable = kept.iter().rev().take(missed).take_while(|(_, flush)| {
            bytes += flush.message(viewer.version).len();
            bytes <= CATCH_UP_BYTES_MAX
        });
        let caught = affordable.count();
        for (_, flush) in kept.range(kept.len() - caught..) {
            viewer.socket.send(flush.message(viewer.version));
        }
        if caught < missed && viewer.version == Version::V2 {
            // What changed in the skipped flushes, as it stands now.
            viewer.socket.send(&standing(&self.served, &mut viewer.shard.encoder.borrow_mut()));
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

impl Channel {
    /// The hot loop: one non-blocking write per viewer of the same bytes, no lock, no copy, no wake-up.
    fn broadcast(&self, message: &Bytes) -> Tally {
        let number = self.number.get() + 1;
        self.number.set(number);
        let mut tally = Tally::default();
        for viewer in self.viewers.borrow().iter() {
            let next = viewer.next_flush.get();
            tally.offered += u64::from(next.is_some());
            if next == Some(number) && viewer.socket.is_drained() {
                viewer.next_flush.set(Some(number + 1));
                viewer.socket.send(message);
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

impl Flush {
    /// The message for a version; empty when it has nothing to say to it.
    pub(super) const fn message(&self, version: Version) -> &Bytes {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }
}
