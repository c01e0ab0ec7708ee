//! Once a second: makes what was applied safe, then moves the commits up to it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{Context, RETRY_AFTER, checks, progress::Progress};
use barrage_core::{log::Commit, store::Confirmed};

/// How often what was applied is made safe and committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How often what has not moved is committed all the same: Kafka forgets commits that are older than a week.
const RENEW_EVERY: Duration = Duration::from_secs(60 * 60);

/// Runs until `shutdown`.
pub(super) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut beat = interval(COMMIT_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = shutdown.cancelled() => return,
        }
        let all = context.partitions.all();
        let renew = renewed.elapsed() >= RENEW_EVERY;
        if renew {
            renewed = Instant::now();
        }
        give_up_unserved(&context, &all);
        commit(&context, &all, 0, renew).await;
        measure_lag(&context, &all).await;
    }
}

/// A room may go between the applying of its last danmaku and their account, which then never comes.
fn give_up_unserved(context: &Context, partitions: &[Arc<Progress>]) {
    let table = Arc::clone(&context.routes.borrow());
    for progress in partitions {
        progress.give_up(|room| table.serves(room));
    }
}

/// The last commit of an owner; `epoch` is that of the change that takes the partition away, or 0.
pub(super) async fn release(context: &Context, progress: &Arc<Progress>, epoch: u64) {
    commit(context, std::slice::from_ref(progress), epoch, true).await;
}

/// What is taken down first is safe after the confirmation, so it may be committed. Where nothing has moved, only if
/// `always`.
async fn commit(context: &Context, partitions: &[Arc<Progress>], released: u64, always: bool) {
    let done: Vec<(u32, u64, u64)> = partitions
        .iter()
        .map(|progress| {
            let (applied, done) = progress.done();
            (progress.partition, applied, done)
        })
        .collect();
    let moved = partitions.iter().zip(&done).any(|(progress, (_, _, done))| *done != progress.committed());
    if !moved && !always {
        return;
    }
    let applied: Vec<(u32, u64)> = done.iter().map(|&(partition, applied, _)| (partition, applied)).collect();
    match context.store.confirm(&applied).await {
        Ok(Confirmed::Yes) => context.health.ok(checks::STORE),
        Ok(Confirmed::Void) => {
            tracing::warn!(
                "the store lost a node: what was written since the last commit is checked and written again"
            );
            context.metrics.rewinds.inc();
            for progress in partitions {
                go_back(context, progress).await;
            }
            return;
        }
        Err(error) => {
            context.health.degraded(checks::STORE, format!("{error}; the log keeps what is to apply"));
            return tracing::warn!(%error, "commit left for later");
        }
    }
    let commits = done.iter().map(|&(partition, _, offset)| Commit { partition, offset, released }).collect();
    match context.log.commit(commits).await {
        Ok(()) => {
            context.health.ok(checks::LOG);
            for (progress, (_, _, offset)) in partitions.iter().zip(done) {
                progress.set_committed(offset);
            }
        }
        Err(error) => {
            context.health.degraded(checks::LOG, error.to_string());
            tracing::warn!(%error, "commit left for later");
        }
    }
}

/// Followers go back to the commit, or the applier to where the store misses something.
async fn go_back(context: &Context, progress: &Progress) {
    let committed = progress.committed();
    loop {
        match context.store.start(progress.partition, committed).await {
            Ok(start) => {
                if start < committed
                    && let Ok(state) = context.log.state(progress.partition).await
                    && state.start > start
                {
                    context.data_lost(progress.partition, state.start - start);
                }
                return progress.rewind(start);
            }
            Err(error) => tracing::warn!(%error, "what the store has lost is looked for again"),
        }
        sleep(RETRY_AFTER).await;
    }
}

async fn measure_lag(context: &Context, partitions: &[Arc<Progress>]) {
    let mut lag = 0;
    for progress in partitions {
        let (applied, _) = progress.done();
        if let Ok(state) = context.log.state(progress.partition).await {
            lag += state.end.saturating_sub(applied);
        }
    }
    context.heat.lag(lag);
    context.metrics.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
}
