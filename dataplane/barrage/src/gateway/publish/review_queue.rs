//! Danmaku that wait for the verdict of an outside moderator, and those of the same sender that wait behind them.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use barrage_proto::log::Entry;

use super::sender::SenderId;

/// What waits, by sender.
#[derive(Default)]
pub(super) struct ReviewQueue(HashMap<SenderId, VecDeque<Waiting>>);

struct Waiting {
    entry: Entry,
    decision: Rc<Cell<Option<Decision>>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Passes,
    Replaced(String),
    /// With the time after which it may be tried again, ms (0: not as it is).
    Refused(u32),
}

impl ReviewQueue {
    /// Whether something of this sender waits: then what comes later waits, too.
    pub(super) fn has(&self, sender: SenderId) -> bool {
        !self.0.is_empty() && self.0.contains_key(&sender)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets a danmaku wait until the decision about it is set, and behind those of its sender.
    pub(super) fn push(&mut self, sender: SenderId, entry: Entry, decision: Rc<Cell<Option<Decision>>>) {
        self.0.entry(sender).or_default().push_back(Waiting { entry, decision });
    }

    /// Takes away what waits behind a sequence number; gives the numbers.
    pub(super) fn take_behind(&mut self, sender: SenderId, seq: u64) -> Vec<u64> {
        let Some(waiting) = self.0.get_mut(&sender) else { return Vec::new() };
        let (before, behind): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(waiting).into_iter().partition(|one| one.entry.seq < seq);
        *waiting = before;
        if waiting.is_empty() {
            self.0.remove(&sender);
        }
        behind.into_iter().map(|one| one.entry.seq).filter(|&of| of > seq).collect()
    }

    /// Takes what may go on, in its order.
    pub(super) fn take_decided(&mut self, sender: SenderId) -> Vec<(Entry, Decision)> {
        let Some(waiting) = self.0.get_mut(&sender) else { return Vec::new() };
        let mut decided = Vec::new();
        while let Some(first) = waiting.front()
            && let Some(decision) = first.decision.take()
        {
            decided.extend(waiting.pop_front().map(|first| (first.entry, decision)));
        }
        if waiting.is_empty() {
            self.0.remove(&sender);
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: SenderId = SenderId(1);

    fn push(queue: &mut ReviewQueue, seq: u64) -> Rc<Cell<Option<Decision>>> {
        let decision = Rc::default();
        queue.push(SENDER, Entry { seq, ..Entry::default() }, Rc::clone(&decision));
        decision
    }

    fn decided(queue: &mut ReviewQueue) -> Vec<(u64, Decision)> {
        queue.take_decided(SENDER).into_iter().map(|(entry, decision)| (entry.seq, decision)).collect()
    }

    #[test]
    fn what_one_sender_sent_goes_on_in_its_order() {
        let mut queue = ReviewQueue::default();
        let decisions: Vec<_> = (1..=3).map(|seq| push(&mut queue, seq)).collect();
        decisions[1].set(Some(Decision::Refused(0)));
        assert_eq!(decided(&mut queue), [], "the first is still asked about");
        decisions[0].set(Some(Decision::Passes));
        assert_eq!(decided(&mut queue), [(1, Decision::Passes), (2, Decision::Refused(0))]);
        assert!(queue.has(SENDER) && !queue.has(SenderId(2)));
        decisions[2].set(Some(Decision::Replaced("***".to_owned())));
        assert_eq!(decided(&mut queue), [(3, Decision::Replaced("***".to_owned()))]);
        assert!(queue.is_empty() && !queue.has(SENDER));
    }

    #[test]
    fn what_waits_behind_a_refused_number_is_taken_away() {
        let mut queue = ReviewQueue::default();
        let decisions: Vec<_> = [4, 6, 7].map(|seq| push(&mut queue, seq)).into();
        assert_eq!(queue.take_behind(SENDER, 5), [6, 7]);
        decisions[0].set(Some(Decision::Passes));
        assert_eq!(decided(&mut queue), [(4, Decision::Passes)]);
        push(&mut queue, 8);
        assert_eq!(queue.take_behind(SENDER, 8), [0; 0], "itself is answered by who refuses it");
        assert!(queue.is_empty());
    }
}
