//! The hub: follows the rankers, gathers ticks into flushes, encodes each once and hands it to every worker.

mod awaited;
mod links;
mod mailbox;
mod schedule;
mod subscription;

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

use crate::gateway::{
    checks,
    encode::{Content, Flushes},
    publish::moderation_log,
    state::{AwaitedAct, GatewayState, RoomState, missed_acts},
};
use barrage_core::{
    clock::unix_ms,
    link::{BoardChange, Following, Update},
    room::RoomId,
    routes::Routes,
    trace::{Span, Stage, TraceParent, Tracer},
};
use links::{Event, Links};
use schedule::{Pace, Schedule};
use subscription::RoomSubscription;

pub(crate) use mailbox::{Mailbox, Rounds, mailbox};

const STATE_EVERY: Duration = Duration::from_secs(1);
/// Updates taken at once.
const RECEIVE_MAX: usize = 1_024;
/// A room without viewers is followed on for this long: they may come back.
const UNFOLLOW_AFTER: Duration = Duration::from_secs(60);

pub(crate) struct Inputs {
    /// Sessions with rankers, as they begin.
    pub(crate) rankers: mpsc::Receiver<Following>,
    /// Rooms with a first viewer.
    pub(crate) wanted: mpsc::Receiver<RoomId>,
    pub(crate) routes: Routes,
    /// Acts whose arrival everywhere somebody waits for.
    pub(crate) acts: mpsc::Receiver<AwaitedAct>,
}

pub(crate) struct Hub {
    gateway: Arc<GatewayState>,
    workers: Vec<Mailbox>,
    encoder: Encoder,
    links: Links,
    rooms: HashMap<RoomId, RoomSubscription>,
    schedule: Schedule,
    pace: Pace,
    awaited: Vec<AwaitedAct>,
    /// Likes on their way to the log.
    likes: JoinSet<()>,
}

impl Hub {
    pub(crate) fn new(gateway: Arc<GatewayState>, workers: Vec<Mailbox>) -> Self {
        let links = Links::default();
        Self {
            gateway,
            workers,
            encoder: Encoder::new(),
            links,
            rooms: HashMap::new(),
            schedule: Schedule::default(),
            pace: Pace::new(Instant::now()),
            awaited: Vec::new(),
            likes: JoinSet::new(),
        }
    }

    /// Runs until `shutdown`; dropping the mailboxes lets the workers know.
    pub(crate) async fn run(mut self, inputs: Inputs, shutdown: CancellationToken) {
        let Inputs { mut rankers, mut wanted, mut routes, mut acts } = inputs;
        let mut events = Vec::with_capacity(RECEIVE_MAX);
        let mut states = interval(STATE_EVERY);
        states.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.schedule.next().unwrap_or_else(Instant::now)), if self.schedule.next().is_some() => {
                    self.flush_due();
                }
                _ = self.links.events.recv_many(&mut events, RECEIVE_MAX) => {
                    events.drain(..).for_each(|event| self.hear(event));
                }
                Some(room) = wanted.recv() => self.want(room),
                Some(awaited) = acts.recv() => self.wait_for(awaited),
                Some(session) = rankers.recv() => {
                    self.links.begin(session);
                    self.follow_all();
                }
                Ok(()) = routes.changed() => {
                    routes.mark_unchanged();
                    self.gateway.follow_routes();
                    self.follow_all();
                }
                _ = states.tick() => self.look(),
                () = shutdown.cancelled() => break,
            }
        }
        let rest = self.schedule.take_all();
        self.flush(rest);
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Update(Update::Frame(room, emitted)) => {
                let Some(subscription) = self.rooms.get_mut(&room) else { return };
                let room_state = self.gateway.room(room.as_str());
                let content = self.schedule.of(room, subscription.flush_due);
                content.spans.extend(delivering(&self.gateway.tracer, &emitted.frame.traces));
                subscription.take_frame(&emitted.frame, room_state.as_deref(), content, &self.gateway.metrics);
            }
            Event::Update(Update::Snapshot(room, snapshot)) => {
                let Some(subscription) = self.rooms.get_mut(&room) else { return };
                let room_state = self.gateway.room(room.as_str());
                let watermark = snapshot.watermark.clone();
                if subscription.take_snapshot(snapshot, room_state.as_deref(), &self.gateway.metrics)
                    && let Some(room_state) = room_state
                {
                    tokio::spawn(missed_acts::find(room_state, self.gateway.store.clone(), watermark));
                }
            }
            Event::Update(Update::Viewers(room, viewers)) => {
                if let Some(room_state) = self.gateway.room(room.as_str()) {
                    room_state.watched_by(viewers);
                }
            }
            Event::Update(Update::Settled(room, frame)) => {
                if let Some(subscription) = self.rooms.get_mut(&room) {
                    subscription.settle(frame);
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
        let subscription = self.rooms.entry(room.clone()).or_default();
        subscription.wanted = Instant::now();
        self.links.follow(&room, subscription, &self.gateway.routes.borrow());
    }

    /// Follows every room where it is ranked now.
    fn follow_all(&mut self) {
        let table = Arc::clone(&self.gateway.routes.borrow());
        for (room, subscription) in &mut self.rooms {
            self.links.follow(room, subscription, &table);
        }
        let missing = self.links.missing(&table);
        if missing.is_empty() {
            self.gateway.health.ok(checks::RANKERS);
        } else {
            let detail = format!("no link to {missing}: viewers of their rooms wait, what they send is kept");
            self.gateway.health.degraded(checks::RANKERS, detail);
        }
    }

    fn flush_due(&mut self) {
        let now = Instant::now();
        let interval = self.pace.interval(now, self.workers.iter().map(Mailbox::spent));
        let due = self.schedule.take(now, interval, &mut self.rooms);
        self.flush(due);
    }

    fn flush(&mut self, mut due: HashMap<RoomId, Content>) {
        let now_ms = unix_ms();
        for (room, content) in &mut due {
            let Some(subscription) = self.rooms.get_mut(room) else { continue };
            let Some(room_state) = self.gateway.room(room.as_str()) else { continue };
            self.links.seen(room, subscription, room_state.viewers());
            for danmaku in &content.danmaku {
                let waited_ms = now_ms.saturating_sub(danmaku.received_ms);
                room_state.heat.shown_after(u32::try_from(waited_ms.max(0)).unwrap_or(u32::MAX));
            }
            if std::mem::take(&mut subscription.resync) {
                let scores = room_state.board().unwrap_or_default();
                content.board = vec![BoardChange { reset: true, scores, removed: Vec::new() }];
                content.state = Some(room_state.summary());
            }
        }
        // They end with this call, when the workers have it.
        let _spans: Vec<_> = due.values_mut().flat_map(|content| std::mem::take(&mut content.spans)).collect();
        let flushes: Flushes =
            due.into_iter().map(|(room, content)| Arc::new(content.encode(room, &mut self.encoder))).collect();
        if flushes.is_empty() {
            return;
        }
        let bytes = flushes.iter().map(|flush| flush.v1.len() + flush.v2.len()).sum();
        self.gateway.metrics.flushed(flushes.len(), bytes);
        let now = Instant::now();
        for worker in &mut self.workers {
            if !worker.send(&flushes, now) {
                self.gateway.metrics.shard_overruns.inc();
                for flush in flushes.iter() {
                    if let Some(subscription) = self.rooms.get_mut(&flush.room) {
                        subscription.resync = true;
                    }
                }
            }
        }
    }

    /// Once a second: who watches, how much is said, where to resume, and how this gateway is.
    fn look(&mut self) {
        for room_state in self.gateway.rooms() {
            if room_state.viewers() > 0 {
                self.want(room_state.id().clone());
                self.learn(&room_state);
            }
            if room_state.moderation.has_missed() {
                let due =
                    self.rooms.get(room_state.id()).map_or_else(Instant::now, |subscription| subscription.flush_due);
                let content = self.schedule.of(room_state.id().clone(), due);
                room_state.moderation.take_missed(&room_state.room(), content);
            }
            room_state.forget_limits();
            let Some(subscription) = self.rooms.get_mut(room_state.id()) else { continue };
            room_state.heat_now.store(subscription.heat(), Ordering::Relaxed);
            let messages_per_second = subscription.messages_per_second();
            room_state.messages_per_second.store(messages_per_second, Ordering::Relaxed);
            let here = room_state.viewers();
            if std::mem::replace(&mut subscription.told_viewers, here) != here {
                self.links.seen(room_state.id(), subscription, here);
            }
            let state = room_state.summary();
            let changed = std::mem::replace(&mut subscription.state, state) != state;
            let cursor_due = std::mem::take(&mut subscription.cursor_due);
            if here > 0 && (changed || cursor_due) {
                let content = self.schedule.of(room_state.id().clone(), subscription.flush_due);
                content.state = changed.then_some(state);
                if cursor_due {
                    content.cursor = subscription.watermark.encode();
                }
            }
        }
        let (links, gateway) = (&self.links, &self.gateway);
        self.rooms.retain(|room, subscription| {
            let wanted = subscription.wanted.elapsed() < UNFOLLOW_AFTER;
            if !wanted {
                links.unfollow(room, subscription);
                if let Some(room_state) = gateway.room(room.as_str()) {
                    room_state.unfollowed();
                }
            }
            wanted
        });
        self.remind_awaited();
        self.bring_likes();
        self.check();
    }

    /// The store did not say what moderators did when the room's viewers came.
    fn learn(&self, room: &Arc<RoomState>) {
        if !room.moderation.is_known() {
            let (store, room) = (self.gateway.store.clone(), Arc::clone(room));
            tokio::spawn(async move { room.moderation.know(&store, room.id()).await });
        }
    }

    /// What viewers liked in the last second, on its way to the log; it waits while that is slow.
    fn bring_likes(&mut self) {
        while self.likes.try_join_next().is_some() {}
        if self.likes.is_empty() {
            self.likes.spawn(moderation_log::bring_likes(Arc::clone(&self.gateway)));
        }
    }

    fn check(&self) {
        let GatewayState { health, log, store, .. } = &*self.gateway;
        match log.last_error() {
            None => health.ok(checks::LOG),
            Some(trouble) => health.degraded(checks::LOG, format!("{trouble}; senders are told to try again")),
        }
        match store.last_error() {
            None => health.ok(checks::STORE),
            Some(trouble) => health.degraded(checks::STORE, format!("{trouble}; viewers join without history")),
        }
    }
}

fn delivering(tracer: &Tracer, traces: &[TraceParent]) -> impl Iterator<Item = Span> {
    traces.iter().filter_map(|parent| tracer.follow(Stage::Deliver, parent))
}
