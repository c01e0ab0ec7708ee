//! The hub: follows the rankers, gathers ticks into flushes, encodes each once and hands it to every shard.

mod awaited;
mod followed;
mod links;
mod mailbox;
mod pending;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::v2::Encoder;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    acts::{self, Awaited},
    checks,
    encode::{Content, Flush},
    moderated::missed,
    served::{Served, ServedRoom},
};
use barrage_core::{
    clock::unix_ms,
    link::{BoardChange, Following, Update},
    room::RoomId,
    routes::Routes,
    trace::{Span, Stage, TraceParent, Tracer},
};
use followed::Followed;
use links::{Event, Links};
use pending::{Pace, Pending};

pub(super) use mailbox::{Mailbox, Rounds, mailbox};

/// How often room states and cursors are looked at.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// Updates taken at once.
const RECEIVE_MAX: usize = 1_024;
/// A room without viewers is followed on for this long: they may come back.
const UNFOLLOW_AFTER: Duration = Duration::from_secs(60);

/// What shards are handed: the flushes of one round.
pub(super) type Flushes = Arc<[Arc<Flush>]>;

/// What the hub hears.
pub(super) struct Inputs {
    /// Sessions with rankers, as they begin.
    pub(super) rankers: mpsc::Receiver<Following>,
    /// Rooms with a first viewer.
    pub(super) wishes: mpsc::Receiver<RoomId>,
    pub(super) routes: Routes,
    /// Acts whose arrival everywhere somebody waits for.
    pub(super) acts: mpsc::Receiver<Awaited>,
}

pub(super) struct Hub {
    served: Arc<Served>,
    shards: Vec<Mailbox>,
    encoder: Encoder,
    links: Links,
    rooms: HashMap<RoomId, Followed>,
    pending: Pending,
    pace: Pace,
    awaited: Vec<Awaited>,
    /// Likes on their way to the log.
    likes: JoinSet<()>,
}

impl Hub {
    pub(super) fn new(served: Arc<Served>, shards: Vec<Mailbox>) -> Self {
        let links = Links::default();
        Self {
            served,
            shards,
            encoder: Encoder::new(),
            links,
            rooms: HashMap::new(),
            pending: Pending::default(),
            pace: Pace::new(Instant::now()),
            awaited: Vec::new(),
            likes: JoinSet::new(),
        }
    }

    /// Runs until `shutdown`; dropping the mailboxes lets the shards know.
    pub(super) async fn run(mut self, inputs: Inputs, shutdown: CancellationToken) {
        let Inputs { mut rankers, mut wishes, mut routes, mut acts } = inputs;
        let mut events = Vec::with_capacity(RECEIVE_MAX);
        let mut states = interval(STATE_EVERY);
        states.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.pending.next().unwrap_or_else(Instant::now)), if self.pending.next().is_some() => {
                    self.flush_due();
                }
                _ = self.links.events.recv_many(&mut events, RECEIVE_MAX) => {
                    events.drain(..).for_each(|event| self.hear(event));
                }
                Some(room) = wishes.recv() => self.want(room),
                Some(awaited) = acts.recv() => self.wait_for(awaited),
                Some(session) = rankers.recv() => {
                    self.links.begin(session);
                    self.follow_all();
                }
                Ok(()) = routes.changed() => {
                    routes.mark_unchanged();
                    self.served.follow_routes();
                    self.follow_all();
                }
                _ = states.tick() => self.look(),
                () = shutdown.cancelled() => break,
            }
        }
        let rest = self.pending.take_all();
        self.flush(rest);
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Update(Update::Frame(room, emitted)) => {
                let Some(followed) = self.rooms.get_mut(&room) else { return };
                let served = self.served.room(room.as_str());
                let content = self.pending.of(room, followed.flush_due);
                content.spans.extend(delivering(&self.served.tracer, &emitted.frame.traces));
                followed.take_frame(&emitted.frame, served.as_deref(), content, &self.served.metrics);
            }
            Event::Update(Update::Snapshot(room, snapshot)) => {
                let Some(followed) = self.rooms.get_mut(&room) else { return };
                let served = self.served.room(room.as_str());
                let watermark = snapshot.watermark.clone();
                if followed.take_snapshot(snapshot, served.as_deref(), &self.served.metrics)
                    && let Some(served) = served
                {
                    tokio::spawn(missed::find(served, self.served.store.clone(), watermark));
                }
            }
            Event::Update(Update::Viewers(room, viewers)) => {
                if let Some(served) = self.served.room(room.as_str()) {
                    served.watched_by(viewers);
                }
            }
            Event::Update(Update::Settled(room, frame)) => {
                if let Some(followed) = self.rooms.get_mut(&room) {
                    followed.settle(frame);
                    self.answer_awaited();
                }
            }
            Event::Ended(session) => {
                self.links.end(session);
                self.follow_all();
            }
        }
    }

    /// A room has viewers: follows its ranker.
    fn want(&mut self, room: RoomId) {
        let followed = self.rooms.entry(room.clone()).or_default();
        followed.wanted = Instant::now();
        self.links.follow(&room, followed, &self.served.routes.borrow());
    }

    /// Follows every room where it is ranked now.
    fn follow_all(&mut self) {
        let table = Arc::clone(&self.served.routes.borrow());
        for (room, followed) in &mut self.rooms {
            self.links.follow(room, followed, &table);
        }
        let missing = self.links.missing(&table);
        if missing.is_empty() {
            self.served.health.ok(checks::RANKERS);
        } else {
            let detail = format!("no link to {missing}: viewers of their rooms wait, what they send is kept");
            self.served.health.degraded(checks::RANKERS, detail);
        }
    }

    fn flush_due(&mut self) {
        let now = Instant::now();
        let interval = self.pace.interval(now, self.shards.iter().map(Mailbox::spent));
        let pending = self.pending.take(now, interval, &mut self.rooms);
        self.flush(pending);
    }

    fn flush(&mut self, mut pending: HashMap<RoomId, Content>) {
        let now_ms = unix_ms();
        for (room, content) in &mut pending {
            let Some(followed) = self.rooms.get_mut(room) else { continue };
            let Some(served) = self.served.room(room.as_str()) else { continue };
            self.links.seen(room, followed, served.viewers());
            for danmaku in &content.danmaku {
                let waited_ms = now_ms.saturating_sub(danmaku.received_ms);
                served.heat.shown_after(u32::try_from(waited_ms.max(0)).unwrap_or(u32::MAX));
            }
            if std::mem::take(&mut followed.resync) {
                let scores = served.board().unwrap_or_default();
                content.board = vec![BoardChange { reset: true, scores, removed: Vec::new() }];
                content.state = Some(served.state());
            }
        }
        // They end with this call, when the shards have it.
        let _spans: Vec<_> = pending.values_mut().flat_map(|content| std::mem::take(&mut content.spans)).collect();
        let flushes: Flushes =
            pending.into_iter().map(|(room, content)| Arc::new(content.encode(room, &mut self.encoder))).collect();
        if flushes.is_empty() {
            return;
        }
        self.served.metrics.flushed(&flushes);
        let now = Instant::now();
        for shard in &mut self.shards {
            if !shard.send(&flushes, now) {
                self.served.metrics.shard_overruns.inc();
                for flush in flushes.iter() {
                    if let Some(followed) = self.rooms.get_mut(&flush.room) {
                        followed.resync = true;
                    }
                }
            }
        }
    }

    /// Once a second: who watches, how much is said, where to resume, and how this gateway is.
    fn look(&mut self) {
        for served in self.served.rooms() {
            if served.viewers() > 0 {
                self.want(served.id().clone());
                self.learn(&served);
            }
            if served.moderated.has_missed() {
                let due = self.rooms.get(served.id()).map_or_else(Instant::now, |followed| followed.flush_due);
                let content = self.pending.of(served.id().clone(), due);
                served.moderated.take_missed(&served.room(), content);
            }
            served.forget_limits();
            let Some(followed) = self.rooms.get_mut(served.id()) else { continue };
            served.heat_now.store(followed.heat(), Ordering::Relaxed);
            let messages_per_second = followed.messages_per_second();
            served.messages_per_second.store(messages_per_second, Ordering::Relaxed);
            let here = served.viewers();
            if std::mem::replace(&mut followed.told_viewers, here) != here {
                self.links.seen(served.id(), followed, here);
            }
            let state = served.state();
            let changed = std::mem::replace(&mut followed.state, state) != state;
            let cursor_due = std::mem::take(&mut followed.cursor_due);
            if here > 0 && (changed || cursor_due) {
                let content = self.pending.of(served.id().clone(), followed.flush_due);
                content.state = changed.then_some(state);
                if cursor_due {
                    content.cursor = followed.watermark.encode();
                }
            }
        }
        let (links, served) = (&self.links, &self.served);
        self.rooms.retain(|room, followed| {
            let wanted = followed.wanted.elapsed() < UNFOLLOW_AFTER;
            if !wanted {
                links.unfollow(room, followed);
                if let Some(served) = served.room(room.as_str()) {
                    served.unfollowed();
                }
            }
            wanted
        });
        self.remind_awaited();
        self.bring_likes();
        self.check();
    }

    /// The store did not say what moderators did when the room's viewers came.
    fn learn(&self, room: &Arc<ServedRoom>) {
        if !room.moderated.is_known() {
            let (store, room) = (self.served.store.clone(), Arc::clone(room));
            tokio::spawn(async move { room.moderated.know(&store, room.id()).await });
        }
    }

    /// What viewers liked in the last second, on its way to the log; it waits while that is slow.
    fn bring_likes(&mut self) {
        while self.likes.try_join_next().is_some() {}
        if self.likes.is_empty() {
            self.likes.spawn(acts::bring_likes(Arc::clone(&self.served)));
        }
    }

    fn check(&self) {
        let Served { health, log, store, .. } = &*self.served;
        match log.trouble() {
            None => health.ok(checks::LOG),
            Some(trouble) => health.degraded(checks::LOG, format!("{trouble}; senders are told to try again")),
        }
        match store.trouble() {
            None => health.ok(checks::STORE),
            Some(trouble) => health.degraded(checks::STORE, format!("{trouble}; viewers join without history")),
        }
    }
}

fn delivering(tracer: &Tracer, traces: &[TraceParent]) -> impl Iterator<Item = Span> {
    traces.iter().filter_map(|parent| tracer.follow(Stage::Deliver, parent))
}
