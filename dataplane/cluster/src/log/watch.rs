//! Looks every few seconds whether all copies of the log are there, for those who ask how the process is.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use rdkafka::{consumer::Consumer, metadata::MetadataPartition};

use super::{ASK_TIMEOUT, fetcher::Fetcher};

const EVERY: Duration = Duration::from_secs(5);

/// What was seen last. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Option<String>>>);

impl Watch {
    /// Looks from a thread until the client is gone.
    pub(super) fn start(fetcher: &Arc<Fetcher>) -> Self {
        let watch = Self::default();
        let (seen, fetcher) = (watch.clone(), Arc::downgrade(fetcher));
        let spawned = thread::Builder::new().name("kafka-watch".into()).spawn(move || {
            while let Some(found) = look(&fetcher) {
                *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
                thread::sleep(EVERY);
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "nobody watches Kafka's replicas");
        }
        watch
    }

    pub(super) fn current(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `None` when there is nobody left to look for.
fn look(fetcher: &Weak<Fetcher>) -> Option<Option<String>> {
    let fetcher = fetcher.upgrade()?;
    let metadata = match fetcher.consumer().fetch_metadata(Some(fetcher.topic()), ASK_TIMEOUT) {
        Ok(metadata) => metadata,
        Err(error) => return Some(Some(format!("no broker answers: {error}"))),
    };
    let copies = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(Copies::of);
    Some(judge(&copies.collect::<Vec<_>>()))
}

/// Copies of a partition.
struct Copies {
    has_leader: bool,
    replicas: usize,
    in_sync: usize,
}

impl Copies {
    fn of(partition: &MetadataPartition) -> Self {
        Self {
            has_leader: partition.leader() >= 0,
            replicas: partition.replicas().len(),
            in_sync: partition.isr().len(),
        }
    }
}

fn judge(partitions: &[Copies]) -> Option<String> {
    let all = partitions.len();
    let leaderless = partitions.iter().filter(|partition| !partition.has_leader).count();
    let behind = partitions.iter().filter(|partition| partition.in_sync < partition.replicas).count();
    if all == 0 {
        Some("the topic is not there".into())
    } else if leaderless > 0 {
        Some(format!("{leaderless} of {all} partitions have no leader"))
    } else if behind > 0 {
        Some(format!("{behind} of {all} partitions lack a copy"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_said() {
        let copies = |has_leader, in_sync| Copies { has_leader, replicas: 3, in_sync };
        assert_eq!(judge(&[copies(true, 3), copies(true, 3)]), None);
        assert_eq!(judge(&[copies(true, 3), copies(true, 2)]).unwrap(), "1 of 2 partitions lack a copy");
        assert_eq!(judge(&[copies(false, 0), copies(true, 2)]).unwrap(), "1 of 2 partitions have no leader");
        assert_eq!(judge(&[]).unwrap(), "the topic is not there");
    }
}
