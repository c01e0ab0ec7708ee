//! A session with a real Kafka and Redis.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use barrage::{
    heat,
    routes::{
        change::Change,
        topic::{WriteError, Writer},
    },
    settings::Cluster,
};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tracing::Instrument;

use super::{
    Ends, Forget, News, Request, Session, Stage, Target, change_for,
    heat::Heard,
    manual, plan,
    plan::Expected,
    prepare::{self, Prepared},
};
use crate::{
    metrics::Metrics,
    problem::{Problem, Reason},
};

/// What stands as the writer of a change.
pub(super) const WRITER: &str = "barrage-operator";
/// Before a session that failed begins again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked who should have which work.
const PLAN_EVERY: Duration = Duration::from_secs(1);
/// How long pods may take to follow a new route table.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Heat reports that wait: what some hundred pods say in a few seconds.
const REPORTS_QUEUE: usize = 1_024;
/// Rooms that one change writes at the most.
const ROOMS_MAX: usize = 256;

/// What all sessions share.
#[derive(Clone)]
pub struct Shared {
    /// Told when something is new that objects' statuses may show.
    pub changed: watch::Sender<()>,
    /// Told why this process must not go on.
    pub fatal: mpsc::Sender<String>,
    /// What is counted.
    pub metrics: Metrics,
}

/// Begins a session.
#[must_use]
pub fn open(target: Target, expected: Expected, shared: Shared) -> Session {
    let (session, ends) = Session::new(expected);
    let span = tracing::info_span!("session", pool = target.pool_id);
    tokio::spawn(Course { target, ends, shared }.run().instrument(span));
    session
}

/// Why serving ends.
enum End {
    /// Nobody holds the session any more.
    Closed,
    /// It has to be opened again.
    Failed(Problem),
    /// Somebody else writes the route table.
    Fenced(String),
}

struct Course {
    target: Target,
    ends: Ends,
    shared: Shared,
}

impl Course {
    async fn run(mut self) {
        loop {
            let target = self.target.clone();
            let opening = prepare::open(&target);
            let opened = tokio::select! {
                opened = opening => opened,
                () = refuse(&mut self.ends) => return,
            };
            let problem = match opened {
                Ok(prepared) => match self.serve(prepared).await {
                    End::Closed => return,
                    End::Failed(problem) => problem,
                    End::Fenced(why) => {
                        _ = self.shared.fatal.send(why).await;
                        return;
                    }
                },
                Err(problem) => problem,
            };
            tracing::warn!(%problem, "the pool's Kafka and Redis cannot be used; trying again");
            self.tell(Stage::Failing(problem));
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = refuse(&mut self.ends) => return,
            }
        }
    }

    async fn serve(&mut self, prepared: Prepared) -> End {
        let Prepared { mut writer, kafka, cluster, folder } = prepared;
        let reach = Arc::new((cluster, folder));
        let mut forgetting = JoinSet::new();
        tracing::info!(epoch = writer.table().epoch, "the route table is ours to write");
        self.publish(&writer);
        let mut reports = heat::follow(kafka.client(), &kafka.pool, super::heat::PAST, REPORTS_QUEUE);
        let mut look = tokio::time::interval(PLAN_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                request = self.ends.requests.recv() => match request {
                    Some(first) => self.rooms(&mut writer, first).await,
                    None => return End::Closed,
                },
                first = self.ends.forgets.recv(), if forgetting.is_empty() => match first {
                    Some(first) => {
                        forgetting.spawn(self.forget(&writer, first, &reach));
                        Ok(())
                    }
                    None => return End::Closed,
                },
                Some(_) = forgetting.join_next() => Ok(()),
                report = reports.recv() => {
                    match report {
                        Some(Ok((report, age))) => {
                            let now = Instant::now();
                            self.heard().report(report, now.checked_sub(age).unwrap_or(now));
                        }
                        Some(Err(error)) => tracing::warn!(%error, "the pool's heat cannot be heard; trying again"),
                        None => return End::Failed(Problem::new(Reason::RoutesUnavailable, "listening has ended")),
                    }
                    Ok(())
                }
                _ = look.tick() => self.plan(&mut writer).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Writes all rooms that wait as one change.
    async fn rooms(&mut self, writer: &mut Writer, first: Request) -> Result<(), End> {
        let mut requests = vec![first];
        while requests.len() < ROOMS_MAX
            && let Ok(more) = self.ends.requests.try_recv()
        {
            requests.push(more);
        }
        let outcome = if writer.table().manual {
            Ok(Err(manual()))
        } else {
            let change = change_for(writer.table(), &requests);
            self.write(writer, &change).await
        };
        let (answer, end) = match outcome {
            Ok(answer) => (answer, Ok(())),
            Err((problem, end)) => (Err(problem), Err(end)),
        };
        for request in requests {
            // Who asked may have gone meanwhile.
            _ = request.done.send(answer.clone());
        }
        end
    }

    /// Forgets all rooms that wait for it, beside everything else: it waits for pods and consumers.
    fn forget(
        &mut self,
        writer: &Writer,
        first: Forget,
        reach: &Arc<(Cluster, TempDir)>,
    ) -> impl Future<Output = ()> + use<> {
        let mut all = vec![first];
        while all.len() < ROOMS_MAX
            && let Ok(more) = self.ends.forgets.try_recv()
        {
            all.push(more);
        }
        let (epoch, partitions) = (writer.table().epoch, writer.table().partition_count());
        let (heard, news) = (Arc::clone(&self.ends.heard), self.ends.news.subscribe());
        let reach = Arc::clone(reach);
        async move {
            let outcome = match followed(&heard, epoch).await {
                Ok(()) => {
                    // Of those that somebody has anew, everything stays.
                    let served = Arc::clone(&news.borrow().manifests);
                    let unserved = all.iter().map(|forget| &forget.id).filter(|id| !served.contains_key(id.as_str()));
                    let rooms: Vec<_> = unserved.cloned().collect();
                    let forgotten = barrage::forget::forget(&reach.0, partitions, &rooms).await;
                    forgotten.map_err(|error| {
                        Problem::new(Reason::Deleting, format!("its data is not removed yet: {error}"))
                    })
                }
                Err(problem) => Err(problem),
            };
            for Forget { id, done } in all {
                if outcome.is_ok() {
                    tracing::info!(room = %id, "what the store had of the room is removed");
                }
                // Who asked may have gone meanwhile.
                _ = done.send(outcome.clone());
            }
        }
    }

    async fn plan(&mut self, writer: &mut Writer) -> Result<(), End> {
        let expected = self.ends.expected.borrow().clone();
        let change = plan::change(writer.table(), &self.heard(), &expected, Instant::now());
        let Some(change) = change else { return Ok(()) };
        change.describe(writer.table()).iter().for_each(|line| tracing::info!("{line}"));
        match self.write(writer, &change).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(End::Failed(problem)),
            Err((_, end)) => Err(end),
        }
    }

    /// The inner error is of the change alone; after the outer one the writer cannot be used any more.
    async fn write(&mut self, writer: &mut Writer, change: &Change) -> Result<Result<(), Problem>, (Problem, End)> {
        let written = writer.write(change).await.map(drop);
        self.shared.metrics.routes_written(written.is_ok());
        match written {
            Ok(()) => {
                self.publish(writer);
                Ok(Ok(()))
            }
            Err(error @ WriteError::Change(_)) => Ok(Err(Problem::new(Reason::Invalid, error.to_string()))),
            Err(error) => {
                let problem = Problem::new(Reason::RoutesUnavailable, error.to_string());
                let fenced = matches!(error, WriteError::Fenced { .. });
                let end = if fenced { End::Fenced(error.to_string()) } else { End::Failed(problem.clone()) };
                Err((problem, end))
            }
        }
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, super::heat::Heard> {
        let mut heard = self.ends.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.begin(Instant::now());
        heard
    }

    fn publish(&self, writer: &Writer) {
        let manifests: HashMap<_, _> =
            writer.manifests().map(|(id, manifest)| (id.to_owned(), manifest.to_owned())).collect();
        let news = News { stage: Stage::Open, table: Arc::new(writer.table().clone()), manifests: Arc::new(manifests) };
        let before = self.ends.news.send_replace(news);
        let now = self.ends.news.borrow();
        // Rooms' own reconcilers know what they wrote.
        let other = before.stage != now.stage
            || before.table.partitions != now.table.partitions
            || before.table.rankers != now.table.rankers;
        if other {
            self.shared.changed.send_replace(());
        }
    }

    fn tell(&self, stage: Stage) {
        let changed = self.ends.news.send_if_modified(|news| {
            let changed = news.stage != stage;
            news.stage = stage;
            changed
        });
        if changed {
            self.shared.changed.send_replace(());
        }
    }
}

/// Waits until all pods that are alive go by the table of an epoch.
async fn followed(heard: &Mutex<Heard>, epoch: u64) -> Result<(), Problem> {
    let deadline = Instant::now() + FOLLOWED_WITHIN;
    loop {
        let now = Instant::now();
        let all_do = {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.is_settled(now) && heard.goes_by(epoch, now)
        };
        if all_do {
            return Ok(());
        }
        if now >= deadline {
            let what = "its data is removed once all pods have heard that it is closed, and some have not";
            return Err(Problem::new(Reason::Deleting, what));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Answers whoever asks that it cannot be done now, until nobody holds the session any more.
async fn refuse(ends: &mut Ends) {
    loop {
        let done = tokio::select! {
            request = ends.requests.recv() => request.map(|request| request.done),
            forget = ends.forgets.recv() => forget.map(|forget| forget.done),
        };
        let Some(done) = done else { return };
        let problem = match &ends.news.borrow().stage {
            Stage::Failing(problem) => problem.clone(),
            _ => Problem::new(Reason::Starting, "the pool's Kafka and Redis are being connected"),
        };
        _ = done.send(Err(problem));
    }
}
