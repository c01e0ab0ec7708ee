//! The store on a Redis Cluster: of each slice a sorted set, a stream of blocks and its applied position, which one script
//! call changes together; of each room its ledger.
//!
//! What a call did is a function of the log and of the position it found, so every call is safe to repeat, and one that
//! was given up may take effect later. Redis answers before a replica has what was written: [`RedisStore::confirm`] says
//! what is safe, and a failover may take the rest back.

mod apply;
mod calls;
mod config;
mod confirm;
mod heat;
mod history;
mod keys;
mod ledger;
mod markers;
mod metrics;
mod nodes;
mod ranking;
mod rules;
mod search;
mod shared;
mod silence;

use std::sync::Arc;

use async_trait::async_trait;
use barrage_proto::{Cursor, Position};
use tokio::task::JoinSet;

use barrage_core::{
    moderation::RoomRules,
    room::{RoomId, SHARDS},
    store::{
        Applied, Confirmed, Direction, HistoryItem, HistoryPage, Ledger, Ranking, Reached, SliceBatch, Start, Steps,
        StoreBackend, StoreError,
    },
};
use config::failed;
use shared::Shared;

pub use config::{RedisConfig, RedisTls};
pub use metrics::Metrics;

pub(crate) use calls::{Calls, Script};
pub(crate) use keys::Keys;

/// A handle; clones share one store.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

impl RedisStore {
    /// Connects, and checks how each node is set.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: the cluster cannot be reached now; [`StoreError::Setting`].
    pub async fn connect(config: RedisConfig, metrics: Metrics) -> Result<Self, StoreError> {
        Ok(Self { shared: Arc::new(Shared::connect(&config, metrics).await?) })
    }

    /// The connection and the names of keys, for what else lives in the pool's Redis.
    pub(crate) fn parts(&self) -> (Calls, Keys) {
        (self.shared.calls.clone(), self.shared.keys.clone())
    }

    /// Lays the marker of each hash slot: once, when the pool is created and nothing is in its log. Laid later, they
    /// would hide what was lost.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: lay them again.
    pub async fn lay_markers(&self) -> Result<(), StoreError> {
        self.note(markers::lay(&self.shared).await)
    }

    /// Removes what was said in a room: history, ranking, ledger and what moderators did, and waits until that is safe.
    /// What is applied later counts from nothing. Safe to repeat.
    ///
    /// `ends` are offsets by partition: everything below is applied, and was said in the room that is to be forgotten. A
    /// slice that has more belongs to another room of the same ID, and stays.
    ///
    /// # Errors
    /// [`StoreError::Storage`]: some of it may be there still.
    pub async fn forget(&self, room: &RoomId, ends: Arc<[u64]>) -> Result<(), StoreError> {
        let (id, generation) = (room.clone(), self.shared.confirmations.generation());
        let slices = each(&self.shared, SHARDS as usize, move |shared, shard| {
            let keys = shared.keys.slice(&id, u32::try_from(shard).unwrap_or(u32::MAX));
            let ends = Arc::clone(&ends);
            async move {
                let keys = [keys.applied, keys.rank, keys.hist, keys.rules];
                let emptied = shared.calls.script::<bool>(&shared.scripts.forget, &keys, &ends).await;
                emptied.map_err(|error| failed("written", format!("{}: {error}", keys[0])))
            }
        })
        .await;
        let emptied = self.note(slices.into_iter().collect::<Result<Vec<bool>, _>>())?;
        if emptied.iter().all(|emptied| *emptied) {
            self.note(ledger::forget(&self.shared, room).await)?;
        }
        match self.confirm_since(generation, &[]).await? {
            Confirmed::Yes => Ok(()),
            Confirmed::Void => Err(failed("confirmed", "a master was replaced meanwhile".to_owned())),
        }
    }

    async fn confirm_since(&self, generation: u64, reached: &[Reached]) -> Result<Confirmed, StoreError> {
        let confirmed = self.shared.confirmations.confirm(&self.shared.keys, generation, reached).await;
        if matches!(confirmed, Ok(Confirmed::Void)) {
            self.shared.metrics.voids.inc();
        }
        self.note(confirmed)
    }

    fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.last_error.note(outcome)
    }
}

#[async_trait]
impl StoreBackend for RedisStore {
    async fn apply(&self, batches: Arc<[SliceBatch]>) -> Vec<Result<Applied, StoreError>> {
        let all = Arc::clone(&batches);
        let mut outcomes = each(&self.shared, batches.len(), move |shared, index| {
            let all = Arc::clone(&all);
            async move { apply::apply(&shared, &all[index]).await }
        })
        .await;
        let lost = |(batch, outcome): (&SliceBatch, &Result<Applied, StoreError>)| {
            matches!(outcome, Ok(Applied::Lost)).then_some(batch.partition)
        };
        let partitions = batches.iter().zip(&outcomes).filter_map(lost).collect();
        if let Err(error) = markers::begin_rebuilding(&self.shared, partitions).await {
            // What is not on record as lost could not be known to be filled again.
            let reason = error.to_string();
            for outcome in outcomes.iter_mut().filter(|outcome| matches!(outcome, Ok(Applied::Lost))) {
                *outcome = Err(failed("checked", reason.clone()));
            }
        }
        let failure = outcomes.iter().find_map(|outcome| outcome.as_ref().err());
        let _noted = self.shared.last_error.note(failure.map_or(Ok(()), Err));
        outcomes
    }

    async fn confirm(&self, reached: &[Reached]) -> Result<Confirmed, StoreError> {
        self.confirm_since(u64::MAX, reached).await
    }

    async fn start(&self, partition: u32, committed: u64) -> Result<Start, StoreError> {
        confirm::start(&self.shared, partition, committed).await
    }

    async fn rebuilt(&self, partition: u32) -> Result<(), StoreError> {
        self.note(markers::rebuilt(&self.shared, partition).await)
    }

    async fn history(
        &self,
        room: &RoomId,
        direction: Direction,
        from: Cursor,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.note(history::page(&self.shared, room, direction, from, limit).await)
    }

    async fn find(&self, room: &RoomId, shard: u32, id: Position) -> Result<Option<HistoryItem>, StoreError> {
        self.note(search::find(&self.shared, room, shard, id).await)
    }

    async fn cursor_at(&self, room: &RoomId, at_ms: i64) -> Result<Cursor, StoreError> {
        self.note(search::cursor_at(&self.shared, room, at_ms).await)
    }

    async fn heat(&self, room: &RoomId) -> Result<Steps, StoreError> {
        self.note(heat::of_room(&self.shared, room).await)
    }

    async fn rules(&self, room: &RoomId) -> Result<RoomRules, StoreError> {
        self.note(rules::of_room(&self.shared, room).await)
    }

    async fn ranking(&self, room: &RoomId, limit: u32) -> Result<Ranking, StoreError> {
        self.note(ranking::best(&self.shared, room, limit).await)
    }

    async fn ledger(&self, room: &RoomId) -> Result<(Ledger, u64), StoreError> {
        ledger::load(&self.shared, room).await
    }

    async fn take_ledger(&self, room: &RoomId) -> Result<Ledger, StoreError> {
        self.note(ledger::take(&self.shared, room).await)
    }

    async fn save_ledgers(&self, ledgers: Vec<(RoomId, Ledger)>) -> Result<Vec<RoomId>, StoreError> {
        let ledgers: Arc<[(RoomId, Ledger)]> = ledgers.into();
        let all = Arc::clone(&ledgers);
        let saved = each(&self.shared, ledgers.len(), move |shared, index| {
            let all = Arc::clone(&all);
            async move { ledger::save(&shared, &all[index].0, &all[index].1).await }
        })
        .await;
        let saved = self.note(saved.into_iter().collect::<Result<Vec<bool>, _>>())?;
        Ok(ledgers.iter().zip(saved).filter(|(_, saved)| !saved).map(|((room, _), _)| room.clone()).collect())
    }

    fn last_error(&self) -> Option<String> {
        self.shared.last_error.current()
    }
}

/// Does the same for each index, several at a time; results in the order of the indices.
async fn each<T, F>(
    shared: &Arc<Shared>,
    count: usize,
    work: impl Fn(Arc<Shared>, usize) -> F,
) -> Vec<Result<T, StoreError>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let permit = Arc::clone(&shared.in_flight).acquire_owned().await;
        let work = work(Arc::clone(shared), index);
        tasks.spawn(async move {
            let outcome = work.await;
            drop(permit);
            (index, outcome)
        });
    }
    let mut outcomes: Vec<_> = (0..count).map(|_| Err(failed("asked", "the process is ending".to_owned()))).collect();
    while let Some(done) = tasks.join_next().await {
        match done.map_err(tokio::task::JoinError::try_into_panic) {
            Ok((index, outcome)) => outcomes[index] = outcome,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_cancelled)) => (),
        }
    }
    outcomes
}
