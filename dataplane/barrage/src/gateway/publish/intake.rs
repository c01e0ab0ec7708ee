//! Where accepted danmaku wait for the log: in the review queue until their room's outside moderator has said what it
//! thinks of them, then in the outbox. Each review is a task of its own, so nobody else waits with it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use barrage_proto::{log::Entry, v2::pb};
use tokio::{sync::Notify, task::spawn_local};

use super::{
    outbox::Outbox,
    review_queue::{Decision, ReviewQueue},
    sender::{Sender, SenderId, Sent},
};
use crate::gateway::{
    metrics::Refusal,
    state::{
        GatewayState, RoomState,
        moderation_hook::{Question, Verdict},
    },
};
use barrage_core::{
    clock::unix_ms,
    link::role_of,
    room::{Hook, RoomId, shard_of},
};

/// When to try again what was not kept because nobody judged it, ms.
const UNJUDGED_RETRY_AFTER_MS: u32 = 5_000;

/// What the senders of a worker have on its way to the log.
pub(crate) struct Intake<S> {
    pub(super) gateway: Arc<GatewayState>,
    pub(super) outbox: RefCell<Outbox<Sent<S>>>,
    review_queue: RefCell<ReviewQueue>,
    /// Something is in the outbox.
    pub(super) accepted: Notify,
    /// Appends under way.
    pub(super) appending: Cell<usize>,
}

impl<S: Sender + 'static> Intake<S> {
    /// An empty one.
    pub(crate) fn new(gateway: Arc<GatewayState>) -> Self {
        Self {
            gateway,
            outbox: RefCell::default(),
            review_queue: RefCell::default(),
            accepted: Notify::new(),
            appending: Cell::new(0),
        }
    }

    /// Whether there is room for another danmaku of a user in a room.
    pub(crate) fn has_room(&self, room: &RoomId, user: u64) -> bool {
        self.outbox.borrow().has_room((room, shard_of(user)), &self.gateway.routes)
    }

    /// Takes a danmaku; with a hook it waits for its verdict, without one it only waits behind those of its sender that
    /// do.
    pub(crate) fn submit(self: &Rc<Self>, sender: &Rc<S>, entry: Entry, hook: Option<Arc<Hook>>) {
        self.gateway.metrics.accepted.inc();
        if hook.is_some() || self.review_queue.borrow().has(sender.id()) {
            self.review(sender, entry, hook);
        } else {
            self.send(sender, entry);
        }
    }

    /// Takes away what a sender has in review behind a sequence number; gives the numbers.
    pub(crate) fn take_behind(&self, sender: SenderId, seq: u64) -> Vec<u64> {
        self.review_queue.borrow_mut().take_behind(sender, seq)
    }

    /// Whether nothing is on its way to the log.
    pub(super) fn is_empty(&self) -> bool {
        self.appending.get() == 0 && self.outbox.borrow().is_empty() && self.review_queue.borrow().is_empty()
    }

    fn review(self: &Rc<Self>, sender: &Rc<S>, entry: Entry, hook: Option<Arc<Hook>>) {
        let question = hook.map(|hook| (question(sender.room(), &entry), hook));
        let decision = Rc::new(Cell::new(question.is_none().then_some(Decision::Passes)));
        self.review_queue.borrow_mut().push(sender.id(), entry, Rc::clone(&decision));
        let Some((question, hook)) = question else { return };
        let (intake, sender) = (Rc::clone(self), Rc::clone(sender));
        spawn_local(async move {
            let asked_ms = unix_ms();
            let GatewayState { metrics, moderation_client, .. } = &*intake.gateway;
            metrics.verdicts_awaited.inc();
            let said = sender.room().ask(moderation_client, &hook, question).await;
            metrics.verdicts_awaited.dec();
            metrics.verdict_age.observe(asked_ms);
            decision.set(Some(match said {
                Some(Verdict::Allow) => Decision::Passes,
                Some(Verdict::Replace { content }) => Decision::Replaced(content),
                Some(Verdict::Hide) => Decision::Refused(0),
                None if hook.lets_through => Decision::Passes,
                None => Decision::Refused(UNJUDGED_RETRY_AFTER_MS),
            }));
            intake.release(&sender);
        });
    }

    /// Lets go on what need not wait any more.
    fn release(&self, sender: &Rc<S>) {
        let decided = self.review_queue.borrow_mut().take_decided(sender.id());
        for (entry, decision) in decided {
            match decision {
                Decision::Passes => self.send(sender, entry),
                Decision::Replaced(content) => self.send(sender, Entry { content: content.into(), ..entry }),
                Decision::Refused(retry_after_ms) => sender.refuse(entry.seq, Refusal::Rejected, retry_after_ms),
            }
        }
    }

    fn send(&self, sender: &Rc<S>, entry: Entry) {
        let mut outbox = self.outbox.borrow_mut();
        let received_ms = outbox.received_ms(unix_ms());
        let (seq, slice) = (entry.seq, shard_of(entry.user));
        if !entry.retry {
            sender.accepted(slice, &entry, received_ms);
        }
        let sent = Sent { sender: Rc::clone(sender), seq };
        outbox.push((sender.room().id(), slice), &self.gateway.routes, entry, sent, received_ms);
        self.accepted.notify_one();
    }
}

fn question(room: &RoomState, entry: &Entry) -> Question {
    let role = match role_of(entry) {
        pb::Role::Viewer => "viewer",
        pb::Role::Moderator => "moderator",
        pb::Role::Host => "host",
        pb::Role::Service => "service",
    };
    // It was checked to be UTF-8.
    let content = std::str::from_utf8(&entry.content).unwrap_or_default().to_owned();
    Question { room: room.id().to_string(), user_id: entry.user.to_string(), role, content }
}
