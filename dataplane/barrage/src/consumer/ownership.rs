//! Owning a partition, from the wait for its last owner to the release for the next.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Context, RETRY_AFTER, apply::Applier, commit, follow::Source, progress::Progress, relay::relay};
use barrage_core::{
    log::PartitionState,
    store::{Start, StoreError},
};

/// How long a new owner waits for the release by the last one. Nothing depends on it: an owner that goes on is fenced by
/// its epoch. It saves reading twice what the last owner was about to commit.
const RELEASE_MAX: Duration = Duration::from_secs(3);
const RELEASE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// An ownership, as the one who gives and takes it sees it.
#[derive(Clone)]
pub(super) struct Owned {
    /// Since which change of the table.
    pub(super) epoch: u64,
    stop: CancellationToken,
    /// The change that takes it away.
    released: Arc<AtomicU64>,
    /// Dropped with its task.
    alive: Arc<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was given up.
    Released,
    /// Another owner has written since.
    Fenced,
}

impl Owned {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, stop: CancellationToken::new(), released: Arc::default(), alive: Arc::default() }
    }

    /// Gives it up: for good when `epoch` is that of the change that takes it away, for the time being when it is 0.
    pub(super) fn stop(&self, epoch: u64) {
        self.released.store(epoch, Ordering::Release);
        self.stop.cancel();
    }

    /// Whether nobody works on it any more.
    pub(super) fn is_orphan(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }
}

/// Owns a partition until it is given up or fenced.
pub(super) async fn own(context: Arc<Context>, partition: u32, owned: Owned, at_start: bool) -> (u32, u64, Ended) {
    let epoch = owned.epoch;
    let begun = tokio::select! {
        start = begin(&context, partition, epoch, at_start) => Some(start),
        () = owned.stop.cancelled() => None,
    };
    let Some(Begin { committed, start, rebuild_to }) = begun else { return (partition, epoch, Ended::Released) };
    tracing::info!(partition, epoch, committed, start = start.offset, "partition taken");
    let progress = Arc::new(Progress::new(partition, committed, start));
    let source = Arc::new(Source::new(context.log.clone(), partition, committed, context.metrics.clone()));
    context.partitions.insert(&progress);
    let (for_applier, stop) = (Arc::clone(&context), owned.stop.clone());
    let applier = Applier::new(for_applier, Arc::clone(&source), Arc::clone(&progress), stop.clone(), rebuild_to);
    let applying = async {
        let ended = applier.run().await;
        stop.cancel();
        ended
    };
    let relaying = relay_to_all(Arc::clone(&context), Arc::clone(&source), Arc::clone(&progress), stop.clone());
    let (ended, (), ()) = tokio::join!(applying, relaying, source.feed(stop.clone()));
    context.partitions.remove(partition);
    if ended == Ended::Released {
        commit::release(&context, &progress, owned.released.load(Ordering::Acquire)).await;
    }
    (partition, epoch, ended)
}

struct Begin {
    /// Everything below took full effect.
    committed: u64,
    /// Where the applier begins, below if the store has lost what it confirmed.
    start: Start,
    /// Then up to where the store is filled again.
    rebuild_to: Option<u64>,
}

/// Where to start reading: at the commit, once the last owner has made its last one, or lower if the store has lost
/// what it confirmed.
async fn begin(context: &Context, partition: u32, epoch: u64, at_start: bool) -> Begin {
    let waiting = Instant::now();
    loop {
        match state_and_start(context, partition).await {
            // A process that has just started was not waited for: nobody has owned this since, or it is fenced.
            // Where nothing is committed, there was no owner, or one whose commit would save nothing.
            Ok((state, start))
                if at_start || state.committed == 0 || state.released >= epoch || waiting.elapsed() > RELEASE_MAX =>
            {
                let committed = state.committed.max(state.start);
                let rebuild_to = (start.offset < state.committed).then_some(state.end);
                let offset = start.offset.clamp(state.start, committed);
                return Begin { committed, start: Start { offset, ..start }, rebuild_to };
            }
            Ok(_) => sleep(RELEASE_LOOK_EVERY).await,
            Err(error) => {
                tracing::warn!(partition, %error, "taking the partition is tried again");
                sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn state_and_start(context: &Context, partition: u32) -> anyhow::Result<(PartitionState, Start)> {
    let state = context.log.state(partition).await?;
    let start = context.store.start(partition, state.committed).await.map_err(|error: StoreError| error)?;
    if start.offset < state.start.min(state.committed) {
        context.data_lost(partition, state.start - start.offset);
    }
    Ok((state, start))
}

/// Keeps one relay to each session that there is.
async fn relay_to_all(context: Arc<Context>, source: Arc<Source>, progress: Arc<Progress>, stop: CancellationToken) {
    let mut sessions = context.sessions.subscribe();
    let mut relays = JoinSet::new();
    let mut known = HashSet::new();
    loop {
        let now = sessions.borrow_and_update().clone();
        for session in now.into_iter().filter(|session| known.insert(session.id)) {
            relays.spawn(relay(Arc::clone(&context), Arc::clone(&source), Arc::clone(&progress), session));
        }
        tokio::select! {
            _ = sessions.changed() => {}
            Some(_) = relays.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    // They end where the feed did.
    while relays.join_next().await.is_some() {}
}
