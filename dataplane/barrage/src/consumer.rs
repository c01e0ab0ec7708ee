//! The consumer: reads the partitions that it owns, applies what it reads to the store, and beside that hands every
//! danmaku to the room's ranker.
//!
//! A partition has one *feed*, which reads the log at its end, and *followers*, each with its own place: the applier, and
//! one relay for each ranker. A follower that cannot keep up loses the feed and reads what it missed from the log by
//! itself, so neither a store nor a ranker that is away ever holds up another. The commit trails what the store has
//! confirmed and what the rankers account for.

mod apply;
mod commit;
mod dedupe;
mod follow;
mod metrics;
mod outstanding;
mod ownership;
mod poll;
mod progress;
mod refused;
mod relay;
mod spans;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use barrage_core::{
    health::Health,
    heat::Heat,
    link::{Accounted, Candidates, Peer, ToRanker},
    log::Log,
    routes::Routes,
    store::Store,
    trace::Tracer,
};
use ownership::{Ended, Owned};
use progress::Partitions;

pub use metrics::Metrics;

/// Names of the consumer's checks in [`Health`].
pub mod checks {
    /// The log can be read, and commits written.
    pub const LOG: &str = "reading";
    /// The store can be written.
    pub const STORE: &str = "applying";
    /// Every ranker of the route table is linked.
    pub const RANKERS: &str = "relaying";
    /// Nothing of what was acknowledged is known to be lost.
    pub const DATA: &str = "data";
}

/// How long to wait before a read or a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

pub struct Deps {
    pub name: Peer,
    pub log: Log,
    pub store: Store,
    /// Who owns what, and the rooms that are served; records of others are kept, not shown.
    pub routes: Routes,
    /// Sessions with rankers, as they begin.
    pub rankers: mpsc::Receiver<ToRanker>,
    pub health: Health,
    pub heat: Heat,
    /// Goes on with the traces of records.
    pub tracer: Tracer,
    pub metrics: Metrics,
}

struct Context {
    name: Peer,
    log: Log,
    store: Store,
    routes: Routes,
    partitions: Partitions,
    /// Sessions that live, each with a number of its own.
    sessions: watch::Sender<Vec<Session>>,
    health: Health,
    heat: Heat,
    tracer: Tracer,
    metrics: Metrics,
}

impl Context {
    /// Says once and for all to see that records are gone which the store had not safely.
    fn data_lost(&self, partition: u32, records: u64) {
        self.metrics.lost_records.inc_by(records);
        let detail = format!(
            "DataLost: partition {partition}: up to {records} records were deleted from the log before the store had them \
             safely; history and ranking miss them. Restore the store from a copy, or accept the loss"
        );
        tracing::error!("{detail}");
        self.health.degraded(checks::DATA, detail);
    }
}

/// A session with a ranker.
#[derive(Clone)]
struct Session {
    id: u64,
    ranker: Peer,
    candidates: mpsc::Sender<Candidates>,
}

/// Runs until `shutdown`; then what was read is applied, handed on and committed.
pub async fn run(deps: Deps, shutdown: CancellationToken) {
    let Deps { name, log, store, routes, rankers, health, heat, tracer, metrics } = deps;
    let partitions = Partitions::default();
    let (sessions, _) = watch::channel(Vec::new());
    let followed = routes.clone();
    let shared = Context { name, log, store, routes: followed, partitions, sessions, health, heat, tracer, metrics };
    let context = Arc::new(shared);
    let committing = CancellationToken::new();
    let committer = tokio::spawn(commit::run(Arc::clone(&context), committing.clone()));
    Consumer { context, owned: BTreeMap::new(), tasks: JoinSet::new(), sessions: JoinSet::new(), started: 0 }
        .run(routes, rankers, shutdown)
        .await;
    committing.cancel();
    if let Err(error) = committer.await {
        tracing::error!(%error, "the last commit failed; its records are read again at the next start");
    }
}

struct Consumer {
    context: Arc<Context>,
    /// Partitions that it owns or is about to give up, with the epoch of the ownership.
    owned: BTreeMap<u32, Owned>,
    tasks: JoinSet<(u32, u64, Ended)>,
    /// Ends of sessions, by number.
    sessions: JoinSet<u64>,
    started: u64,
}

impl Consumer {
    async fn run(mut self, mut routes: Routes, mut rankers: mpsc::Receiver<ToRanker>, shutdown: CancellationToken) {
        self.reassign(true);
        loop {
            tokio::select! {
                changed = routes.changed() => match changed {
                    Ok(()) => self.reassign(false),
                    // Who carries the table has gone: the last one holds.
                    Err(_) => break,
                },
                Some(session) = rankers.recv() => self.begin(session),
                Some(Ok(id)) = self.sessions.join_next() => self.end(id),
                Some(ended) = self.tasks.join_next() => self.gone(ended),
                () = shutdown.cancelled() => break,
            }
        }
        shutdown.cancelled().await;
        for owned in self.owned.values() {
            owned.stop(0);
        }
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a partition's task failed; its records are read again at the next start");
            }
        }
    }

    /// Begins with partitions that the table gives, ends with those that it takes.
    fn reassign(&mut self, at_start: bool) {
        let table = Arc::clone(&self.context.routes.borrow());
        let given: BTreeMap<u32, u64> = table.owned_by(&self.context.name).collect();
        for (partition, owned) in &self.owned {
            let epoch = table.partitions.get(*partition as usize).map_or(0, |owner| owner.epoch);
            if given.get(partition) != Some(&owned.epoch) {
                owned.stop(epoch);
            }
        }
        for (partition, epoch) in given {
            // One that is being given up is taken again when it has ended.
            if self.owned.contains_key(&partition) {
                continue;
            }
            let owned = Owned::new(epoch);
            self.tasks.spawn(ownership::own(Arc::clone(&self.context), partition, owned.clone(), at_start));
            self.owned.insert(partition, owned);
        }
        self.context.metrics.owned_partitions.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    fn gone(&mut self, ended: Result<(u32, u64, Ended), tokio::task::JoinError>) {
        match ended {
            Ok((partition, epoch, ended)) => {
                tracing::info!(partition, epoch, ?ended, "partition given up");
                self.owned.remove(&partition);
                if self.owned.is_empty() {
                    // What it last found wrong is no longer its own to find right again.
                    self.context.health.ok(checks::STORE);
                    self.context.health.ok(checks::LOG);
                }
                // A fenced owner waits for the table that says so.
                if ended != Ended::Fenced {
                    self.reassign(false);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a partition's task failed; it starts again from the commit");
                self.owned.retain(|_, owned| !owned.is_orphan());
                self.reassign(false);
            }
        }
    }

    fn begin(&mut self, session: ToRanker) {
        self.started += 1;
        let ToRanker { ranker, candidates, accounted } = session;
        tracing::info!(%ranker, "linked");
        let session = Session { id: self.started, ranker, candidates };
        let id = session.id;
        self.context.sessions.send_modify(|sessions| sessions.push(session));
        self.check_rankers();
        let context = Arc::clone(&self.context);
        self.sessions.spawn(async move {
            take_accounts(&context, accounted).await;
            id
        });
    }

    fn end(&self, id: u64) {
        self.context.sessions.send_modify(|sessions| sessions.retain(|session| session.id != id));
        self.check_rankers();
    }

    fn check_rankers(&self) {
        let linked = self.context.sessions.borrow();
        let table = self.context.routes.borrow();
        let missing: Vec<&str> = table
            .rankers
            .keys()
            .filter(|name| !linked.iter().any(|s| s.ranker == **name))
            .map(|name| &**name)
            .collect();
        if missing.is_empty() {
            self.context.health.ok(checks::RANKERS);
        } else {
            let detail = format!("no link to {}: their rooms stand still, everything is kept", missing.join(", "));
            self.context.health.degraded(checks::RANKERS, detail);
        }
    }
}

/// Runs as long as the session.
async fn take_accounts(context: &Context, mut accounted: mpsc::Receiver<Accounted>) {
    while let Some(done) = accounted.recv().await {
        if let Some(progress) = context.partitions.find(done.record.partition) {
            progress.account(&done);
        }
    }
}

#[cfg(test)]
mod tests;
