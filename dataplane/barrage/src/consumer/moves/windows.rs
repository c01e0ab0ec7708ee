//! What stands in the last minute of the partitions that slices come from: read once for all who wait for it.
//!
//! The log says it all where the closing is within that minute; else the store says that the move is complete, and
//! then there is nothing to know. A closing that does not come (its owner is gone, or did not hear of the move) is
//! written by whoever waits for it, as late as nobody can object.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use barrage_proto::log::Record;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Context, RETRY_AFTER, poll::Slice},
    closing,
    search::{Origin, Origins, Search, Step, Window},
};
use barrage_core::{
    log::{LogError, LogRecord, Reading},
    routes::Table,
    store::{Applied, SliceBatch},
};

/// Before a search that has not come to its end goes on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Records taken at once.
const RECORDS_MAX: u32 = 1_024;
/// What is read is there already; if it does not come within this time, it was trimmed away.
const READ_MAX: Duration = Duration::from_secs(2);
/// When a closing is written by who waits for it: old owners write it after ten seconds at the latest.
const CLOSE_AFTER: Duration = Duration::from_secs(15);
/// How long what was found is kept for others who read the same records.
const KEPT: Duration = Duration::from_secs(120);

/// Slices that come to this consumer's partitions.
#[derive(Default)]
pub(in super::super) struct Arrivals {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
struct State {
    waits: HashMap<(Slice, u32), Wait>,
    asked: Vec<Searching>,
    origins: Origins,
}

/// A wait for what a slice brings with it.
#[derive(Debug, Clone)]
pub(in super::super) struct Wait {
    /// Number of the move.
    pub(super) number: u32,
    since_ms: i64,
    begun: Instant,
    window: watch::Receiver<Option<Arc<Window>>>,
}

struct Searching {
    search: Search,
    /// The partition that the slice came to, and by which move.
    to: (u32, u32),
    /// When nobody else has closed it.
    close_at: Instant,
    found: watch::Sender<Option<Arc<Window>>>,
}

impl Wait {
    /// What stands there, once it is known.
    pub(super) fn window(&self) -> Option<Arc<Window>> {
        self.window.borrow().clone()
    }
}

impl Arrivals {
    /// Takes in the newest table.
    pub(in super::super) fn learn(&self, table: &Table) {
        self.lock().origins.learn(table);
    }

    /// Where a slice came from by a move, if a table said so.
    pub(super) fn origin(&self, slice: &Slice, number: u32) -> Option<u32> {
        match self.lock().origins.find(slice, number) {
            Origin::From(partition) => Some(partition),
            Origin::NotYet | Origin::Unknown => None,
        }
    }

    /// A slice came to `partition` by a move; what stands elsewhere since `since_ms` is to be found.
    pub(super) fn wait_for(&self, slice: &Slice, number: u32, partition: u32, since_ms: i64) -> Wait {
        let mut state = self.lock();
        let key = (slice.clone(), number);
        if let Some(wait) = state.waits.get(&key).filter(|wait| wait.since_ms <= since_ms) {
            return wait.clone();
        }
        let (found, window) = watch::channel(None);
        let begun = Instant::now();
        let wait = Wait { number, since_ms, begun, window };
        state.waits.insert(key, wait.clone());
        let (search, close_at) = (Search::new(slice.clone(), number, since_ms), begun + CLOSE_AFTER);
        state.asked.push(Searching { search, to: (partition, number), close_at, found });
        drop(state);
        self.asked.notify_one();
        wait
    }

    /// All that is looked for is this.
    #[cfg(test)]
    pub(super) fn find(&self, window: Window) {
        for searching in self.take_asked() {
            _ = searching.found.send(Some(Arc::new(window.clone())));
        }
    }

    fn take_asked(&self) -> Vec<Searching> {
        let mut state = self.lock();
        state.waits.retain(|_, wait| wait.window().is_none() || wait.begun.elapsed() < KEPT);
        std::mem::take(&mut state.asked)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Searches until `stop`.
pub(in super::super) async fn find_windows(context: Arc<Context>, stop: CancellationToken) {
    let mut open = Vec::new();
    let search = async {
        loop {
            if open.is_empty() {
                context.arrivals.asked.notified().await;
            } else {
                sleep(LOOK_EVERY).await;
            }
            open.extend(context.arrivals.take_asked());
            context.search(&mut open).await;
        }
    };
    _ = stop.run_until_cancelled(search).await;
}

impl Context {
    /// Brings each search as far as the log goes now.
    async fn search(&self, open: &mut Vec<Searching>) {
        let mut partitions: BTreeMap<u32, Vec<Searching>> = BTreeMap::new();
        for mut searching in std::mem::take(open) {
            let Search { slice, number, partition, .. } = &mut searching.search;
            if partition.is_none() {
                match self.arrivals.lock().origins.find(slice, *number) {
                    Origin::From(from) => *partition = Some(from),
                    Origin::NotYet => {}
                    Origin::Unknown => {
                        tracing::warn!(room = %slice.0, shard = slice.1, number, "where a slice came from is not known");
                        searching.done();
                        continue;
                    }
                }
            }
            match searching.search.partition {
                Some(partition) => partitions.entry(partition).or_default().push(searching),
                None => open.push(searching),
            }
        }
        for (partition, mut searching) in partitions {
            match self.read(partition, &mut searching).await {
                Ok(left) => open.extend(left),
                Err(error) => {
                    tracing::warn!(partition, %error, "what slices bring with them is looked for again");
                    open.extend(searching);
                    sleep(RETRY_AFTER).await;
                }
            }
        }
        self.ask_store(open).await;
        self.close_overdue(open).await;
    }

    /// Reads a partition to its end; gives what is not found yet.
    async fn read(&self, partition: u32, searching: &mut Vec<Searching>) -> Result<Vec<Searching>, LogError> {
        for Searching { search, .. } in searching.iter_mut().filter(|searching| searching.search.next.is_none()) {
            search.next = Some(self.log.since(partition, search.since_ms).await?);
        }
        let end = self.log.state(partition).await?.end;
        let mut next = searching.iter().filter_map(|searching| searching.search.next).min().unwrap_or(end);
        if next < end {
            let mut reader = self.log.reader(partition, next, Reading::Window)?;
            while next < end {
                let Ok(records) = timeout(READ_MAX, reader.next(RECORDS_MAX)).await else { break };
                let records = records?;
                next = records.last().map_or(end, |record| record.offset + 1);
                self.take(partition, &records, searching);
            }
        }
        for Searching { search, .. } in searching.iter_mut().filter(|one| one.search.partition == Some(partition)) {
            search.next = search.next.max(Some(end));
        }
        // What was closed before what has just been read needs no more.
        let (known, left) = std::mem::take(searching)
            .into_iter()
            .partition(|one: &Searching| one.search.closed_before && one.search.partition == Some(partition));
        let known: Vec<Searching> = known;
        known.into_iter().for_each(Searching::done);
        Ok(left)
    }

    fn take(&self, partition: u32, records: &[LogRecord], searching: &mut Vec<Searching>) {
        let wanted: HashSet<Slice> = searching.iter().map(|searching| searching.search.slice.clone()).collect();
        for LogRecord { offset, append_ms, payload, .. } in records {
            let Ok(record) = Record::read(payload.clone()) else { continue };
            let slice = (record.room.as_str().into(), record.shard);
            if !wanted.contains(&slice) {
                continue;
            }
            let state = self.arrivals.lock();
            let take = |one: &mut Searching| {
                let search = &mut one.search;
                let its = search.slice == slice && search.partition == Some(partition);
                its && search.next.is_some_and(|next| next <= *offset)
                    && search.take(*append_ms, &record, &state.origins) == Step::Done
            };
            let done: Vec<_> = searching.extract_if(.., |one| take(one)).collect();
            drop(state);
            done.into_iter().for_each(Searching::done);
        }
    }

    /// Asks whether moves are complete whose closing is not where it was looked for. Those are read once more: it may
    /// have come meanwhile.
    async fn ask_store(&self, open: &mut [Searching]) {
        let table = Arc::clone(&self.routes.borrow());
        let asked: Vec<&mut Searching> = open.iter_mut().filter(|one| one.search.next.is_some()).collect();
        if asked.is_empty() {
            return;
        }
        let batches = asked.iter().map(|searching| searching.probe(&table)).collect();
        for (searching, outcome) in asked.into_iter().zip(self.store.apply(batches).await) {
            if let Ok(Applied::Whole | Applied::Fenced(_)) = outcome {
                searching.search.closed_before = true;
            }
        }
    }

    async fn close_overdue(&self, open: &mut [Searching]) {
        let now = Instant::now();
        let overdue = open.iter_mut().filter(|one| one.close_at <= now && !one.search.closed_before);
        let mut marks = Vec::new();
        for Searching { search, close_at, .. } in overdue {
            *close_at = now + CLOSE_AFTER;
            let Some(partition) = search.partition else { continue };
            let (room, shard, number) = (&search.slice.0, search.slice.1, search.number);
            tracing::warn!(%room, shard, number, partition, "nobody has closed the move; it is closed from here");
            let from = self.arrivals.origin(&search.slice, number - 1);
            marks.push(closing(&search.slice, number, partition, from));
        }
        if !marks.is_empty()
            && let Err(error) = self.log.append(marks).await
        {
            tracing::warn!(%error, "closing moves is tried again");
        }
    }
}

impl Searching {
    fn done(self) {
        // Nobody waits any more: the partition was given up.
        _ = self.found.send(Some(Arc::new(self.search.into_window())));
    }

    /// A batch of nothing: applying it tells whether the move is complete.
    fn probe(&self, table: &Table) -> SliceBatch {
        let (slice, (partition, _)) = (&self.search.slice, self.to);
        SliceBatch {
            room: slice.0.clone(),
            shard: slice.1,
            owner_epoch: owner_epoch(table, slice, partition),
            moved: self.search.number,
            partition,
            expected: None,
            rebuilding: false,
            history_length: u64::MAX,
            history_age_ms: i64::MAX,
            records: Vec::new(),
            closes: None,
        }
    }
}

/// Epoch under which a slice's records in a partition are applied: the higher of its last move's and the partition's.
pub(in super::super) fn owner_epoch(table: &Table, slice: &Slice, partition: u32) -> u64 {
    let owned_since = table.partitions.get(partition as usize).map_or(0, |owner| owner.epoch);
    table.slices.get(slice).map_or(0, |moved| moved.epoch).max(owned_since)
}
