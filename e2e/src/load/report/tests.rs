//! A report of a small run.

use super::*;
use crate::{
    http::{Kept, Place},
    load::Checked,
    swarm::{Control, Harvest},
};
use barrage_proto::{Position, v2::pb};
use std::time::Duration;

/// Two danmaku of user 5, both acknowledged; the history and the ranking hold `kept` of them.
fn outcome(kept: u32) -> Outcome {
    let mut session = Session::new(1, 5);
    session.connected();
    for text in ["a", "b"] {
        session.push(text, 1000);
        session.next_send(1000);
    }
    session.acknowledged(&pb::Ack { seq: vec![1, 2], partition: 0, offset: 7, index: vec![0, 1] }, 1000);
    let history = (0..kept).map(|index| Kept {
        id: Position { partition: 0, offset: 7, index },
        user: 5,
        sent_ms: 1000 + i64::from(index),
        content: ["a", "b"][index as usize].to_owned(),
    });
    let after = Ledger { logged: 12, shown: 11, sampled_out: 1, ..Ledger::default() };
    let before = Ledger { logged: 10, shown: 10, ..Ledger::default() };
    let mut harvest = Harvest::nothing().unwrap();
    harvest.latency.record_n(20, 2).unwrap();
    harvest.totals.danmaku = 1;
    harvest.viewers = [(1, 1), (1, 0)].map(|(danmaku, left_out)| Viewer { steady: true, danmaku, left_out }).to_vec();
    harvest.senders.push(session);
    let place = |score| vec![Place { rank: 1, user: 5, score }];
    let ranking = (place(3), place(3 + u64::from(kept)));
    let checked = Checked { history: history.collect(), ledger: (before, after), ranking };
    Outcome { harvest, checked: Some(checked), time: Duration::from_secs(2) }
}

#[test]
fn a_clean_run_says_so_in_figures() {
    let control = Control::default();
    control.progress.bytes.add(50);
    let report = Report::new(&outcome(2), &control.progress);
    assert!(report.is_clean(), "{:?}", report.findings_first);
    assert_eq!((report.sent, report.acknowledged, report.lost, report.doubled), (2, 2, Some(0), 0));
    let ledger = report.ledger.unwrap();
    assert_eq!((ledger.logged, ledger.shown, ledger.sampled_out), (2, 1, 1));
    assert_eq!((report.latency_ms.unwrap().p99, report.bytes_per_danmaku), (20, Some(50.0)));
    assert_eq!((report.missed, report.viewers_off_ledger), (Some(0), Some(1)));
    let text = report.to_string();
    assert!(text.contains("P99 20") && text.contains("sampled out"), "{text}");
}

#[test]
fn a_loss_is_counted_and_named() {
    let report = Report::new(&outcome(1), &Control::default().progress);
    assert!(!report.is_clean());
    assert_eq!((report.lost, report.findings), (Some(1), 1));
    assert!(report.to_string().contains("lost: user 5, number 2"));
}

#[test]
fn json_has_the_same_figures_in_camel_case() {
    let json = serde_json::to_value(Report::new(&outcome(2), &Control::default().progress)).unwrap();
    assert_eq!(json["latencyMs"]["p999"], 20);
    assert_eq!(json["outOfOrder"], 0);
    assert_eq!(json["ledger"]["sampledOut"], 1);
}

#[test]
fn what_was_not_checked_is_not_claimed() {
    let outcome = Outcome { checked: None, ..outcome(0) };
    let report = Report::new(&outcome, &Control::default().progress);
    assert_eq!((report.lost, report.findings), (None, 0));
    assert!(report.to_string().contains("lost                       -"), "{report}");
}
