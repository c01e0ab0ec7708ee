//! Route tables in memory, written as the real ones are: by changes, of which each is whole or not there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use barrage_core::{
    room::RoomId,
    routes::{
        Owner, Table,
        change::Change,
        entry::Draft,
        plan::{self, Alive},
    },
};
use barrage_crds::RoomManifest;
use barrage_proto::{
    heat::{Report, report::Role},
    routes as pb,
};
use prost::Message;

use super::Fuse;
use crate::{
    problem::{Problem, Reason},
    session::{
        Ends, News, Request, Session, Stage, Target, change_for, forgotten, manual,
        plan::{Expected, Pods},
    },
    sessions::Open,
};

/// A broker; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Broker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tables: BTreeMap<String, (Table, HashMap<RoomId, pb::Room>)>,
    /// Pods that have ever been there, by pool: those that shall go learn that their work is gone, too.
    pods: BTreeMap<String, BTreeSet<(i32, String)>>,
    down: Option<Problem>,
    /// Rooms of which nothing is left.
    forgotten: BTreeSet<RoomId>,
    unforgettable: Option<Problem>,
}

impl Broker {
    /// Opens sessions here until the fuse is blown.
    pub(crate) fn open(&self, fuse: Fuse) -> Open {
        let broker = self.clone();
        Arc::new(move |target: Target, expected: Expected| {
            let (session, ends) = Session::new(expected);
            tokio::spawn(broker.clone().serve(target, ends, fuse.clone()));
            session
        })
    }

    /// Nobody reaches it from now on, or all do again.
    pub(crate) fn set_down(&self, problem: Option<Problem>) {
        self.0.lock().unwrap().down = problem;
    }

    /// Rooms that were forgotten.
    pub(crate) fn forgotten(&self) -> Vec<String> {
        self.0.lock().unwrap().forgotten.iter().map(ToString::to_string).collect()
    }

    /// Nothing can be forgotten from now on, or all can again.
    pub(crate) fn set_unforgettable(&self, problem: Option<Problem>) {
        self.0.lock().unwrap().unforgettable = problem;
    }

    /// An engineer takes over, or gives back.
    pub(crate) fn set_manual(&self, pool: &str, manual: bool) {
        self.0.lock().unwrap().tables.get_mut(pool).unwrap().0.manual = manual;
    }

    /// Somebody else writes a room.
    pub(crate) fn put(&self, pool: &str, room: &RoomManifest) {
        let table = self.table(pool).unwrap();
        let change = Change { rooms: [(room.room_id().into(), Some(room.clone()))].into(), ..Change::on(&table) };
        assert!(self.write(pool, &change, &Fuse::never()));
    }

    /// The table of a pool.
    pub(crate) fn table(&self, pool: &str) -> Option<Table> {
        self.0.lock().unwrap().tables.get(pool).map(|(table, _)| table.clone())
    }

    /// All that is stored, but for epochs: those count how often somebody wrote.
    pub(crate) fn content(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let content = state.tables.iter().flat_map(|(pool, (table, stored))| {
            let owners = table.partitions.iter().enumerate().map(move |(p, o)| format!("{pool} {p} {:?}", o.consumer));
            let rankers = table.rankers.iter().map(move |(name, address)| format!("{pool} {name} {address}"));
            let rooms = stored.iter().map(move |(id, room)| format!("{pool} {id} {}", room.live_room));
            owners.chain(rankers).chain(rooms).collect::<Vec<_>>()
        });
        let forgotten = state.forgotten.iter().map(|id| format!("forgotten {id}"));
        let mut content: Vec<_> = content.chain(forgotten).collect();
        content.sort();
        content
    }

    async fn serve(self, target: Target, mut ends: Ends, fuse: Fuse) {
        let pool = target.pool_id.clone();
        loop {
            self.look(&target, &ends, &fuse);
            for id in ends.take_forgets() {
                let outcome = self.forget(&pool, id.clone(), &fuse);
                forgotten(&ends.forgets, &[id], &outcome);
            }
            tokio::select! {
                request = ends.requests.recv() => match request {
                    Some(request) => self.room(&pool, request, &fuse),
                    None => return,
                },
                _ = ends.expected.changed() => {}
                // Somebody may have brought it down or up.
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }

    /// Makes the table, gives the work to the pods that there should be, and tells.
    fn look(&self, target: &Target, ends: &Ends, fuse: &Fuse) {
        let (down, known) = (self.0.lock().unwrap().down.clone(), ends.news.borrow().clone());
        if let Some(problem) = down {
            return tell(ends, News { stage: Stage::Failing(problem), ..known });
        }
        let pool = &target.pool_id;
        if self.table(pool).is_none() {
            let partitions = vec![Owner::default(); target.partitions as usize];
            let first = Table { partitions, spread: target.spread, ..Table::default() };
            self.write(pool, &Change::between(&Table::default(), &first), fuse);
        }
        let Some(table) = self.table(pool) else { return };
        let expected = ends.expected.borrow().clone();
        let wanted = plan::plan(&table, &alive(&expected), None).unwrap();
        let change = Change::between(&table, &wanted);
        if !table.manual && !expected.paused && !change.is_empty(&table) {
            self.write(pool, &change, fuse);
        }
        let mut state = self.0.lock().unwrap();
        let pods = state.pods.entry(pool.clone()).or_default();
        pods.extend(names(&expected));
        let pods = pods.clone();
        let (table, stored) = &state.tables[pool];
        hear(ends, pods, table.epoch);
        let manifests = stored.iter().map(|(id, room)| (id.to_string(), room.live_room.clone())).collect();
        let (table, manifests) = (Arc::new(table.clone()), Arc::new(manifests));
        tell(ends, News { stage: Stage::Open, table, manifests });
    }

    fn room(&self, pool: &str, request: Request, fuse: &Fuse) {
        let table = self.table(pool).unwrap_or_default();
        let outcome = if table.manual {
            Err(manual())
        } else if self.write(pool, &change_for(&table, std::slice::from_ref(&request)), fuse) {
            Ok(())
        } else {
            Err(Problem::new(Reason::RoutesUnavailable, "cut off"))
        };
        _ = request.done.send(outcome);
    }

    fn forget(&self, pool: &str, id: RoomId, fuse: &Fuse) -> Result<(), Problem> {
        if let Some(problem) = self.0.lock().unwrap().unforgettable.clone() {
            return Err(problem);
        }
        if !fuse.write() {
            return Err(Problem::new(Reason::RoutesUnavailable, "cut off"));
        }
        let mut state = self.0.lock().unwrap();
        if !state.tables[pool].1.contains_key(&id) {
            state.forgotten.insert(id);
        }
        Ok(())
    }

    fn write(&self, pool: &str, change: &Change, fuse: &Fuse) -> bool {
        if !fuse.write() {
            return false;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, stored) = state.tables.entry(pool.to_owned()).or_default();
        let entries = change.entries(stored, 0, "test").unwrap();
        let mut draft = Draft::resume(table, std::mem::take(stored));
        for (key, entry) in entries {
            let value = entry.map(|entry| entry.encode_to_vec());
            if let Some(new) = draft.apply(key.to_string().as_bytes(), value.as_deref()).unwrap() {
                *table = new;
            }
        }
        *stored = draft.into_stored();
        true
    }
}

fn tell(ends: &Ends, news: News) {
    ends.news.send_if_modified(|old| {
        let changed = old.stage != news.stage || old.table != news.table || old.manifests != news.manifests;
        *old = news;
        changed
    });
}

/// Everybody is heard, and goes by this table.
fn hear(ends: &Ends, pods: BTreeSet<(i32, String)>, routes_epoch: u64) {
    let mut heard = ends.heard.lock().unwrap();
    for (role, name) in pods {
        heard.report(Report { role, name, routes_epoch, ..Report::default() }, Instant::now());
    }
}

fn names(expected: &Expected) -> impl Iterator<Item = (i32, String)> {
    let Alive { consumers, rankers } = alive(expected);
    let consumers = consumers.into_iter().map(|name| (Role::Consumer.into(), name.to_string()));
    consumers.chain(rankers.into_keys().map(|name| (Role::Ranker.into(), name.to_string())))
}

fn alive(expected: &Expected) -> Alive {
    let names = |pods: &Pods| (0..pods.count.unwrap_or(1)).map(|n| format!("{}{n}", pods.prefix)).collect::<Vec<_>>();
    Alive {
        consumers: names(&expected.consumers).iter().map(|name| name.as_str().into()).collect(),
        rankers: names(&expected.rankers).iter().map(|n| (n.as_str().into(), format!("{n}:7800"))).collect(),
    }
}
