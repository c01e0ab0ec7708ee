//! A session with a real Kafka and Redis.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use barrage_cluster::{
    membership,
    routes::{WriteError, Writer},
    settings::Cluster,
};
use barrage_core::{room::RoomId, routes::change::Change};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tracing::Instrument;

use super::{
    Ends, News, Request, Session, Stage, Target, change_for, forgotten,
    heat::Heard,
    manual, plan,
    plan::Expected,
    prepare::{self, Prepared},
};
use crate::{
    metrics::Metrics,
    problem::{Problem, Reason},
};

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

#[derive(Clone)]
pub struct Shared {
    /// Told when something is new that objects' statuses may show.
    pub changed: watch::Sender<()>,
    /// Told why this process must not go on.
    pub fatal: mpsc::Sender<String>,
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
        let (mut forgets, mut forgetting) = (self.ends.forgets.subscribe(), JoinSet::new());
        // A session that was opened again goes on with what was asked before.
        forgets.mark_changed();
        tracing::info!(epoch = writer.table().epoch, "the route table is ours to write");
        self.publish(&writer);
        let mut reports = membership::follow(kafka.client(), &kafka.pool, super::heat::PAST, REPORTS_QUEUE);
        let mut look = tokio::time::interval(PLAN_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                request = self.ends.requests.recv() => match request {
                    Some(first) => self.rooms(&mut writer, first).await,
                    None => return End::Closed,
                },
                Ok(()) = forgets.changed(), if forgetting.is_empty() => {
                    self.forget(&writer, &reach, &mut forgetting);
                    Ok(())
                }
                Some(_) = forgetting.join_next() => {
                    // What was asked for meanwhile is next.
                    forgets.mark_changed();
                    Ok(())
                }
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

    /// Forgets all rooms that somebody wants forgotten, beside everything else: it waits for pods and consumers.
    fn forget(&self, writer: &Writer, reach: &Arc<(Cluster, TempDir)>, forgetting: &mut JoinSet<()>) {
        let rooms = self.ends.take_forgets();
        if rooms.is_empty() {
            return;
        }
        let (epoch, partitions) = (writer.table().epoch, writer.table().partition_count());
        let (heard, news, reach) = (Arc::clone(&self.ends.heard), self.ends.news.subscribe(), Arc::clone(reach));
        let (forgets, shared) = (Arc::clone(&self.ends.forgets), self.shared.clone());
        forgetting.spawn(async move {
            let is_served = |id: &RoomId| news.borrow().manifests.contains_key(id.as_str());
            let outcome = match followed(&heard, epoch).await {
                Ok(()) => {
                    let forgotten =
                        barrage_cluster::room_deletion::forget(&reach.0, partitions, &rooms, is_served).await;
                    forgotten.map_err(|error| {
                        Problem::new(Reason::Deleting, format!("what was said is not removed yet: {error}"))
                    })
                }
                Err(problem) => Err(problem),
            };
            match &outcome {
                Ok(()) => rooms.iter().for_each(|room| tracing::info!(%room, "what was said in it is removed")),
                Err(problem) => tracing::warn!(rooms = rooms.len(), %problem, "rooms are not forgotten yet"),
            }
            shared.metrics.forgotten(rooms.len(), outcome.is_ok());
            forgotten(&forgets, &rooms, &outcome);
            shared.changed.send_replace(());
            if outcome.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
        });
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
        let (settled, all_do) = {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            (heard.is_settled(now), heard.goes_by(epoch, now))
        };
        if settled && all_do {
            return Ok(());
        }
        if now >= deadline {
            let why =
                if settled { "some of its pods have not heard that the room is closed" } else { "no pod is heard" };
            let what = format!(
                "what was said is not removed yet: {why}. See that the pool's pods run; to keep the data instead, remove the \
                 room's finalizer"
            );
            return Err(Problem::new(Reason::Deleting, what));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Answers whoever asks that it cannot be done now, until nobody holds the session any more.
async fn refuse(ends: &mut Ends) {
    while let Some(request) = ends.requests.recv().await {
        let problem = match &ends.news.borrow().stage {
            Stage::Failing(problem) => problem.clone(),
            _ => Problem::new(Reason::Starting, "the pool's Kafka and Redis are being connected"),
        };
        _ = request.done.send(Err(problem));
    }
}
