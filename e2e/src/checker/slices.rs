//! The history by itself: each slice in the order of the log, and nothing in it that nobody sent.

use std::collections::{HashMap, HashSet};

use barrage_proto::Position;

use super::Finding;
use crate::{
    http::Kept,
    session::{Fate, Session},
};

/// Names what stands out of the log's order in its slice; `shard_of` is the shard of a user.
///
/// Offsets are compared within a partition: of two partitions that a slice has lived in, an ID does not say which was
/// first.
#[must_use]
pub fn check_slices(history: &[Kept], shard_of: impl Fn(u64) -> u32) -> Vec<Finding> {
    let mut latest: HashMap<(u32, u32), Position> = HashMap::new();
    let mut findings = Vec::new();
    for kept in history {
        let (shard, id) = (shard_of(kept.user), kept.id);
        let behind = latest.insert((shard, id.partition), id);
        if let Some(behind) = behind.filter(|behind| id < *behind) {
            findings.push(Finding::Slice { shard, id, behind });
        }
    }
    findings
}

/// Names what is kept and was not sent by one of these, or was refused for good.
#[must_use]
pub fn check_senders(senders: &[Session], history: &[Kept]) -> Vec<Finding> {
    let lines = senders.iter().flat_map(|sender| sender.lines().iter().map(|line| (sender.user(), line)));
    // Whether one without an answer was kept only the history knows.
    let sent = lines.filter(|(_, line)| line.tries > 0 && !matches!(line.fate, Fate::Refused(_)));
    let sent: HashSet<(u64, i64)> = sent.map(|(user, line)| (user, line.sent_ms)).collect();
    let strangers = history.iter().filter(|kept| !sent.contains(&(kept.user, kept.sent_ms)));
    strangers.map(|kept| Finding::Stranger { user: kept.user, id: kept.id }).collect()
}

#[cfg(test)]
mod tests {
    use barrage_proto::v2::pb::{self, Reason};

    use super::*;

    fn kept(partition: u32, offset: u64, user: u64, sent_ms: i64) -> Kept {
        let id = Position { partition, offset, index: 0 };
        Kept { id, user, sent_ms, content: "x".to_owned() }
    }

    #[test]
    fn a_slice_out_of_the_logs_order_is_named_and_others_may_interleave() {
        let shard_of = |user: u64| u32::from(user > 5);
        let good = [kept(0, 1, 1, 0), kept(0, 1, 6, 0), kept(0, 7, 1, 0), kept(0, 3, 6, 0), kept(2, 1, 1, 0)];
        assert_eq!(check_slices(&good, shard_of), []);
        let bad = [kept(0, 7, 1, 0), kept(0, 3, 2, 0)];
        assert!(matches!(check_slices(&bad, shard_of)[..], [Finding::Slice { shard: 0, .. }]));
    }

    #[test]
    fn what_was_not_sent_or_was_refused_is_named() {
        let mut sender = Session::new(1, 5);
        sender.push("a", 1000);
        sender.push("b", 1001);
        sender.connected();
        while sender.next_send(1001).is_some() {}
        let refused = pb::Error { seq: 2, reason: Reason::ContentTooLong.into(), ..pb::Error::default() };
        sender.refused(&refused, 1002);
        let history = [kept(0, 1, 5, 1000), kept(0, 2, 5, 1001), kept(0, 3, 6, 1000)];
        let findings = check_senders(&[sender], &history);
        let ids: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(ids.len(), 2, "{ids:?}");
        assert!(ids[0].contains("0-2-0") && ids[1].contains("0-3-0"), "{ids:?}");
    }
}
