//! The marker of each hash slot: laid when the pool is created, so that what is missing later was lost.
//!
//! A lost hash slot gets a name, and each partition is filled again from the log's start for it. That takes a while, and
//! the slot can be lost again meanwhile, under another name: so what a partition is filled again *for* is noted when it
//! begins, and only that is settled when it is done.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{ErrorKind, RedisError, cmd};
use tokio::task::JoinSet;

use super::{config::failed, keys::SLOTS, shared::Shared};
use barrage_core::clock::unix_ms;
use barrage_core::store::StoreError;

/// Partitions that start at the same time share one look at all markers.
const SHARED_FOR: Duration = Duration::from_secs(1);
/// Tasks that look at markers, each at its share one after the other.
const LOOKERS: u16 = 64;
/// How often a slot is asked about, and the pause between.
const TRIES: u32 = 5;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Markers {
    last: tokio::sync::Mutex<Option<(Instant, Arc<[Loss]>)>>,
    /// By partition, the losses that it is being filled again for.
    rebuilding: Mutex<HashMap<u32, HashSet<String>>>,
}

/// A hash slot that was lost at some time.
struct Loss {
    slot: u16,
    name: String,
    /// Fields of the partitions that have been filled again since.
    rebuilt: HashSet<String>,
}

/// Lays all markers that are not there.
pub(super) async fn lay(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let laid = unix_ms();
    let laying = on_all_slots(shared, move |shared, slot| async move {
        let key = shared.keys.marker(slot);
        shared.calls.send::<u64>(&key, cmd("HSETNX").arg(&key).arg("laid").arg(laid)).await
    });
    laying.await.map(drop)
}

/// Whether a partition has to be filled again; if so, it begins now.
pub(super) async fn is_lost(shared: &Arc<Shared>, partition: u32) -> Result<bool, StoreError> {
    let mut last = shared.markers.last.lock().await;
    let losses = match &*last {
        Some((at, losses)) if at.elapsed() < SHARED_FOR => Arc::clone(losses),
        _ => {
            let losses = look(shared).await?;
            *last = Some((Instant::now(), Arc::clone(&losses)));
            losses
        }
    };
    let is_lost = losses.iter().any(|loss| !loss.rebuilt.contains(&field(partition)));
    if is_lost {
        shared.markers.begin(partition, &losses);
    }
    Ok(is_lost)
}

/// Notes what these partitions are filled again for, now that something of them was found lost.
pub(super) async fn begin_rebuilding(shared: &Arc<Shared>, partitions: BTreeSet<u32>) -> Result<(), StoreError> {
    if partitions.is_empty() {
        return Ok(());
    }
    let losses = look(shared).await?;
    partitions.into_iter().for_each(|partition| shared.markers.begin(partition, &losses));
    Ok(())
}

/// Settles what a partition was filled again for.
pub(super) async fn rebuilt(shared: &Arc<Shared>, partition: u32) -> Result<(), StoreError> {
    let names = shared.markers.begun(partition);
    let losses = look(shared).await?;
    let settled = |loss: &&Loss| names.contains(&loss.name) && !loss.rebuilt.contains(&field(partition));
    for loss in losses.iter().filter(settled) {
        let (key, script) = (shared.keys.marker(loss.slot), &shared.scripts.settle);
        let settled = shared.calls.script::<u64>(script, &[key], &[&loss.name, &field(partition)]).await;
        settled.map_err(|error| failed("written", format!("a marker: {error}")))?;
    }
    *shared.markers.last.lock().await = None;
    shared.markers.done(partition, &names);
    Ok(())
}

impl Markers {
    fn begin(&self, partition: u32, losses: &[Loss]) {
        let names = losses.iter().map(|loss| loss.name.clone()).collect();
        self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, names);
    }

    fn begun(&self, partition: u32) -> HashSet<String> {
        let rebuilding = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        rebuilding.get(&partition).cloned().unwrap_or_default()
    }

    /// Unless it has begun again for something else.
    fn done(&self, partition: u32, names: &HashSet<String>) {
        let mut rebuilding = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        if rebuilding.get(&partition) == Some(names) {
            rebuilding.remove(&partition);
        }
    }
}

/// Looks at all markers; gives a name to what is missing.
async fn look(shared: &Arc<Shared>) -> Result<Arc<[Loss]>, StoreError> {
    let name: Arc<str> = format!("{:016x}", rand::random::<u64>()).into();
    let looking = on_all_slots(shared, move |shared, slot| {
        let name = Arc::clone(&name);
        async move {
            let key = shared.keys.marker(slot);
            let fields: HashMap<String, String> = shared.calls.script(&shared.scripts.mark, &[key], &[&*name]).await?;
            Ok(loss(slot, fields))
        }
    });
    Ok(looking.await?.into_iter().flatten().collect())
}

/// Does the same for each hash slot, a bounded number at a time.
async fn on_all_slots<T, F>(
    shared: &Arc<Shared>,
    work: impl Fn(Arc<Shared>, u16) -> F + Clone + Send + 'static,
) -> Result<Vec<T>, StoreError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, RedisError>> + Send,
{
    let mut tasks = JoinSet::new();
    for first in 0..LOOKERS {
        let (shared, work) = (Arc::clone(shared), work.clone());
        tasks.spawn(async move {
            let mut results = Vec::with_capacity(usize::from(SLOTS / LOOKERS));
            for slot in (first..SLOTS).step_by(usize::from(LOOKERS)) {
                let mut tries = 1;
                let result = loop {
                    match work(Arc::clone(&shared), slot).await {
                        // Of so many slots one is often slow, and all would be looked at again.
                        Err(error) if error.is_timeout() && tries < TRIES => tokio::time::sleep(TRY_AGAIN_AFTER).await,
                        result => break result?,
                    }
                    tries += 1;
                };
                results.push(result);
            }
            Ok(results)
        });
    }
    let mut all = Vec::with_capacity(usize::from(SLOTS));
    while let Some(done) = tasks.join_next().await {
        let done = done.unwrap_or_else(|_| Err(RedisError::from((ErrorKind::Client, "the process is ending"))));
        all.extend(done.map_err(|error| failed("checked", format!("the markers of hash slots: {error}")))?);
    }
    Ok(all)
}

fn loss(slot: u16, mut fields: HashMap<String, String>) -> Option<Loss> {
    let name = fields.remove("lost")?;
    fields.retain(|_, settled| *settled == name);
    Some(Loss { slot, name, rebuilt: fields.into_keys().collect() })
}

/// The field of a marker that says which loss a partition was filled again for.
fn field(partition: u32) -> String {
    format!("p{partition}")
}
