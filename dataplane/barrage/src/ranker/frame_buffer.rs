//! What a room's ranker has emitted, for gateways to take at their own pace.
//!
//! The last frames are kept, with the state before the first of them: whoever has a kept frame goes on from it, anybody
//! else from that state. A slow gateway holds up nobody; it only falls out of what is kept.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use barrage_proto::Cursor;
use tokio::sync::watch;

use barrage_core::{
    link::{Emitted, RoomFrame, Snapshot},
    room::RoomId,
    store::Scored,
};

/// How long frames are kept: as long as a gateway may be cut off without missing any.
const KEPT_MS: i64 = 5_000;
/// And how many: 5 s of ticks.
const KEPT_FRAMES: usize = 500;

/// The frame buffers of all rooms that a gateway follows or that this ranker ranks.
#[derive(Clone, Default)]
pub(super) struct FrameBuffers(Arc<Mutex<HashMap<RoomId, Arc<FrameBuffer>>>>);

impl FrameBuffers {
    pub(super) fn find_or_make(&self, room: &RoomId) -> Arc<FrameBuffer> {
        let mut frame_buffers = self.lock();
        if let Some(frame_buffer) = frame_buffers.get(room) {
            return Arc::clone(frame_buffer);
        }
        let frame_buffer = Arc::new(FrameBuffer::new());
        frame_buffers.insert(room.clone(), Arc::clone(&frame_buffer));
        frame_buffer
    }

    /// Forgets frame buffers that nobody follows and that have been silent. One of a room that is ranked here stays: what comes
    /// next goes on from what it holds.
    pub(super) fn tidy(&self, now_ms: i64, is_ranked: impl Fn(&RoomId) -> bool) {
        self.lock().retain(|room, frame_buffer| is_ranked(room) || !frame_buffer.is_idle(now_ms));
    }

    /// Empties frame buffers: a gateway that follows next is given nothing of what the rooms were.
    pub(super) fn empty(&self, which: impl Fn(&RoomId) -> bool) {
        self.lock().iter().filter(|(room, _)| which(room)).for_each(|(_, frame_buffer)| frame_buffer.empty());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<FrameBuffer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One room's.
pub(super) struct FrameBuffer {
    state: Mutex<State>,
    newest: watch::Sender<(u64, u64)>,
    viewers: watch::Sender<u32>,
    settled: watch::Sender<(u64, u64)>,
}

#[derive(Default)]
struct State {
    /// Before the first kept frame.
    base: Snapshot,
    frames: VecDeque<(i64, Arc<Emitted>)>,
    /// What gateways have got and how many watch there, by session.
    seen: HashMap<u64, ((u64, u64), u32)>,
    /// Gateways refuse what is below.
    epoch_wanted: u64,
    /// Frames with acts that not all gateways have.
    acted: VecDeque<(u64, u64)>,
}

#[derive(Default)]
pub(super) struct Missing {
    pub(super) snapshot: Option<Snapshot>,
    pub(super) frames: Vec<Arc<Emitted>>,
}

impl FrameBuffer {
    fn new() -> Self {
        let (newest, viewers, settled) = (watch::channel((0, 0)).0, watch::channel(0).0, watch::channel((0, 0)).0);
        Self { state: Mutex::default(), newest, viewers, settled }
    }

    /// A new epoch: what was emitted before is not this ranker's to give any more.
    pub(super) fn begin(&self, epoch: u64, watermark: &Cursor) {
        let mut state = self.lock();
        state.base = Snapshot { epoch, number: 0, watermark: watermark.clone(), board: Vec::new() };
        state.frames.clear();
        state.acted.clear();
        drop(state);
        self.newest.send_replace((epoch, 0));
    }

    fn empty(&self) {
        let mut state = self.lock();
        while let Some((_, oldest)) = state.frames.pop_front() {
            take_in(&mut state.base, &oldest.frame);
        }
        state.base.board.clear();
    }

    /// The lowest epoch that every gateway takes frames of.
    pub(super) fn epoch_wanted(&self) -> u64 {
        self.lock().epoch_wanted
    }

    pub(super) fn emit(&self, frame: RoomFrame, now_ms: i64) {
        let newest = (frame.epoch, frame.number);
        let mut state = self.lock();
        if !frame.acts.is_empty() {
            state.acted.push_back(newest);
        }
        state.frames.push_back((now_ms, Arc::new(frame.into())));
        while let Some((at_ms, _)) = state.frames.front()
            && (now_ms - at_ms > KEPT_MS || state.frames.len() > KEPT_FRAMES)
        {
            if let Some((_, oldest)) = state.frames.pop_front() {
                take_in(&mut state.base, &oldest.frame);
            }
        }
        drop(state);
        self.newest.send_replace(newest);
    }

    /// Epoch and number of the newest frame, as it changes.
    pub(super) fn newest(&self) -> watch::Receiver<(u64, u64)> {
        self.newest.subscribe()
    }

    /// What a gateway lacks that has frames up to (epoch, number).
    pub(super) fn since(&self, (epoch, number): (u64, u64)) -> Missing {
        let state = self.lock();
        if state.base.epoch == 0 {
            return Missing::default();
        }
        let goes_on = epoch == state.base.epoch && number >= state.base.number;
        let first = if goes_on { number + 1 } else { 0 };
        let frames = state.frames.iter().map(|(_, emitted)| emitted).filter(|emitted| emitted.frame.number >= first);
        let frames = frames.cloned().collect();
        Missing { snapshot: (!goes_on).then(|| state.base.clone()), frames }
    }

    /// A gateway follows, which has frames up to (epoch, number).
    pub(super) fn join(&self, session: u64, has: (u64, u64)) {
        let mut state = self.lock();
        let newest = state
            .frames
            .back()
            .map_or((state.base.epoch, state.base.number), |(_, emitted)| (emitted.frame.epoch, emitted.frame.number));
        // It knows more than this ranker, whose store forgot an epoch: go above it.
        if has > newest {
            state.epoch_wanted = state.epoch_wanted.max(has.0 + 1);
        }
        state.seen.insert(session, (has, 0));
    }

    pub(super) fn seen(&self, session: u64, has: (u64, u64), viewers: u32) {
        let mut state = self.lock();
        if let Some((seen, watching)) = state.seen.get_mut(&session) {
            *seen = has.max(*seen);
            *watching = viewers;
        }
        self.count_viewers(&state);
        self.settle(&mut state);
    }

    /// The last frame with acts that every gateway has, as it changes.
    pub(super) fn acts_settled(&self) -> watch::Receiver<(u64, u64)> {
        self.settled.subscribe()
    }

    fn settle(&self, state: &mut State) {
        let Some(everywhere) = state.seen.values().map(|(has, _)| *has).min() else { return };
        while let Some(settled) = state.acted.pop_front_if(|acted| *acted <= everywhere) {
            self.settled.send_replace(settled);
        }
    }

    /// How many watch at all gateways, as it changes.
    pub(super) fn viewers(&self) -> watch::Receiver<u32> {
        self.viewers.subscribe()
    }

    fn count_viewers(&self, state: &State) {
        let sum = state.seen.values().map(|(_, viewers)| viewers).sum();
        self.viewers.send_if_modified(|viewers| std::mem::replace(viewers, sum) != sum);
    }

    /// Epoch and number of the last frame that a gateway has.
    pub(super) fn has(&self, session: u64) -> Option<(u64, u64)> {
        self.lock().seen.get(&session).map(|(has, _)| *has)
    }

    pub(super) fn leave(&self, session: u64) {
        let mut state = self.lock();
        state.seen.remove(&session);
        self.count_viewers(&state);
        self.settle(&mut state);
    }

    /// The last frame of an epoch that every gateway has; `None` when nobody follows.
    pub(super) fn settled(&self, epoch: u64) -> Option<u64> {
        let state = self.lock();
        state.seen.values().map(|&((of, number), _)| if of == epoch { number } else { 0 }).min()
    }

    fn is_idle(&self, now_ms: i64) -> bool {
        let state = self.lock();
        state.seen.is_empty() && state.frames.back().is_none_or(|(at_ms, _)| now_ms - at_ms > KEPT_MS)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_in(snapshot: &mut Snapshot, frame: &RoomFrame) {
    (snapshot.epoch, snapshot.number) = (frame.epoch, frame.number);
    snapshot.watermark.merge(&frame.watermark);
    let Some(change) = &frame.board else { return };
    let mut scores: HashMap<u64, u64> = match change.reset {
        true => HashMap::new(),
        false => snapshot.board.iter().map(|scored| (scored.user, scored.score)).collect(),
    };
    for user in &change.removed {
        scores.remove(user);
    }
    scores.extend(change.scores.iter().map(|scored| (scored.user, scored.score)));
    snapshot.board = scores.into_iter().map(|(user, score)| Scored { user, score }).collect();
    snapshot.board.sort_unstable_by_key(|scored| (std::cmp::Reverse(scored.score), scored.user));
}

#[cfg(test)]
mod tests {
    use barrage_core::link::BoardChange;

    use super::*;

    fn emit(frame_buffer: &FrameBuffer, number: u64, at_ms: i64) {
        frame_buffer.emit(RoomFrame { epoch: 3, number, ..RoomFrame::default() }, at_ms);
    }

    fn numbers(missing: &Missing) -> Vec<u64> {
        missing.frames.iter().map(|emitted| emitted.frame.number).collect()
    }

    #[test]
    fn who_has_a_kept_frame_goes_on_and_anybody_else_from_the_state_before() {
        let frame_buffer = FrameBuffer::new();
        assert!(frame_buffer.since((0, 0)).snapshot.is_none(), "nothing is known before the takeover");
        frame_buffer.begin(3, &Cursor::default());
        (1..=6).for_each(|number| emit(&frame_buffer, number, i64::try_from(number).unwrap() * 1_000));
        let missing = frame_buffer.since((3, 4));
        assert_eq!((missing.snapshot, frame_buffer.since((3, 6)).frames.len()), (None, 0));
        emit(&frame_buffer, 7, 7_500);
        // Frames 1 and 2 are over 5 s old.
        for has in [(0, 0), (2, 9), (3, 1)] {
            let missing = frame_buffer.since(has);
            assert_eq!(missing.snapshot.as_ref().map(|base| (base.epoch, base.number)), Some((3, 2)));
            assert_eq!(numbers(&missing), [3, 4, 5, 6, 7]);
        }
        assert_eq!(numbers(&frame_buffer.since((3, 2))), [3, 4, 5, 6, 7]);
        assert!(frame_buffer.since((3, 2)).snapshot.is_none());
    }

    #[test]
    fn a_room_that_was_left_for_long_is_seen_by_who_comes_back() {
        let (frame_buffers, demo, late) = (FrameBuffers::default(), RoomId::from("demo"), 60_000);
        frame_buffers.find_or_make(&demo).begin(3, &Cursor::default());
        emit(&frame_buffers.find_or_make(&demo), 1, 1_000);
        frame_buffers.tidy(late, |_| true);
        emit(&frame_buffers.find_or_make(&demo), 2, late);
        let missing = frame_buffers.find_or_make(&demo).since((0, 0));
        assert_eq!(missing.snapshot.as_ref().map(|base| (base.epoch, base.number)), Some((3, 1)));
        assert_eq!(numbers(&missing), [2]);
        frame_buffers.tidy(2 * late, |_| false);
        assert!(frame_buffers.find_or_make(&demo).since((0, 0)).snapshot.is_none());
    }

    #[test]
    fn who_comes_to_a_room_that_was_emptied_is_given_nothing_of_it_and_who_is_there_misses_no_number() {
        let (frame_buffers, demo) = (FrameBuffers::default(), RoomId::from("demo"));
        let frame_buffer = frame_buffers.find_or_make(&demo);
        frame_buffer.begin(3, &Cursor::default());
        let board = BoardChange { scores: vec![Scored { user: 7, score: 1 }], ..BoardChange::default() };
        frame_buffer.emit(RoomFrame { epoch: 3, number: 1, board: Some(board), ..RoomFrame::default() }, 0);
        frame_buffers.empty(|room| *room == demo);
        let missing = frame_buffer.since((0, 0));
        let base = missing.snapshot.unwrap();
        assert_eq!((base.epoch, base.number, base.board, missing.frames.len()), (3, 1, Vec::new(), 0));
        assert!(frame_buffer.since((3, 1)).snapshot.is_none());
    }

    #[test]
    fn frames_settle_when_the_slowest_gateway_has_them() {
        let frame_buffer = FrameBuffer::new();
        frame_buffer.begin(3, &Cursor::default());
        assert_eq!(frame_buffer.settled(3), None);
        frame_buffer.join(1, (0, 0));
        frame_buffer.join(2, (2, 50));
        frame_buffer.seen(1, (3, 4), 5);
        assert_eq!(frame_buffer.settled(3), Some(0));
        frame_buffer.seen(2, (3, 2), 7);
        assert_eq!(*frame_buffer.viewers().borrow(), 12);
        assert_eq!(frame_buffer.settled(3), Some(2));
        frame_buffer.leave(2);
        assert_eq!(*frame_buffer.viewers().borrow(), 5);
        assert_eq!(frame_buffer.settled(3), Some(4));
        assert_eq!(frame_buffer.epoch_wanted(), 0);
        frame_buffer.join(3, (8, 1));
        assert_eq!(frame_buffer.epoch_wanted(), 9);
    }
}
