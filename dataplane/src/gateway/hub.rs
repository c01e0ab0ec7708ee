//! The hub: follows the rankers, gathers ticks into flushes, encodes each once and hands it to every shard.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::{
    Cursor,
    v2::{Encoder, pb},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    encode::{Content, Flush},
    served::Served,
};
use crate::{
    link::{BoardChange, Frame, RoomFrame},
    room::RoomId,
};

/// Viewers are written to this often when there is time for it.
const FLUSH_MIN: Duration = Duration::from_millis(10);
/// And at least this often, however many they are.
const FLUSH_MAX: Duration = Duration::from_millis(50);
/// A shard spends at most about this share of its time on broadcasts: 1 / 2.
const FLUSH_PER_BROADCAST: u32 = 2;
/// How often room states and cursors are looked at.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// Seconds that messages/s is averaged over.
const RATE_WINDOW_S: usize = 3;
/// Frames taken at once.
const RECEIVE_MAX: usize = 1_024;

/// What shards are handed: the flushes of one beat.
pub(super) type Flushes = Arc<[Arc<Flush>]>;

pub(super) struct Hub {
    served: Arc<Served>,
    shards: Vec<mpsc::Sender<Flushes>>,
    encoder: Encoder,
    rooms: HashMap<RoomId, Followed>,
    /// Rooms with something to flush.
    pending: HashMap<RoomId, Content>,
}

/// A room as the hub follows it.
#[derive(Default)]
struct Followed {
    epoch: u64,
    number: u64,
    watermark: Cursor,
    cursor_due: bool,
    /// Danmaku of the last seconds, the current one first.
    rate: VecDeque<u32>,
    state: (u32, u32),
    /// Something was lost on the way: the next flush carries the leaderboard and the state whole.
    resync: bool,
}

impl Hub {
    pub(super) fn new(served: Arc<Served>, shards: Vec<mpsc::Sender<Flushes>>) -> Self {
        Self { served, shards, encoder: Encoder::new(), rooms: HashMap::new(), pending: HashMap::new() }
    }

    /// Runs until the ranker has gone or `shutdown`; dropping the mailboxes lets the shards know.
    pub(super) async fn run(mut self, mut frames: mpsc::Receiver<Frame>, shutdown: CancellationToken) {
        let mut received = Vec::with_capacity(RECEIVE_MAX);
        let mut states = interval(STATE_EVERY);
        states.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_flush = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(next_flush), if !self.pending.is_empty() => {
                    self.flush();
                    next_flush = Instant::now() + self.flush_interval();
                }
                count = frames.recv_many(&mut received, RECEIVE_MAX) => {
                    if count == 0 {
                        break;
                    }
                    for (room, frame) in received.drain(..) {
                        self.follow(room, &frame);
                    }
                }
                _ = states.tick() => self.update_states(),
                () = shutdown.cancelled() => break,
            }
        }
        self.flush();
    }

    fn follow(&mut self, room: RoomId, frame: &RoomFrame) {
        let followed = self.rooms.entry(room.clone()).or_default();
        if (frame.epoch, frame.number) <= (followed.epoch, followed.number) {
            self.served.metrics.stale_frames.inc();
            return;
        }
        if frame.epoch == followed.epoch && frame.number > followed.number + 1 {
            self.served.metrics.missed_frames.inc_by(frame.number - followed.number - 1);
            followed.resync = true;
        }
        (followed.epoch, followed.number) = (frame.epoch, frame.number);
        followed.watermark.merge(&frame.watermark);
        followed.cursor_due |= !frame.watermark.is_empty();
        let left_out = frame.left_out;
        let count = u32::try_from(frame.danmaku.len()).unwrap_or(u32::MAX);
        let count = count + left_out.merged + left_out.sampled_out + left_out.expired;
        followed.rate.resize(RATE_WINDOW_S.max(followed.rate.len()), 0);
        followed.rate[0] += count;
        if let (Some(served), Some(change)) = (self.served.room(room.as_str()), &frame.board) {
            served.change_board(change);
        }
        let content = self.pending.entry(room).or_default();
        content.watermark.merge(&frame.watermark);
        content.danmaku.extend_from_slice(&frame.danmaku);
        content.merges.extend_from_slice(&frame.merges);
        content.left_out.merged += left_out.merged;
        content.left_out.sampled_out += left_out.sampled_out;
        content.left_out.expired += left_out.expired;
        content.board.extend(frame.board.clone());
    }

    fn flush(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        for (room, content) in &mut pending {
            let resync = self.rooms.get_mut(room).is_some_and(|followed| std::mem::take(&mut followed.resync));
            if resync && let Some(served) = self.served.room(room.as_str()) {
                let scores = served.board().unwrap_or_default();
                content.board = vec![BoardChange { reset: true, scores, removed: Vec::new() }];
                content.state = Some(served.state());
            }
        }
        let flushes: Flushes =
            pending.into_iter().map(|(room, content)| Arc::new(content.encode(room, &mut self.encoder))).collect();
        if flushes.is_empty() {
            return;
        }
        self.served.metrics.flushed(&flushes);
        for shard in &self.shards {
            if shard.try_send(Arc::clone(&flushes)).is_err() {
                self.served.metrics.shard_overruns.inc();
                for flush in flushes.iter() {
                    if let Some(followed) = self.rooms.get_mut(&flush.room) {
                        followed.resync = true;
                    }
                }
            }
        }
    }

    /// As often as the busiest shard can afford.
    fn flush_interval(&self) -> Duration {
        let busiest = Duration::from_micros(self.served.broadcast_us.load(Ordering::Relaxed));
        (busiest * FLUSH_PER_BROADCAST).clamp(FLUSH_MIN, FLUSH_MAX)
    }

    /// Once a second: who watches, how much is said, where to resume.
    fn update_states(&mut self) {
        for served in self.served.rooms() {
            let id = served.id();
            let viewers = served.viewers();
            if viewers == 0 && !self.rooms.contains_key(id) {
                continue;
            }
            let followed = self.rooms.entry(id.clone()).or_default();
            let messages_per_second = followed.messages_per_second();
            served.messages_per_second.store(messages_per_second, Ordering::Relaxed);
            let state = (viewers, messages_per_second);
            let changed = std::mem::replace(&mut followed.state, state) != state;
            let cursor_due = std::mem::take(&mut followed.cursor_due);
            if viewers > 0 && (changed || cursor_due) {
                let content = self.pending.entry(id.clone()).or_default();
                content.state = changed.then_some(pb::RoomState { viewers, messages_per_second });
                if cursor_due {
                    content.cursor = followed.watermark.encode();
                }
            }
            served.forget_limits();
        }
    }
}

impl Followed {
    /// The mean of the last seconds, rounded up so that a lone danmaku shows; begins the next second.
    fn messages_per_second(&mut self) -> u32 {
        let sum: u32 = self.rate.iter().sum();
        self.rate.push_front(0);
        self.rate.truncate(RATE_WINDOW_S);
        sum.div_ceil(u32::try_from(RATE_WINDOW_S).unwrap_or(1))
    }
}
