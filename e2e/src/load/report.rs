//! What a run is told as: for a reader, or as JSON.

mod text;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Outcome;
use crate::{
    checker::{Finding, Ledger},
    session::{Fate, Line, Session},
    swarm::{Progress, Viewer},
};

/// Findings that are told one by one; the others are only counted.
const FINDINGS_MAX: usize = 20;

/// A run in figures. Numbers that were not measured are absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Seconds from the moment that all viewers were connected.
    pub seconds: f64,
    /// Viewers, senders not counted.
    pub viewers: usize,
    /// Users who sent something.
    pub senders: usize,
    /// From sending to receipt.
    pub latency_ms: Option<Latency>,
    /// Danmaku sent, each counted once.
    pub sent: u64,
    /// Times that one was sent again.
    pub resent: u64,
    /// Danmaku that the server said it keeps.
    pub acknowledged: u64,
    /// Danmaku that the server will not have.
    pub refused: u64,
    /// Danmaku whose outcome the server could not tell.
    pub unknown: u64,
    /// Danmaku still without an answer at the end.
    pub unanswered: u64,
    /// Danmaku that were not sent, because their user had too many waiting.
    pub held_back: u64,
    /// Danmaku that the room kept, of others too: what was shown, merged, sampled out, deleted, expired.
    pub ledger: Option<Ledger>,
    /// Acknowledged, and not in the history.
    pub lost: Option<usize>,
    /// Twice in the history, or shown twice to one viewer.
    pub doubled: u64,
    /// Behind a later one of the same sender in the history.
    pub out_of_order: Option<usize>,
    /// Every breach of a promise, the above among them: how many.
    pub findings: usize,
    /// The first of them by name.
    pub findings_first: Vec<String>,
    /// Danmaku shown live, by all viewers and senders together.
    pub received: u64,
    /// Danmaku from before, at joining or resuming.
    pub received_from_history: u64,
    /// Danmaku that viewers, connected all the time, were not shown although the room showed them.
    pub missed: Option<u64>,
    /// Viewers, connected all the time, whose frames do not add up to the room's ledger.
    pub viewers_off_ledger: Option<usize>,
    /// Acknowledged danmaku that their own sender, connected all the time, was not shown.
    pub own_unseen: u64,
    /// WebSocket messages received.
    pub messages: u64,
    /// Bytes received, WebSocket headers included.
    pub bytes: u64,
    /// Bytes received for each danmaku received.
    pub bytes_per_danmaku: Option<f64>,
    /// Frames that could not be read.
    pub unreadable: u64,
    /// Connections lost.
    pub disconnects: u64,
    pub ended: BTreeMap<String, u64>,
    /// Refusals by reason.
    pub refusals: BTreeMap<String, u64>,
    pub behind_ms: u64,
}

/// A latency histogram in figures, ms; the clock's steps are 1 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Half are faster.
    pub p50: u64,
    /// 90 % are faster.
    pub p90: u64,
    /// 99 % are faster.
    pub p99: u64,
    /// 99.9 % are faster.
    pub p999: u64,
    pub max: u64,
    /// Receipts.
    pub count: u64,
}

impl Latency {
    /// The figures of a histogram; none for an empty one.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile);
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
            count: histogram.len(),
        })
    }
}

impl Report {
    /// Tells a run.
    #[must_use]
    pub fn new(outcome: &Outcome, progress: &Progress) -> Self {
        let harvest = &outcome.harvest;
        let totals = harvest.totals;
        let findings = outcome.findings();
        let ledger = outcome.checked.as_ref().map(|checked| checked.ledger.1.since(&checked.ledger.0));
        let count = |is: fn(&Finding) -> bool| findings.iter().filter(|finding| is(finding)).count();
        let checked = |count: usize| outcome.checked.as_ref().map(|_| count);
        let doubled = count(|finding| matches!(finding, Finding::Doubled { .. })) as u64;
        let received = totals.danmaku + totals.history;
        let bytes = progress.bytes.value();
        let sent =
            |is: fn(&Line) -> bool| lines(&harvest.senders).filter(|line| line.tries > 0 && is(line)).count() as u64;
        Self {
            seconds: outcome.time.as_secs_f64(),
            viewers: harvest.viewers.len(),
            senders: harvest.senders.len(),
            latency_ms: Latency::of(&harvest.latency),
            sent: sent(|_| true),
            resent: progress.resent.value(),
            acknowledged: sent(|line| matches!(line.fate, Fate::Acknowledged(_))),
            refused: sent(|line| matches!(line.fate, Fate::Refused(_))),
            unknown: sent(|line| line.fate == Fate::Unknown),
            unanswered: sent(|line| line.fate == Fate::Pending),
            held_back: progress.held_back.value(),
            ledger,
            lost: checked(count(|finding| matches!(finding, Finding::Lost { .. }))),
            doubled: doubled + totals.doubled + harvest.own_doubled,
            out_of_order: checked(count(|finding| matches!(finding, Finding::OutOfOrder { .. }))),
            findings: findings.len(),
            findings_first: findings.iter().take(FINDINGS_MAX).map(ToString::to_string).collect(),
            received: totals.danmaku,
            received_from_history: totals.history,
            missed: ledger.map(|ledger| missed(&harvest.viewers, &ledger)),
            viewers_off_ledger: ledger.map(|ledger| off_ledger(&harvest.viewers, &ledger)),
            own_unseen: harvest.own_unseen,
            messages: totals.messages,
            bytes,
            bytes_per_danmaku: (received > 0).then(|| bytes as f64 / received as f64),
            unreadable: totals.unreadable,
            disconnects: progress.disconnects.value(),
            ended: harvest.ended.clone(),
            refusals: refusals(&harvest.senders),
            behind_ms: u64::try_from(harvest.behind.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whether every promise was kept, as far as was looked.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings == 0 && self.doubled == 0 && self.unreadable == 0
    }
}

fn lines(senders: &[Session]) -> impl Iterator<Item = &Line> {
    senders.iter().flat_map(Session::lines)
}

fn missed(viewers: &[Viewer], ledger: &Ledger) -> u64 {
    let steady = viewers.iter().filter(|viewer| viewer.steady);
    steady.map(|viewer| ledger.shown.saturating_sub(viewer.danmaku)).sum()
}

/// Version 1 has no ledger: its viewers, told of nothing that was left out, are passed over.
fn off_ledger(viewers: &[Viewer], ledger: &Ledger) -> usize {
    let told = viewers.iter().any(|viewer| viewer.left_out > 0) || ledger.shown == ledger.logged;
    let expected = ledger.logged - ledger.deleted.min(ledger.logged);
    let is_off = |viewer: &&Viewer| viewer.steady && viewer.danmaku + viewer.left_out != expected;
    if told { viewers.iter().filter(is_off).count() } else { 0 }
}

fn refusals(senders: &[Session]) -> BTreeMap<String, u64> {
    use barrage_proto::v2::pb::Reason;
    let mut by_reason = BTreeMap::new();
    for (&code, count) in senders.iter().flat_map(Session::refusals) {
        let name = Reason::try_from(code).unwrap_or_default().as_str_name().trim_start_matches("REASON_");
        *by_reason.entry(name.to_owned()).or_default() += count;
    }
    by_reason
}

#[cfg(test)]
mod tests;
