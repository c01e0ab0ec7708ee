//! When a reader is for sure at the end of a topic. Pure.
//!
//! The broker is asked for the end; what is read up to there afterwards is fresh as of the question. A client says when
//! it comes to an end, but not to which: an answer of the broker and an end that the client reports may not belong
//! together. So after an answer that is not explained yet, the last record is read once more; an end that is reported
//! behind it was reached after the question.

use std::time::{Duration, Instant};

use rdkafka::Offset;

/// Until the last record is asked for again: something was lost on the way.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Horizon {
    /// Offset of the last record that was read.
    last: Option<i64>,
    /// An end up to which everything was read.
    reached: Option<i64>,
    chase: Option<Chase>,
}

/// An end that is read for.
#[derive(Debug)]
struct Chase {
    asked: Instant,
    end: i64,
    begun: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Everything is read, as of the question.
    Reached,
    /// Read from here.
    ReadFrom(Offset),
    /// It is on its way.
    Wait,
    /// The topic is shorter than what was read of it: read it all again.
    StartOver,
}

impl Horizon {
    /// A record came; whether it is a new one.
    pub(super) fn record(&mut self, offset: i64) -> bool {
        if self.last == Some(offset) {
            self.chase.iter_mut().for_each(|chase| chase.begun = true);
        }
        let new = self.last.is_none_or(|last| offset > last);
        self.last = self.last.max(Some(offset));
        new
    }

    /// The client reports an end; when it was asked for, if that is known.
    pub(super) fn end(&mut self) -> Option<Instant> {
        let chase = self.chase.take_if(|chase| chase.begun)?;
        self.reached = Some(chase.end);
        Some(chase.asked)
    }

    /// Whether an end was reached for sure, ever.
    pub(super) const fn was_reached(&self) -> bool {
        self.reached.is_some()
    }

    /// The broker says where the end is.
    pub(super) fn answered(&mut self, asked: Instant, end: i64) -> Answer {
        if self.reached == Some(end) && self.chase.is_none() {
            return Answer::Reached;
        }
        if self.reached.is_some_and(|reached| end < reached) {
            return Answer::StartOver;
        }
        if self.chase.as_ref().is_some_and(|chase| asked.saturating_duration_since(chase.asked) < PATIENCE) {
            return Answer::Wait;
        }
        let start = self.last.map_or(Offset::Beginning, Offset::Offset);
        // The first reading has no earlier one that it could be taken for.
        let begun = self.last.is_none() && self.chase.is_none() && self.reached.is_none();
        self.chase = Some(Chase { asked, end, begun });
        Answer::ReadFrom(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_counts_and_holds_until_the_broker_says_another() {
        let (mut horizon, start) = (Horizon::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(horizon.end(), None, "nobody has asked");
        assert_eq!(horizon.answered(at(0), 4), Answer::ReadFrom(Offset::Beginning));
        assert!(horizon.record(0) && horizon.record(2) && !horizon.was_reached());
        assert_eq!(horizon.end(), Some(at(0)));
        assert_eq!(horizon.answered(at(1), 4), Answer::Reached);
        assert_eq!(horizon.answered(at(2), 3), Answer::StartOver);
    }

    #[test]
    fn a_later_end_counts_only_behind_the_last_record_read_again() {
        let (mut horizon, start) = (Horizon::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        horizon.answered(at(0), 4);
        assert!(horizon.record(2));
        horizon.end();
        assert!(horizon.record(5));
        assert_eq!(horizon.answered(at(1), 9), Answer::ReadFrom(Offset::Offset(5)));
        assert_eq!(horizon.end(), None, "of 7, where the topic ended before the question");
        assert_eq!(horizon.answered(at(2), 9), Answer::Wait);
        assert!(!horizon.record(5) && horizon.record(7));
        assert_eq!(horizon.end(), Some(at(1)));
        assert_eq!(horizon.answered(at(3), 9), Answer::Reached);
    }

    #[test]
    fn an_end_that_does_not_come_is_asked_for_again() {
        let (mut horizon, start) = (Horizon::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        horizon.answered(at(0), 4);
        horizon.record(2);
        assert_eq!(horizon.answered(at(4), 6), Answer::Wait);
        assert_eq!(horizon.answered(at(5), 6), Answer::ReadFrom(Offset::Offset(2)));
        assert_eq!(horizon.end(), None);
        assert!(!horizon.record(2));
        assert_eq!(horizon.end(), Some(at(5)));
    }
}
