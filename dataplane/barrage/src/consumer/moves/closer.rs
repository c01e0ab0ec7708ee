//! Closes the moves of slices away from a partition that is owned here.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use barrage_cluster::kafka::ClientConfig;
use barrage_proto::heat::report::Role;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Context, RETRY_AFTER,
        dedupe::REACH_MS,
        follow::{Followed, Follower, Source},
        poll::{Poll, Slice},
        progress::Progress,
    },
    closing,
    departures::Departures,
};
use barrage_cluster::membership;
use barrage_cluster::topic_reader::ReadError;
use barrage_core::{link::Peer, log::LogError, store::SliceRecord};

/// How often moves are looked at that wait for a gateway.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who has to end a move.
#[derive(Clone)]
pub enum Gateways {
    /// These.
    Known(BTreeSet<Peer>),
    /// Those that are heard on a pool's heat topic.
    Heard {
        /// Brokers and security.
        base: ClientConfig,
        /// The pool.
        pool: String,
    },
}

impl Gateways {
    async fn members(&self) -> Result<BTreeSet<Peer>, ReadError> {
        match self {
            Self::Known(names) => Ok(names.clone()),
            Self::Heard { base, pool } => {
                let heard = membership::members(base.clone(), pool).await?;
                let gateways = heard.into_iter().filter(|member| member.role == Role::Gateway);
                Ok(gateways.map(|member| member.name).collect())
            }
        }
    }
}

/// What runs beside.
enum Done {
    Members(Result<BTreeSet<Peer>, ReadError>, Instant),
    Closed(Vec<(Slice, u32)>, Result<(), LogError>),
}

/// Runs until the partition is given up.
pub(in super::super) async fn close(
    context: Arc<Context>,
    source: Arc<Source>,
    progress: Arc<Progress>,
    stop: CancellationToken,
) {
    let table = Arc::clone(&context.routes.borrow());
    let mut departures = Departures::new(progress.partition);
    departures.begin(&table, Instant::now());
    let from = if departures.is_empty() { source.end() } else { back(&context, &progress).await };
    let follower = source.follow(from, &progress);
    let closer = Closer { context, partition: progress.partition, departures, follower, beside: JoinSet::new() };
    _ = stop.run_until_cancelled(closer.run(table)).await;
}

/// Where to read from so that ends and closings are seen which stand there already.
async fn back(context: &Context, progress: &Progress) -> u64 {
    let committed = progress.committed();
    // What is not seen costs ten seconds, or another closing, which does no harm.
    context.log.rewind(progress.partition, committed, REACH_MS).await.unwrap_or(committed)
}

struct Closer {
    context: Arc<Context>,
    partition: u32,
    departures: Departures,
    follower: Follower,
    beside: JoinSet<Done>,
}

impl Closer {
    async fn run(mut self, mut table: Arc<barrage_core::routes::Table>) {
        let mut routes = self.context.routes.clone();
        let mut hearing = false;
        loop {
            if !hearing && self.departures.wants_members() {
                hearing = true;
                let (context, asked) = (Arc::clone(&self.context), Instant::now());
                self.beside.spawn(async move { Done::Members(context.gateways.members().await, asked) });
            }
            self.close_due();
            tokio::select! {
                followed = self.follower.next() => match followed {
                    Ok(Followed::Poll(poll)) => self.hear(&poll),
                    // What came before comes again, and says nothing new.
                    Ok(Followed::Rewound { .. } | Followed::Reached) => {}
                    Ok(Followed::End) => return,
                    Err(error) => {
                        tracing::warn!(partition = self.partition, %error, "closing moves waits for the log");
                        sleep(RETRY_AFTER).await;
                    }
                },
                Ok(()) = routes.changed() => {
                    let newest = Arc::clone(&routes.borrow_and_update());
                    self.departures.follow(&table, &newest, Instant::now());
                    table = newest;
                }
                Some(done) = self.beside.join_next() => match done {
                    Ok(Done::Members(members, asked)) => {
                        hearing = false;
                        self.take_members(members, asked).await;
                    }
                    Ok(Done::Closed(moves, Err(error))) => {
                        tracing::warn!(partition = self.partition, %error, "closing moves is tried again");
                        sleep(RETRY_AFTER).await;
                        self.departures.failed(&moves);
                    }
                    Ok(Done::Closed(_, Ok(()))) => {}
                    Err(error) => tracing::error!(%error, "closing moves failed"),
                },
                () = sleep(LOOK_EVERY), if !self.departures.is_empty() && !self.follower.is_behind() => {}
            }
        }
    }

    fn hear(&mut self, poll: &Poll) {
        let arriving = poll
            .arriving
            .iter()
            .flat_map(|(slice, (_, records))| records.iter().map(move |(_, record)| (slice, record)));
        let judged = poll.slices.iter().flat_map(|(slice, records)| records.iter().map(move |record| (slice, record)));
        let now = Instant::now();
        for (slice, SliceRecord { record, .. }) in arriving.chain(judged) {
            if let Some(mark) = &record.mark {
                self.departures.hear(slice, mark, now);
            }
        }
    }

    async fn take_members(&mut self, members: Result<BTreeSet<Peer>, ReadError>, asked: Instant) {
        match members {
            Ok(members) => self.departures.heard(members, asked),
            Err(error) => {
                tracing::warn!(%error, "which gateways there are is not known; moves are closed after ten seconds");
                sleep(RETRY_AFTER).await;
            }
        }
    }

    fn close_due(&mut self) {
        let due = self.departures.due(Instant::now());
        if due.is_empty() {
            return;
        }
        tracing::info!(partition = self.partition, slices = due.len(), "moves closed");
        let context = Arc::clone(&self.context);
        let mark = |(slice, number): &(Slice, u32)| {
            closing(slice, *number, self.partition, context.arrivals.origin(slice, number - 1))
        };
        let marks = due.iter().map(mark).collect();
        self.beside.spawn(async move {
            let appended = context.log.append(marks).await;
            Done::Closed(due, appended.map(drop))
        });
    }
}
