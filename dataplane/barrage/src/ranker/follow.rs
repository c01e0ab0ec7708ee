//! One gateway's session: a way of its own for each room that is busy, one for all others.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinSet},
    time::{Duration, Instant, sleep, sleep_until},
};

use super::frame_buffer::{FrameBuffer, FrameBuffers};
use barrage_core::{
    link::{Closed, FromGateway, Request, Stream, Streams, Update},
    room::RoomId,
};

/// A room with this many frames in a second gets a way of its own.
const BUSY_FRAMES_PER_SECOND: usize = 20;
/// How often a room that waits for its own way looks whether the gateway has all that went the common one.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often a gateway is told how many watch: each gateway's count changes with every viewer that comes.
const VIEWERS_EVERY: Duration = Duration::from_secs(1);

/// Serves a gateway until its session ends.
pub(super) async fn serve(session: FromGateway, id: u64, frame_buffers: FrameBuffers) {
    let FromGateway { gateway, mut requests, streams } = session;
    tracing::info!(%gateway, "linked");
    let Ok(common) = streams.open().await else { return };
    let common = Arc::new(Mutex::new(common));
    let mut tasks = JoinSet::new();
    let mut followed: HashMap<RoomId, (Arc<FrameBuffer>, AbortHandle)> = HashMap::new();
    while let Some(request) = requests.recv().await {
        match request {
            Request::Follow { room, epoch, number } => {
                if let Some((_, task)) = followed.remove(&room) {
                    task.abort();
                }
                let frame_buffer = frame_buffers.find_or_make(&room);
                frame_buffer.join(id, (epoch, number));
                let has = (epoch, number);
                let (common, streams) = (Arc::clone(&common), streams.clone());
                let follower = Follower {
                    room: room.clone(),
                    session: id,
                    frame_buffer: Arc::clone(&frame_buffer),
                    has,
                    common,
                    streams,
                };
                let task = tasks.spawn(follower.run());
                followed.insert(room, (frame_buffer, task));
            }
            Request::Unfollow { room } => {
                if let Some((frame_buffer, task)) = followed.remove(&room) {
                    task.abort();
                    frame_buffer.leave(id);
                }
            }
            Request::Seen { room, epoch, number, viewers } => {
                if let Some((frame_buffer, _)) = followed.get(&room) {
                    frame_buffer.seen(id, (epoch, number), viewers);
                }
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    followed.values().for_each(|(frame_buffer, _)| frame_buffer.leave(id));
    tracing::info!(%gateway, "link ended");
}

/// One room of one gateway.
struct Follower {
    room: RoomId,
    session: u64,
    frame_buffer: Arc<FrameBuffer>,
    /// Epoch and number of the last frame sent.
    has: (u64, u64),
    common: Arc<Mutex<Stream>>,
    streams: Streams,
}

impl Follower {
    async fn run(mut self) {
        let mut newest = self.frame_buffer.newest();
        let mut viewers = self.frame_buffer.viewers();
        viewers.mark_changed();
        let mut settled = self.frame_buffer.acts_settled();
        // What settled before this gateway came may be what somebody waits for there.
        settled.mark_changed();
        let mut viewers_due = Instant::now();
        let mut own: Option<Stream> = None;
        let mut sent: VecDeque<Instant> = VecDeque::new();
        loop {
            newest.mark_unchanged();
            let missing = self.frame_buffer.since(self.has);
            let snapshot = missing.snapshot.map(|snapshot| {
                let has = (snapshot.epoch, snapshot.number);
                (has, Update::Snapshot(self.room.clone(), snapshot))
            });
            let frames = missing.frames.into_iter().map(|emitted| {
                let has = (emitted.frame.epoch, emitted.frame.number);
                (has, Update::Frame(self.room.clone(), emitted))
            });
            let is_due = Instant::now() >= viewers_due && viewers.has_changed().unwrap_or(false);
            let watching = is_due.then(|| {
                viewers_due = Instant::now() + VIEWERS_EVERY;
                (self.has, Update::Viewers(self.room.clone(), *viewers.borrow_and_update()))
            });
            let done = settled.has_changed().unwrap_or(false).then(|| *settled.borrow_and_update());
            let done = done.map(|done| (self.has, Update::Settled(self.room.clone(), done)));
            for (has, update) in watching.into_iter().chain(done).chain(snapshot).chain(frames) {
                let done = match &mut own {
                    Some(own) => own.send(update).await,
                    None => self.common.lock().await.send(update).await,
                };
                if done.is_err() {
                    return;
                }
                self.has = has;
                sent.push_back(Instant::now());
            }
            while sent.front().is_some_and(|at| at.elapsed() > Duration::from_secs(1)) {
                sent.pop_front();
            }
            // It changes ways only when the gateway has all that went the old one: frames never overtake each other.
            if own.is_none() && sent.len() > BUSY_FRAMES_PER_SECOND {
                own = self.own_way().await.ok();
            } else if own.is_some() && sent.len() <= 1 && self.frame_buffer.has(self.session) == Some(self.has) {
                own = None;
            }
            tokio::select! {
                changed = newest.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return,
                },
                Ok(()) = async {
                    sleep_until(viewers_due).await;
                    viewers.changed().await
                } => viewers.mark_changed(),
                Ok(()) = settled.changed() => settled.mark_changed(),
            }
        }
    }

    async fn own_way(&self) -> Result<Stream, Closed> {
        while self.frame_buffer.has(self.session).is_some_and(|has| has < self.has) {
            sleep(LOOK_EVERY).await;
        }
        self.streams.open().await
    }
}
