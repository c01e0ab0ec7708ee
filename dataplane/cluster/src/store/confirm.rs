//! Whether what was written is safe from the loss of a node.
//!
//! `WAIT` speaks for the connection that it is sent on, and for all that its master wrote before. So it is sent to each
//! master behind a write of its own, on a connection that nothing else uses, because it holds up what comes behind it. It
//! says nothing of what ran before a failover or a restart, so it counts only while every master still writes the history
//! (`master_replid`) that it wrote when the last confirmation began. Where one writes another, whoever notices begins a new
//! generation, and what was written in an earlier one is void, whoever asks. So who writes takes down the generation
//! before, and has it together with what is to be confirmed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use redis::{RedisError, aio::MultiplexedConnection, cmd};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    config::{RedisConfig, failed},
    keys::Keys,
    markers,
    nodes::{self, Address, Masters, show},
    shared::Shared,
};
use barrage_core::store::{Confirmed, Reached, Start, StoreError};

const WAIT_MS: u32 = 400;

/// Confirms, one at a time.
pub(super) struct Confirmations {
    config: Arc<RedisConfig>,
    state: Mutex<State>,
    /// How often a master was found to write another history.
    generation: AtomicU64,
}

struct State {
    connections: HashMap<Address, MultiplexedConnection>,
    /// The histories that masters write.
    known: BTreeSet<String>,
}

/// A master as it was found for one confirmation.
struct Found {
    address: Address,
    lowest_slot: u16,
    connection: MultiplexedConnection,
    history: String,
    /// Who the masters are, as it says itself.
    masters: BTreeSet<Address>,
}

impl Confirmations {
    /// Checks how all nodes are set, and remembers the histories that masters write now.
    ///
    /// # Errors
    /// [`StoreError`]: a master does not answer, or a node is not set as it has to be.
    pub(super) async fn begin(config: &RedisConfig) -> Result<Self, StoreError> {
        let confirmations = Self {
            config: Arc::new(config.clone()),
            state: Mutex::new(State { connections: HashMap::new(), known: BTreeSet::new() }),
            generation: AtomicU64::new(0),
        };
        let mut state = confirmations.state.lock().await;
        confirmations.adopt(&mut state).await?;
        for replica in confirmations.replicas(&mut state).await? {
            // One that is down can be no master before it is up, and is checked when it is.
            match nodes::connect(config, &replica).await {
                Ok(mut connection) => nodes::check_settings(&mut connection, &replica).await?,
                Err(error) => tracing::warn!(node = show(&replica), %error, "a replica cannot be checked"),
            }
        }
        drop(state);
        Ok(confirmations)
    }

    /// The generation that what is written from now on is of.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Confirms all that was written since `generation`, and to partitions since those that they are of, and leaves the
    /// latter with every master as what it has.
    pub(super) async fn confirm(
        &self,
        keys: &Keys,
        generation: u64,
        reached: &[Reached],
    ) -> Result<Confirmed, StoreError> {
        let mut state = self.state.lock().await;
        let found = self.find(&mut state).await?;
        if histories(&found) != state.known {
            self.adopt(&mut state).await?;
            self.generation.fetch_add(1, Ordering::Release);
        }
        let oldest = reached.iter().map(|reached| reached.generation).fold(generation, u64::min);
        if oldest < self.generation() {
            return Ok(Confirmed::Void);
        }
        let mut tasks = JoinSet::new();
        for mut master in found {
            let mut write = cmd("HSET");
            write.arg(keys.confirmation(master.lowest_slot)).arg("at").arg(barrage_core::clock::unix_ms());
            for Reached { partition, end, .. } in reached {
                write.arg(field(*partition)).arg(end);
            }
            tasks.spawn(async move {
                let waited = wait(&mut master.connection, &write).await;
                (master.address, waited)
            });
        }
        let mut failure = None;
        while let Some(done) = tasks.join_next().await {
            let Ok((address, waited)) = done else { continue };
            let reason = match waited {
                Ok(1..) => continue,
                Ok(0) if self.config.trial => continue,
                Ok(0) => format!("no replica of {} has what it wrote within {WAIT_MS} ms", show(&address)),
                Err(error) => format!("{}: {error}", show(&address)),
            };
            state.connections.remove(&address);
            failure = Some(failed("confirmed", reason));
        }
        failure.map_or(Ok(Confirmed::Yes), Err)
    }

    async fn replicas(&self, state: &mut State) -> Result<BTreeSet<Address>, StoreError> {
        let mut all = BTreeSet::new();
        for (address, connection) in &mut state.connections {
            let replicas = nodes::replicas_of(connection).await;
            all.extend(replicas.map_err(|error| failed("checked", format!("{}: {error}", show(address))))?);
        }
        Ok(all)
    }

    /// Takes the histories that masters write now for those that confirmations speak of.
    async fn adopt(&self, state: &mut State) -> Result<(), StoreError> {
        let mut found = self.find(state).await?;
        for Found { address, connection, .. } in &mut found {
            nodes::check_settings(connection, address).await?;
        }
        state.known = histories(&found);
        Ok(())
    }

    /// Finds all masters; all have to agree on who they are, or one that has slots might be missed.
    async fn find(&self, state: &mut State) -> Result<Vec<Found>, StoreError> {
        let further: Vec<Address> = state.connections.keys().cloned().collect();
        let masters: Masters = nodes::masters(&self.config, &further).await?;
        state.connections.retain(|address, _| masters.contains_key(address));
        let mut tasks = JoinSet::new();
        for (address, lowest_slot) in masters.clone() {
            let (config, connection) = (Arc::clone(&self.config), state.connections.remove(&address));
            tasks.spawn(async move {
                let found = find_one(&config, address.clone(), lowest_slot, connection).await;
                found.map_err(|error| failed("confirmed", format!("{}: {error}", show(&address))))
            });
        }
        let mut all = Vec::new();
        let mut failure = None;
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(Ok(found)) => all.push(found),
                Ok(Err(error)) => failure = Some(error),
                Err(_cancelled) => failure = Some(failed("confirmed", "the process is ending".to_owned())),
            }
        }
        let connections = all.iter().map(|found| (found.address.clone(), found.connection.clone()));
        state.connections = connections.collect();
        let addresses: BTreeSet<Address> = masters.into_keys().collect();
        if let Some(other) = all.iter().find(|found| found.masters != addresses) {
            let reason = format!("{} names other masters: the cluster is changing", show(&other.address));
            failure.get_or_insert(failed("confirmed", reason));
        }
        failure.map_or(Ok(all), Err)
    }
}

/// Where a partition is read from: what is committed, or less if a master has less; 0 where it is to be filled again.
pub(super) async fn start(shared: &Arc<Shared>, partition: u32, committed: u64) -> Result<Start, StoreError> {
    // First of all: what happens to a master from here on makes void what is applied from here on.
    let generation = shared.confirmations.generation();
    if markers::is_lost(shared, partition).await? {
        return Ok(Start { offset: 0, generation });
    }
    let masters = nodes::masters(&shared.confirmations.config, &[]).await?;
    let mut start = committed;
    for lowest_slot in masters.into_values() {
        let key = shared.keys.confirmation(lowest_slot);
        let read = cmd("HGET").arg(&key).arg(field(partition)).to_owned();
        let end: Result<Option<u64>, _> = shared.calls.send_to_master(&key, read).await;
        let end = end.map_err(|error| failed("read", format!("what is confirmed: {error}")))?;
        start = start.min(end.unwrap_or(start));
    }
    Ok(Start { offset: start, generation })
}

async fn find_one(
    config: &RedisConfig,
    address: Address,
    lowest_slot: u16,
    connection: Option<MultiplexedConnection>,
) -> Result<Found, RedisError> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => nodes::connect(config, &address).await?,
    };
    let history = nodes::history_id(&mut connection).await?;
    let masters = nodes::masters_of(&mut connection, &address).await?.into_keys().collect();
    Ok(Found { address, lowest_slot, connection, history, masters })
}

/// Writes, and gives how many replicas have that and all before it.
async fn wait(connection: &mut MultiplexedConnection, write: &redis::Cmd) -> Result<u64, RedisError> {
    write.query_async::<u64>(connection).await?;
    cmd("WAIT").arg(1).arg(WAIT_MS).query_async(connection).await
}

fn histories(found: &[Found]) -> BTreeSet<String> {
    found.iter().map(|master| master.history.clone()).collect()
}

fn field(partition: u32) -> String {
    format!("p{partition}")
}
