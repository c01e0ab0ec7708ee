//! The order of a sender's danmaku: what was refused goes first.

/// A sender's order: after a danmaku that was not accepted, later ones are not either until it is sent again or given
/// up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SendState {
    /// The first and the last sequence number refused and not yet sent again.
    refused: Option<(u64, u64)>,
    /// Version 1 has no sequence numbers; its danmaku are counted here.
    counted: u64,
}

impl SendState {
    /// The number of the next version 1 danmaku.
    pub(super) const fn count(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    /// Whether `seq` may go ahead of what was refused; `oldest_pending` gives up all below it.
    pub(super) fn may_send(&mut self, seq: u64, oldest_pending: u64) -> bool {
        if let Some((first, last)) = self.refused {
            let first = first.max(oldest_pending);
            self.refused = (first <= last).then_some((first, last));
        }
        self.refused.is_none_or(|(first, _)| seq <= first)
    }

    /// `seq` was accepted.
    pub(super) fn accepted(&mut self, seq: u64) {
        if let Some((first, last)) = self.refused
            && seq == first
        {
            self.refused = (first < last).then_some((first + 1, last));
        }
    }

    /// `seq` was refused.
    pub(super) fn refused(&mut self, seq: u64) {
        let (first, last) = self.refused.unwrap_or((seq, seq));
        self.refused = Some((first.min(seq), last.max(seq)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_goes_first() {
        let mut state = SendState::default();
        state.refused(5);
        assert!(!state.may_send(6, 5));
        state.refused(6);
        assert!(state.may_send(5, 5));
        state.accepted(5);
        assert!(!state.may_send(7, 5));
        assert!(state.may_send(6, 5));
        state.accepted(6);
        assert!(state.may_send(7, 5));
        assert_eq!(state, SendState::default());
    }

    #[test]
    fn giving_up_lets_later_ones_through() {
        let mut state = SendState::default();
        state.refused(5);
        state.refused(6);
        assert!(!state.may_send(7, 6));
        assert!(state.may_send(7, 7));
    }
}
