//! An append under way: collects the acknowledgements of its records and answers once.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// Offsets in the order of the records, or why one of them has none.
pub(super) type Outcome = Result<Vec<u64>, String>;

/// Answers when all records are acknowledged or one has failed, whichever is first.
pub(super) struct Pending(Mutex<State>);

struct State {
    offsets: Vec<u64>,
    left: usize,
    reply: Option<oneshot::Sender<Outcome>>,
}

impl Pending {
    /// Of `records` records, at least one.
    pub(super) fn new(records: usize) -> (Self, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (Self(Mutex::new(State { offsets: vec![0; records], left: records, reply: Some(reply) })), outcome)
    }

    /// Record `index` stands at `offset`. Once for each record.
    pub(super) fn acknowledged(&self, index: usize, offset: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.offsets[index] = offset;
        state.left -= 1;
        if state.left == 0
            && let Some(reply) = state.reply.take()
        {
            // Whoever asked went away and no longer wants to know.
            let _ = reply.send(Ok(std::mem::take(&mut state.offsets)));
        }
    }

    /// A record failed.
    pub(super) fn failed(&self, reason: impl FnOnce() -> String) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = state.reply.take() {
            let _ = reply.send(Err(reason()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_once_all_are_acknowledged_in_the_order_of_the_records() {
        let (pending, mut outcome) = Pending::new(2);
        pending.acknowledged(1, 7);
        assert!(outcome.try_recv().is_err());
        pending.acknowledged(0, 3);
        assert_eq!(outcome.try_recv().unwrap(), Ok(vec![3, 7]));
    }

    #[test]
    fn one_failure_is_the_answer() {
        let (pending, mut outcome) = Pending::new(3);
        pending.acknowledged(0, 1);
        pending.failed(|| "away".into());
        pending.failed(|| "also away".into());
        pending.acknowledged(2, 2);
        assert_eq!(outcome.try_recv().unwrap(), Err("away".into()));
    }
}
