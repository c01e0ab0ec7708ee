//! The report for a reader.

use std::fmt;

use super::{Latency, Report};
use crate::checker::Ledger;

/// From here on the load generator's own lateness is worth a word, ms.
const BEHIND_MS: u64 = 50;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, viewers, senders, .. } = self;
        writeln!(f, "{seconds:.1} s, {viewers} viewers, {senders} senders")?;
        match self.latency_ms {
            Some(latency) => writeln!(f, "send → receipt, ms   {latency}")?,
            None => writeln!(f, "send → receipt       nothing was received")?,
        }
        for [(left, left_value), (right, right_value)] in self.pairs() {
            writeln!(f, "{left:<14}{left_value:>14}    {right:<18}{right_value:>12}")?;
        }
        if let Some(each) = self.bytes_per_danmaku {
            let Self { bytes, messages, .. } = self;
            writeln!(f, "bytes per danmaku {each:>10.1}    ({bytes} bytes in {messages} messages)")?;
        }
        self.remarks(f)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max, count } = self;
        write!(f, "P50 {p50}   P90 {p90}   P99 {p99}   P99.9 {p999}   max {max}   ({count} receipts)")
    }
}

impl Report {
    fn pairs(&self) -> [[(&'static str, String); 2]; 10] {
        let booked = |of: fn(&Ledger) -> u64| whole(self.ledger.as_ref().map(of));
        let open = self.unanswered + self.unknown;
        [
            [("sent", some(self.sent)), ("acknowledged", some(self.acknowledged))],
            [("sent again", some(self.resent)), ("refused", some(self.refused))],
            [("held back", some(self.held_back)), ("without answer", some(open))],
            [("shown", booked(|ledger| ledger.shown)), ("merged", booked(|ledger| ledger.merged))],
            [("sampled out", booked(|ledger| ledger.sampled_out)), ("expired", booked(|ledger| ledger.expired))],
            [("lost", whole(self.lost)), ("doubled", some(self.doubled))],
            [("out of order", whole(self.out_of_order)), ("findings in all", some(self.findings))],
            [("received", some(self.received)), ("missed by viewers", whole(self.missed))],
            [("own not shown", some(self.own_unseen)), ("viewers off the ledger", whole(self.viewers_off_ledger))],
            [("disconnects", some(self.disconnects)), ("unreadable frames", some(self.unreadable))],
        ]
    }

    fn remarks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.behind_ms > BEHIND_MS {
            writeln!(f, "the load generator itself was up to {} ms late: its machine is too busy", self.behind_ms)?;
        }
        if self.held_back > 0 {
            let remedy = "more --users, a lower --exponent, or a higher rateLimit of the room";
            writeln!(f, "held back: users had too many waiting; {remedy}")?;
        }
        for (what, counts) in [("connection", &self.ended), ("refusal", &self.refusals)] {
            for (why, count) in counts {
                writeln!(f, "{what}: {why}: {count} ×")?;
            }
        }
        for finding in &self.findings_first {
            writeln!(f, "{finding}")?;
        }
        if self.findings > self.findings_first.len() {
            writeln!(f, "… and {} more", self.findings - self.findings_first.len())?;
        }
        Ok(())
    }
}

/// A dash stands for what was not measured.
fn whole(count: Option<impl ToString>) -> String {
    count.map_or_else(|| "-".to_owned(), some)
}

fn some(count: impl ToString) -> String {
    count.to_string()
}
