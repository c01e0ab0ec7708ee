//! What a thread's viewers have received: a message is decoded once and accounted for each of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use hdrhistogram::Histogram;

use super::{
    message::{Content, Format, Id, Reader, Reply, Row, is_personal},
    seen::Seen,
};

/// Messages that are under way to viewers at one time: a viewer that is slower costs a second decoding, no more.
const RECENT_MESSAGES: usize = 32;
/// Danmaku whose message is remembered, to notice one that is shown again: half a minute of a generous budget.
const RECENT_ROWS: usize = 65_536;
/// The longest latency that is told apart, ms; a retry after a long outage is as long as it is.
const LATENCY_MS_MAX: u64 = 3_600_000;

/// One viewer's share.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// The viewer's own user ID, if it sends.
    pub(super) sender: Option<u64>,
    /// Danmaku shown live.
    pub(super) danmaku: u64,
    /// Danmaku that frames answered for without showing them.
    pub(super) left_out: u64,
    pub(super) cursor: Option<Arc<[u8]>>,
    /// When this connection was dialed, Unix time in ms. A room's latest frame is a late joiner's first; what others
    /// sent before its time was not slow to come.
    dialed_ms: i64,
    seen: Seen,
}

impl Account {
    pub(super) fn of_sender(user: u64) -> Self {
        Self { sender: Some(user), ..Self::default() }
    }

    /// A connection is under way; it may begin with what the one before has shown, and a client passes over that.
    pub(super) fn dialed(&mut self, now_ms: i64) {
        self.dialed_ms = now_ms;
        self.seen = Seen::default();
    }
}

/// Sums over all viewers of a thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// WebSocket messages.
    pub messages: u64,
    /// Danmaku shown live.
    pub danmaku: u64,
    /// Danmaku shown from before, at joining or resuming.
    pub history: u64,
    /// Danmaku that one viewer was shown live a second time.
    pub doubled: u64,
    /// Frames that could not be read.
    pub unreadable: u64,
}

impl Totals {
    pub(super) const fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.danmaku += other.danmaku;
        self.history += other.history;
        self.doubled += other.doubled;
        self.unreadable += other.unreadable;
    }
}

struct Message {
    bytes: Vec<u8>,
    content: Content,
    /// Among the messages with live danmaku; 0 for others.
    number: u64,
    /// Earlier messages that showed some of the same danmaku, with how many.
    overlaps: Vec<(u64, u64)>,
    /// Receipts within one millisecond, recorded together.
    receipts: u64,
    receipts_ms: i64,
}

/// An empty histogram of latencies, ms.
pub(super) fn latency_histogram() -> Result<Histogram<u64>, hdrhistogram::CreationError> {
    Histogram::new_with_bounds(1, LATENCY_MS_MAX, 3)
}

pub(super) struct Received {
    format: Format,
    reader: Reader,
    recent: VecDeque<Message>,
    /// Number of the message that showed a danmaku last.
    shown_in: HashMap<Id, u64>,
    shown_order: VecDeque<Id>,
    numbers: u64,
    pub(super) totals: Totals,
    /// From sending to receipt, ms; one value a danmaku and viewer.
    pub(super) latency: Histogram<u64>,
}

impl Received {
    /// # Errors
    /// The histogram's, which its bounds exclude.
    pub(super) fn new(format: Format) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            format,
            reader: Reader::new(),
            recent: VecDeque::new(),
            shown_in: HashMap::new(),
            shown_order: VecDeque::new(),
            numbers: 0,
            totals: Totals::default(),
            latency: latency_histogram()?,
        })
    }

    /// Accounts a message that one viewer got; what is for that viewer alone goes to `replies`.
    pub(super) fn take(&mut self, bytes: &[u8], now_ms: i64, account: &mut Account, replies: &mut Vec<Reply>) {
        let format = if account.sender.is_some() { Format::V2 } else { self.format };
        let known = self.recent.iter().rposition(|message| message.bytes == bytes);
        let (at, keep) = match known {
            Some(at) => (at, true),
            None => self.decode(format, bytes),
        };
        let Some(message) = self.recent.get_mut(at) else {
            return;
        };
        message.account(now_ms, account, &mut self.totals, &mut self.latency, replies);
        if !keep && let Some(message) = self.recent.pop_back() {
            message.record(&mut self.latency);
        }
    }

    /// Records the receipts that are still held together; call before reading the latency.
    pub(super) fn settle(&mut self) {
        for message in &mut self.recent {
            message.record(&mut self.latency);
            message.receipts = 0;
        }
    }

    /// Decodes a message to the end of the recent ones; returns its place, and whether others will get it too.
    fn decode(&mut self, format: Format, bytes: &[u8]) -> (usize, bool) {
        let content = self.reader.read(format, bytes);
        let keep = !content.echo && !is_personal(format, bytes);
        if keep
            && self.recent.len() >= RECENT_MESSAGES
            && let Some(oldest) = self.recent.pop_front()
        {
            oldest.record(&mut self.latency);
        }
        let (number, overlaps) = self.number(&content);
        let bytes = if keep { bytes.to_vec() } else { Vec::new() };
        self.recent.push_back(Message { bytes, content, number, overlaps, receipts: 0, receipts_ms: 0 });
        (self.recent.len() - 1, keep)
    }

    /// Numbers a message with live danmaku, and finds the earlier ones that showed them already.
    fn number(&mut self, content: &Content) -> (u64, Vec<(u64, u64)>) {
        if content.rows.is_empty() {
            return (0, Vec::new());
        }
        self.numbers += 1;
        let mut overlaps: Vec<(u64, u64)> = Vec::new();
        for row in &content.rows {
            let Some(earlier) = self.shown_in.insert(row.id, self.numbers) else {
                self.shown_order.push_back(row.id);
                continue;
            };
            match overlaps.iter_mut().find(|(number, _)| *number == earlier) {
                Some((_, rows)) => *rows += 1,
                None => overlaps.push((earlier, 1)),
            }
        }
        while self.shown_order.len() > RECENT_ROWS {
            self.shown_order.pop_front().and_then(|id| self.shown_in.remove(&id));
        }
        (self.numbers, overlaps)
    }
}

impl Message {
    fn account(
        &mut self,
        now_ms: i64,
        account: &mut Account,
        totals: &mut Totals,
        latency: &mut Histogram<u64>,
        replies: &mut Vec<Reply>,
    ) {
        let content = &self.content;
        let rows = content.rows.len() as u64;
        totals.messages += 1;
        totals.danmaku += rows;
        totals.history += content.history.len() as u64;
        totals.unreadable += content.unreadable;
        account.danmaku += rows;
        account.left_out += content.left_out;
        if self.number > 0 {
            totals.doubled += self.doubled(account);
        }
        if let Some(cursor) = &content.cursor {
            account.cursor = Some(Arc::clone(cursor));
        }
        replies.extend(content.replies.iter().cloned());
        if let Some(own) = account.sender {
            let shown = content.rows.iter().chain(&content.history);
            replies.extend(shown.filter(|row| row.user == own).map(|row| Reply::Own(row.sent_ms)));
        }
        if content.rows.iter().any(|row| row.sent_ms < account.dialed_ms) {
            return self.record_to_joiner(now_ms, account, latency);
        }
        if now_ms != self.receipts_ms {
            self.record(latency);
            self.receipts = 0;
            self.receipts_ms = now_ms;
        }
        self.receipts += 1;
    }

    /// Danmaku of this message that the viewer was shown before, live.
    fn doubled(&self, account: &mut Account) -> u64 {
        if account.seen.insert(self.number) {
            return self.content.rows.len() as u64;
        }
        let got = |&&(number, _): &&(u64, u64)| number == self.number || account.seen.contains(number);
        self.overlaps.iter().filter(got).map(|&(_, rows)| rows).sum()
    }

    fn record(&self, latency: &mut Histogram<u64>) {
        if self.receipts == 0 {
            return;
        }
        for row in &self.content.rows {
            latency.saturating_record_n(latency_ms(row, self.receipts_ms), self.receipts);
        }
    }

    fn record_to_joiner(&self, now_ms: i64, account: &Account, latency: &mut Histogram<u64>) {
        let timely = |row: &&Row| row.sent_ms >= account.dialed_ms || account.sender == Some(row.user);
        for row in self.content.rows.iter().filter(timely) {
            latency.saturating_record(latency_ms(row, now_ms));
        }
    }
}

/// Clocks may be set back; nothing comes before it was sent.
fn latency_ms(row: &Row, now_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(row.sent_ms)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
