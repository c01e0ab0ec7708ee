//! A partition's feed and those who follow it.
//!
//! The feed reads at the end of the log and never waits for anybody; polls that a follower was too slow for are lost to
//! it, and it reads them from the log by itself, until it has reached the feed again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, broadcast, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    RETRY_AFTER,
    dedupe::{Dedupe, REACH_MS},
    metrics::Metrics,
    poll::Poll,
    progress::{Progress, Rewind},
};
use barrage_core::log::{Log, LogError, LogRecord, Reader, Reading};

/// Records taken from a partition at once.
const POLL_RECORDS_MAX: u32 = 256;
/// Polls that a follower may be behind the feed, so memory stays bounded.
const FEED_POLLS: usize = 64;
/// What is read behind the end is there already; if it does not come in this time, it was trimmed away, or the log cannot
/// be read now.
const READ_BACK_MAX: Duration = Duration::from_secs(2);

/// One partition of the log, read once for all.
pub(super) struct Source {
    log: Log,
    partition: u32,
    feed: broadcast::Sender<Arc<Poll>>,
    /// Offset after the last poll of the feed.
    end: AtomicU64,
    /// The reader for those behind, and where it stands; they take turns.
    back: Mutex<Option<(u64, Reader)>>,
    /// The feed has ended; followers end where it did.
    closing: CancellationToken,
    metrics: Metrics,
}

impl Source {
    pub(super) fn new(log: Log, partition: u32, start: u64, metrics: Metrics) -> Self {
        let (feed, _) = broadcast::channel(FEED_POLLS);
        let (back, closing) = (Mutex::new(None), CancellationToken::new());
        Self { log, partition, feed, end: AtomicU64::new(start), back, closing, metrics }
    }

    /// Follows from an offset on, and goes back whenever the progress says so.
    pub(super) fn follow(self: &Arc<Self>, from: u64, progress: &Progress) -> Follower {
        let mut rewinds = progress.rewinds();
        let rewind = rewinds.borrow_and_update().count;
        let feed = self.feed.subscribe();
        let mut follower = Follower { source: Arc::clone(self), feed, rewinds, rewind, next: from, behind: Behind::No };
        follower.go_back(from);
        follower
    }

    /// Offset after the last poll of the feed.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Reads at the end of the log until `stop`; then followers end where this did.
    pub(super) async fn feed(&self, stop: CancellationToken) {
        tokio::select! {
            () = self.read_on() => {}
            () = stop.cancelled() => {}
        }
        self.closing.cancel();
    }

    async fn read_on(&self) {
        let mut dedupe = loop {
            match self.warm(self.end()).await {
                Ok(dedupe) => break dedupe,
                Err(error) => tracing::warn!(self.partition, %error, "reading is tried again"),
            }
            sleep(RETRY_AFTER).await;
        };
        loop {
            if let Err(error) = self.read_from(self.end(), &mut dedupe).await {
                tracing::warn!(self.partition, %error, "reading is tried again");
                sleep(RETRY_AFTER).await;
            }
        }
    }

    async fn read_from(&self, from: u64, dedupe: &mut Dedupe) -> Result<(), LogError> {
        let mut reader = self.log.reader(self.partition, from, Reading::Live)?;
        loop {
            let records = reader.next(POLL_RECORDS_MAX).await?;
            let poll = Poll::read(self.partition, self.end(), records, dedupe);
            self.metrics.read(&poll);
            // Before it is sent: who subscribes and then finds the end where it stands misses nothing.
            self.end.store(poll.end, Ordering::Release);
            // Without a follower nobody needs it.
            let _ = self.feed.send(Arc::new(poll));
        }
    }

    /// Reads the window before an offset, so that repeats of what stands there are known.
    async fn warm(&self, offset: u64) -> Result<Dedupe, LogError> {
        let mut dedupe = Dedupe::default();
        let mut from = self.log.rewind(self.partition, offset, REACH_MS).await?;
        while from < offset {
            let records = self.records_behind(from).await?;
            let Some(last) = records.last() else { break };
            let end = last.offset + 1;
            let before = records.into_iter().filter(|record| record.offset < offset).collect();
            Poll::read(self.partition, from, before, &mut dedupe);
            from = end;
        }
        Ok(dedupe)
    }

    /// Records behind the end; none if there are none any more before the end.
    ///
    /// # Errors
    /// [`LogError`] when the log does not give them now, which says nothing about whether they are there.
    async fn records_behind(&self, from: u64) -> Result<Vec<LogRecord>, LogError> {
        let mut back = self.back.lock().await;
        if back.as_ref().is_none_or(|(at, _)| *at != from) {
            // One reader of a kind at a time.
            *back = None;
        }
        // It stays where it is when this is given up: what it waits for may be on its way.
        let (at, reader) = match &mut *back {
            Some(reader) => reader,
            none => none.insert((from, self.log.reader(self.partition, from, Reading::CatchUp)?)),
        };
        match timeout(READ_BACK_MAX, reader.next(POLL_RECORDS_MAX)).await {
            Ok(records) => {
                let records = records?;
                *at = records.last().map_or(from, |record| record.offset + 1);
                Ok(records)
            }
            Err(_) if self.log.state(self.partition).await?.start >= self.end() => Ok(Vec::new()),
            Err(_) => {
                let reason = format!("partition {} gives nothing at offset {from}", self.partition);
                Err(LogError::Storage { doing: "read back", reason })
            }
        }
    }
}

pub(super) enum Followed {
    /// Records, without a hole behind what came before.
    Poll(Arc<Poll>),
    /// What came before may be lost; it comes again from here on.
    Rewound { to: u64 },
    /// It was behind the feed and is no more: from now on waiting for what comes next may be broken off.
    Reached,
    /// The feed has ended and everything was followed.
    End,
}

/// One who follows a partition.
pub(super) struct Follower {
    source: Arc<Source>,
    feed: broadcast::Receiver<Arc<Poll>>,
    rewinds: watch::Receiver<Rewind>,
    /// Count of rewinds followed so far.
    pub(super) rewind: u64,
    next: u64,
    behind: Behind,
}

/// Whether it reads by itself.
enum Behind {
    No,
    /// It will, once it knows what repeats what stands before.
    Cold,
    Warm(Dedupe),
}

impl Follower {
    /// Waits for what comes next. Nothing is lost when this is dropped.
    ///
    /// # Errors
    /// [`LogError`]: try again.
    pub(super) async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            if self.rewinds.has_changed().unwrap_or(false) {
                let Rewind { count, to } = *self.rewinds.borrow_and_update();
                self.rewind = count;
                // Who fills a lost slice again from the start of the log is further back already: going on from here would
                // leave out what lies between.
                let to = to.min(self.next);
                self.go_back(to);
                return Ok(Followed::Rewound { to });
            }
            if !matches!(self.behind, Behind::No) && self.has_reached_the_feed() {
                self.behind = Behind::No;
                // Who holds something back looks after it while nothing comes, but not while this reads behind.
                return Ok(Followed::Reached);
            }
            match &mut self.behind {
                Behind::No => {
                    if let Some(followed) = self.next_of_feed().await {
                        return Ok(followed);
                    }
                }
                Behind::Cold => self.behind = Behind::Warm(self.source.warm(self.next).await?),
                Behind::Warm(dedupe) => {
                    let records = self.source.records_behind(self.next).await?;
                    if records.is_empty() {
                        // Trimmed away: there is nothing between here and the feed.
                        self.next = self.source.end();
                        continue;
                    }
                    let poll = Poll::read(self.source.partition, self.next, records, dedupe);
                    self.source.metrics.read_behind.inc_by(poll.records);
                    self.next = poll.end;
                    return Ok(Followed::Poll(Arc::new(poll)));
                }
            }
        }
    }

    /// The next poll if it is at hand.
    pub(super) fn at_hand(&mut self) -> Option<Arc<Poll>> {
        if !matches!(self.behind, Behind::No) || self.rewinds.has_changed().unwrap_or(false) {
            return None;
        }
        match self.feed.try_recv() {
            Ok(poll) => self.take(poll),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {
                self.go_back(self.next);
                None
            }
            Err(_) => None,
        }
    }

    /// Whether it reads by itself: then waiting for what comes next should not be broken off, because that loses work.
    pub(super) const fn is_behind(&self) -> bool {
        !matches!(self.behind, Behind::No)
    }

    /// Goes on from an earlier offset.
    pub(super) fn go_back(&mut self, to: u64) {
        self.next = to;
        self.behind = Behind::Cold;
    }

    /// `None`: look again at where it stands.
    async fn next_of_feed(&mut self) -> Option<Followed> {
        let ended = self.feed.is_empty();
        tokio::select! {
            biased;
            _ = self.rewinds.changed() => {
                self.rewinds.mark_changed();
                None
            }
            poll = self.feed.recv() => match poll {
                Ok(poll) => self.take(poll).map(Followed::Poll),
                Err(_) => {
                    self.go_back(self.next);
                    None
                }
            },
            () = self.source.closing.cancelled(), if ended => Some(Followed::End),
        }
    }

    fn take(&mut self, poll: Arc<Poll>) -> Option<Arc<Poll>> {
        if poll.start > self.next {
            self.go_back(self.next);
            return None;
        }
        if poll.end <= self.next {
            return None;
        }
        self.next = poll.end;
        Some(poll)
    }

    fn has_reached_the_feed(&mut self) -> bool {
        let feed = self.source.feed.subscribe();
        let reached = self.next >= self.source.end();
        if reached {
            self.feed = feed;
        }
        reached
    }
}
