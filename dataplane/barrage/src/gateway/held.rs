//! Danmaku that wait for the verdict of an outside moderator, and those of the same sender that wait behind them.
//!
//! Each waits in a task of its own, so nobody else waits with it; what one sender sent goes on in its order.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use barrage_proto::v2::pb;
use tokio::task::spawn_local;

use super::{
    connection::Viewer,
    inbound::{self, Wish},
    metrics::Refusal,
    verdict::{self, Question, Verdict},
};
use barrage_core::{clock::unix_ms, room::Hook};

/// When to try again what was held back because nobody judged it, ms.
const UNJUDGED_RETRY_AFTER_MS: u32 = 5_000;

/// What waits, by connection.
#[derive(Default)]
pub(super) struct Held(HashMap<*const Viewer, VecDeque<Waiting>>);

struct Waiting {
    wish: Wish,
    /// Set when it is known.
    verdict: Rc<Cell<Option<Judged>>>,
}

/// What is to become of a danmaku.
enum Judged {
    Passes,
    Replaced(String),
    Refused(u32),
}

impl Held {
    /// Whether something of this connection waits: then what comes later waits, too.
    pub(super) fn has(&self, viewer: &Viewer) -> bool {
        !self.0.is_empty() && self.0.contains_key(&std::ptr::from_ref(viewer))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes away what waits behind a sequence number; gives the numbers.
    pub(super) fn take_behind(&mut self, viewer: &Viewer, seq: u64) -> Vec<u64> {
        let key = std::ptr::from_ref(viewer);
        let Some(waiting) = self.0.get_mut(&key) else { return Vec::new() };
        let (before, behind): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(waiting).into_iter().partition(|one| one.wish.seq < seq);
        *waiting = before;
        if waiting.is_empty() {
            self.0.remove(&key);
        }
        behind.into_iter().map(|one| one.wish.seq).filter(|&of| of > seq).collect()
    }

    /// Takes what may go on, in its order.
    fn take_judged(&mut self, viewer: &Viewer) -> Vec<(Wish, Judged)> {
        let key = std::ptr::from_ref(viewer);
        let Some(waiting) = self.0.get_mut(&key) else { return Vec::new() };
        let mut judged = Vec::new();
        while let Some(first) = waiting.front()
            && let Some(verdict) = first.verdict.take()
        {
            judged.extend(waiting.pop_front().map(|first| (first.wish, verdict)));
        }
        if waiting.is_empty() {
            self.0.remove(&key);
        }
        judged
    }
}

/// Lets a danmaku wait for its verdict, or, without a hook, behind those of its sender that do.
pub(super) fn hold(viewer: &Rc<Viewer>, wish: Wish, hook: Option<Arc<Hook>>) {
    let question = hook.map(|hook| (Question::new(viewer, wish.text()), hook));
    let verdict = Rc::new(Cell::new(question.is_none().then_some(Judged::Passes)));
    let waiting = Waiting { wish, verdict: Rc::clone(&verdict) };
    viewer.shard.held.borrow_mut().0.entry(Rc::as_ptr(viewer)).or_default().push_back(waiting);
    let Some((question, hook)) = question else { return };
    let viewer = Rc::clone(viewer);
    spawn_local(async move {
        let asked_ms = unix_ms();
        let metrics = &viewer.shard.served.metrics;
        metrics.verdicts_awaited.inc();
        let said = verdict::ask(&viewer.shard.served, &viewer.room.served, &hook, question).await;
        metrics.verdicts_awaited.dec();
        metrics.verdict_age.observe(asked_ms);
        verdict.set(Some(match said {
            Some(Verdict::Allow) => Judged::Passes,
            Some(Verdict::Replace { content }) => Judged::Replaced(content),
            Some(Verdict::Hide) => Judged::Refused(0),
            None if hook.lets_through => Judged::Passes,
            None => Judged::Refused(UNJUDGED_RETRY_AFTER_MS),
        }));
        release(&viewer);
    });
}

/// Lets go on what need not wait any more.
fn release(viewer: &Rc<Viewer>) {
    let judged = viewer.shard.held.borrow_mut().take_judged(viewer);
    for (wish, verdict) in judged {
        match verdict {
            Judged::Passes => inbound::send_to_log(viewer, wish),
            Judged::Replaced(content) => inbound::send_to_log(viewer, wish.with_text(content)),
            Judged::Refused(retry_after_ms) => {
                inbound::refuse_send(viewer, wish.seq, Refusal::Rejected, retry_after_ms);
            }
        }
    }
}

impl Question {
    fn new(viewer: &Viewer, text: &str) -> Self {
        let room = viewer.room.served.id().to_string();
        let role = match viewer.identity.role.into() {
            pb::Role::Viewer => "viewer",
            pb::Role::Moderator => "moderator",
            pb::Role::Host => "host",
            pb::Role::Service => "service",
        };
        Self { room, user_id: viewer.identity.user.to_string(), role, content: text.to_owned() }
    }
}
