//! Short questions and commits, over a client of their own: they neither wait for records nor hold them up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    message::Message,
};
use tokio::{sync::Mutex, time::timeout};

use super::{ASK_TIMEOUT, fetcher::Fetcher};
use barrage_core::log::{Commit, PartitionState};

/// What the metadata of a commit says before the epoch by which its partition was given up.
const RELEASED: &str = "released=";
/// librdkafka bounds all but one of these calls itself; the thread of one that does not return is given up.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// See the module. Clones share one client.
#[derive(Clone)]
pub(super) struct Metadata {
    fetcher: Arc<Fetcher>,
    /// One at a time: more would each hold a thread, and a client reads a partition once only.
    turn: Arc<Mutex<()>>,
}

impl Metadata {
    pub(super) fn new(fetcher: Fetcher) -> Self {
        Self { fetcher: Arc::new(fetcher), turn: Arc::default() }
    }

    pub(super) const fn fetcher(&self) -> &Arc<Fetcher> {
        &self.fetcher
    }

    pub(super) async fn state(&self, partition: u32) -> Result<PartitionState, String> {
        self.ask(move |fetcher| {
            let (start, end) = fetcher.watermarks(partition, ASK_TIMEOUT)?;
            let list = fetcher.list(partition, Offset::Invalid);
            let list = fetcher.consumer().committed_offsets(list, ASK_TIMEOUT).map_err(|error| error.to_string())?;
            let elements = list.elements();
            let element = elements.first().ok_or("no answer about the partition")?;
            element.error().map_err(|error| error.to_string())?;
            let committed = match element.offset() {
                Offset::Offset(offset) => u64::try_from(offset).unwrap_or_default(),
                // Nothing has taken effect yet. What the log no longer has from its beginning is missing then.
                _ => 0,
            };
            Ok(PartitionState { start, end, committed, released: released(element.metadata()) })
        })
        .await
    }

    /// All in one request.
    pub(super) async fn commit(&self, commits: Vec<Commit>) -> Result<(), String> {
        if commits.is_empty() {
            return Ok(());
        }
        self.ask(move |fetcher| {
            let mut list = TopicPartitionList::with_capacity(commits.len());
            for Commit { partition, offset, released } in commits {
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                let mut element = list.add_partition(fetcher.topic(), partition);
                let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                element.set_offset(offset).map_err(|error| error.to_string())?;
                if released > 0 {
                    element.set_metadata(format!("{RELEASED}{released}"));
                }
            }
            fetcher.consumer().commit(&list, CommitMode::Sync).map_err(|error| error.to_string())
        })
        .await
    }

    pub(super) async fn rewind(&self, partition: u32, offset: u64, window_ms: i64) -> Result<u64, String> {
        self.ask(move |fetcher| {
            let (start, end) = fetcher.watermarks(partition, ASK_TIMEOUT)?;
            let offset = offset.min(end);
            if offset <= start {
                return Ok(offset);
            }
            let newest_ms = append_ms(fetcher, partition, offset - 1)?;
            let first = first_since(fetcher, partition, newest_ms.saturating_sub(window_ms))?;
            Ok(first.map_or(offset, |first| first.min(offset)))
        })
        .await
    }

    /// Runs what blocks on the blocking pool, one call at a time.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Fetcher) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let no_answer = |_| format!("no answer within {} s", CALL_TIMEOUT.as_secs());
        let turn = timeout(CALL_TIMEOUT, Arc::clone(&self.turn).lock_owned()).await.map_err(no_answer)?;
        let fetcher = Arc::clone(&self.fetcher);
        let asked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&fetcher)
        });
        timeout(CALL_TIMEOUT, asked).await.map_err(no_answer)?.map_err(|error| error.to_string())?
    }
}

/// The first record that was appended then or later; blocks.
fn first_since(fetcher: &Fetcher, partition: u32, since_ms: i64) -> Result<Option<u64>, String> {
    // What was appended before the first millisecond of 1970 is not asked for: negative numbers mean other things.
    let list = fetcher.list(partition, Offset::Offset(since_ms.max(0)));
    let list = fetcher.consumer().offsets_for_times(list, ASK_TIMEOUT).map_err(|error| error.to_string())?;
    let elements = list.elements();
    let element = elements.first().ok_or("no answer about the partition")?;
    element.error().map_err(|error| error.to_string())?;
    Ok(match element.offset() {
        Offset::Offset(first) => u64::try_from(first).ok(),
        _ => None,
    })
}

/// Append time of a record; blocks.
fn append_ms(fetcher: &Fetcher, partition: u32, offset: u64) -> Result<i64, String> {
    let queue = fetcher.assign(partition, offset, || ())?;
    let deadline = Instant::now() + ASK_TIMEOUT;
    let found = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match queue.poll(left) {
            Some(Ok(message)) => break Ok(message.timestamp().to_millis().unwrap_or_default()),
            Some(Err(error)) => break Err(error.to_string()),
            None if left.is_zero() => break Err(format!("offset {offset} is not answered")),
            None => {}
        }
    };
    drop(queue);
    fetcher.unassign(partition);
    found
}

/// Epoch in the metadata of a commit; 0 when the owner stays, also for metadata of somebody else's.
fn released(metadata: &str) -> u64 {
    metadata.strip_prefix(RELEASED).and_then(|epoch| epoch.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_metadata_releases() {
        assert_eq!(["released=7", "", "released=", "released=-1", "7"].map(released), [7, 0, 0, 0, 0]);
    }
}
