//! The history against what senders know.

use std::collections::{BTreeMap, HashMap};

use barrage_proto::Position;

use super::{Finding, Name};
use crate::{
    http::Kept,
    session::{Fate, Line, Session},
};

/// Compares what senders were promised with the history, oldest first, from before the first of them sent.
///
/// Danmaku of users that are not among the senders are only checked for doubled IDs.
#[must_use]
pub fn check_history(senders: &[Session], history: &[Kept]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let by_user = rows_by_user(history);
    doubled_ids(history, &mut findings);
    for sender in senders {
        let rows = by_user.get(&sender.user()).map_or(&[][..], Vec::as_slice);
        check_sender(sender, rows, &mut findings);
    }
    findings
}

fn rows_by_user(history: &[Kept]) -> HashMap<u64, Vec<&Kept>> {
    let mut by_user: HashMap<u64, Vec<&Kept>> = HashMap::new();
    for kept in history {
        by_user.entry(kept.user).or_default().push(kept);
    }
    by_user
}

fn doubled_ids(history: &[Kept], findings: &mut Vec<Finding>) {
    let mut seen = HashMap::new();
    for kept in history {
        if seen.insert(kept.id, ()).is_some() {
            findings.push(Finding::Doubled { user: kept.user, sent_ms: kept.sent_ms, ids: vec![kept.id, kept.id] });
        }
    }
}

fn check_sender(sender: &Session, rows: &[&Kept], findings: &mut Vec<Finding>) {
    // Ordered, so that findings come in the order of sending.
    let mut by_time: BTreeMap<i64, Vec<&Kept>> = BTreeMap::new();
    for kept in rows {
        by_time.entry(kept.sent_ms).or_default().push(kept);
    }
    for (index, line) in sender.lines().iter().enumerate() {
        let kept = by_time.get(&line.sent_ms).map_or(&[][..], Vec::as_slice);
        check_line(line, &name(sender, index), kept, findings);
    }
    check_order(sender, rows, findings);
}

fn check_line(line: &Line, name: &Name, kept: &[&Kept], findings: &mut Vec<Finding>) {
    let ids: Vec<Position> = kept.iter().map(|kept| kept.id).collect();
    if ids.windows(2).any(|pair| pair[0] != pair[1]) {
        findings.push(Finding::Doubled { user: name.user, sent_ms: name.sent_ms, ids });
    }
    match (line.fate, kept.first()) {
        (Fate::Acknowledged(acknowledged), None) => {
            findings.push(Finding::Lost { name: name.clone(), acknowledged });
        }
        (Fate::Acknowledged(acknowledged), Some(first)) => {
            // The Ack of a retry may name the retry's place; what is kept then is the original.
            let moved = !line.retried && kept.iter().all(|kept| kept.id != acknowledged);
            if moved || first.content != *line.content {
                let kept = format!("{}, {:?} (acknowledged as {acknowledged})", first.id, first.content);
                findings.push(Finding::Changed { name: name.clone(), kept });
            }
        }
        _ => {}
    }
}

/// Times of sending ascend in a session, so they must ascend in the history.
fn check_order(sender: &Session, rows: &[&Kept], findings: &mut Vec<Finding>) {
    let mut latest_ms = i64::MIN;
    for kept in rows {
        let index = sender.lines().binary_search_by_key(&kept.sent_ms, |line| line.sent_ms);
        // Another run's danmaku of the same user.
        let Ok(index) = index else { continue };
        if kept.sent_ms < latest_ms {
            findings.push(Finding::OutOfOrder { name: name(sender, index), behind_sent_ms: latest_ms });
        }
        latest_ms = latest_ms.max(kept.sent_ms);
    }
}

fn name(sender: &Session, index: usize) -> Name {
    let line = &sender.lines()[index];
    Name { user: sender.user(), seq: index as u64 + 1, sent_ms: line.sent_ms, content: line.content.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use barrage_proto::v2::pb;

    /// A session of user 5 whose three danmaku were acknowledged as 0-7-0, 0-7-1, 0-7-2.
    fn sender() -> Session {
        let mut session = Session::new(1, 5);
        session.connected();
        for text in ["a", "b", "c"] {
            session.push(text, 1000);
            session.next_send(1000);
        }
        session.acknowledged(&pb::Ack { seq: vec![1, 2, 3], partition: 0, offset: 7, index: vec![0, 1, 2] }, 1000);
        session
    }

    fn kept(offset: u64, index: u32, sent_ms: i64, content: &str) -> Kept {
        Kept { id: Position { partition: 0, offset, index }, user: 5, sent_ms, content: content.to_owned() }
    }

    fn good() -> Vec<Kept> {
        vec![kept(7, 0, 1000, "a"), kept(7, 1, 1001, "b"), kept(7, 2, 1002, "c")]
    }

    #[test]
    fn a_whole_history_is_clean_also_among_strangers() {
        let mut history = good();
        history.insert(1, Kept { user: 6, ..kept(9, 0, 1001, "b") });
        assert_eq!(check_history(&[sender()], &history), []);
    }

    #[test]
    fn a_missing_one_is_lost_and_named() {
        let mut history = good();
        history.remove(1);
        let findings = check_history(&[sender()], &history);
        assert_eq!(findings.len(), 1);
        let text = findings[0].to_string();
        assert!(text.starts_with("lost: user 5, number 2, sent at 1001, \"b\", acknowledged as 0-7-1"), "{text}");
    }

    #[test]
    fn one_under_two_ids_and_one_id_twice_are_doubled() {
        let mut history = good();
        history.push(kept(8, 0, 1002, "c"));
        history.push(kept(7, 0, 1000, "a"));
        let findings = check_history(&[sender()], &history);
        let doubled = |finding: &&Finding| matches!(finding, Finding::Doubled { .. });
        assert_eq!(findings.iter().filter(doubled).count(), 2, "{findings:?}");
    }

    #[test]
    fn a_swap_is_out_of_order() {
        let mut history = good();
        history.swap(0, 1);
        let findings = check_history(&[sender()], &history);
        assert!(matches!(&findings[..], [Finding::OutOfOrder { name, behind_sent_ms: 1001 }] if name.seq == 1));
    }

    #[test]
    fn another_text_or_another_place_is_changed() {
        for changed in [kept(7, 1, 1001, "x"), kept(8, 1, 1001, "b")] {
            let mut history = good();
            history[1] = changed;
            let findings = check_history(&[sender()], &history);
            assert!(matches!(&findings[..], [Finding::Changed { name, .. }] if name.seq == 2), "{findings:?}");
        }
    }

    #[test]
    fn what_was_not_acknowledged_may_be_kept_or_not() {
        let mut session = Session::new(1, 5);
        session.push("a", 1000);
        assert_eq!(check_history(&[session], &[]), []);
        let mut session = Session::new(1, 5);
        session.push("a", 1000);
        assert_eq!(check_history(&[session], &good()[..1]), []);
    }
}
