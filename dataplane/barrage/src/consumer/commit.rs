//! Once a second: makes what was applied safe, then moves the commits up to it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{Context, RETRY_AFTER, checks, progress::Progress};
use barrage_core::{
    log::Commit,
    store::{Confirmed, Reached},
};

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
        if commit(&context, &all, 0, renew).await == Some(Confirmed::Void) {
            for progress in &all {
                go_back(&context, progress).await;
            }
        }
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

/// The last commit of an owner; `epoch` is that of the change that takes the partition away, or 0. Where it is void, the
/// next owner begins at the one before.
pub(super) async fn release(context: &Context, progress: &Arc<Progress>, epoch: u64) {
    commit(context, std::slice::from_ref(progress), epoch, true).await;
}

/// What is taken down first is safe after the confirmation, so it may be committed. Where nothing has moved, only if
/// `always`. What the store says of it, if it was asked and did.
async fn commit(context: &Context, partitions: &[Arc<Progress>], released: u64, always: bool) -> Option<Confirmed> {
    let (reached, done): (Vec<Reached>, Vec<u64>) = partitions.iter().map(|progress| progress.reached()).unzip();
    let moved = partitions.iter().zip(&done).any(|(progress, done)| *done != progress.committed());
    if !moved && !always {
        return None;
    }
    match context.store.confirm(&reached).await {
        Ok(Confirmed::Yes) => context.health.ok(checks::STORE),
        Ok(Confirmed::Void) => {
            tracing::warn!(
                "the store lost a node: what was written since the last commit is checked and written again"
            );
            context.metrics.rewinds.inc();
            return Some(Confirmed::Void);
        }
        Err(error) => {
            context.health.degraded(checks::STORE, format!("{error}; the log keeps what is to apply"));
            tracing::warn!(%error, "commit left for later");
            return None;
        }
    }
    let commits = partitions.iter().zip(&done);
    let commits = commits.map(|(progress, &offset)| Commit { partition: progress.partition, offset, released });
    match context.log.commit(commits.collect()).await {
        Ok(()) => {
            context.health.ok(checks::LOG);
            for (progress, offset) in partitions.iter().zip(done) {
                progress.set_committed(offset);
            }
        }
        Err(error) => {
            context.health.degraded(checks::LOG, error.to_string());
            tracing::warn!(%error, "commit left for later");
        }
    }
    Some(Confirmed::Yes)
}

/// Followers go back to the commit, or the applier to where the store misses something.
async fn go_back(context: &Context, progress: &Progress) {
    let committed = progress.committed();
    loop {
        match context.store.start(progress.partition, committed).await {
            Ok(start) => {
                if start.offset < committed
                    && let Ok(state) = context.log.state(progress.partition).await
                    && state.start > start.offset
                {
                    context.data_lost(progress.partition, state.start - start.offset);
                }
                return progress.begin_again(start);
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
