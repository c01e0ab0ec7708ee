//! The consumer against a real log and store: once each, whatever is repeated, unreadable or interrupted.

use std::{path::Path, time::Duration};

use barrage_crds::{LiveRoomSpec, RoomManifest};
use barrage_proto::{
    Cursor,
    log::{Entry, Record},
};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::time::timeout;

use super::*;
use crate::embedded::{log::EmbeddedLog, store::EmbeddedStore};
use barrage_core::{
    link::{self, Accounted, Candidates, FromConsumer},
    log::NewRecord,
    room::{RoomId, Rooms},
    routes::Table,
    store::{Direction, Start},
};

struct Running {
    log: Log,
    store: Store,
    ranker: FromConsumer,
    rankers: mpsc::Sender<ToRanker>,
    stop: CancellationToken,
    health: Health,
    routes: watch::Sender<Arc<Table>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(dir: &Path) -> Running {
    let mut registry = Registry::default();
    let store = EmbeddedStore::open(dir, &mut registry).unwrap();
    let log = EmbeddedLog::open(dir, &store.applied_ends(1).await.unwrap(), &mut registry).unwrap();
    let (log, store): (Log, Store) = (Arc::new(log), Arc::new(store));
    let name = Peer::from("c");
    let (routes, table) = watch::channel(Arc::new(Table::of_one(&name, 1, Rooms::new(&[RoomManifest::demo()]))));
    let (rankers, sessions) = mpsc::channel(4);
    let (to_ranker, ranker) = link::candidates(Peer::clone(&name), Peer::clone(&name));
    rankers.send(to_ranker).await.ok().unwrap();
    let health = Health::default();
    let deps = Deps {
        name,
        log: log.clone(),
        store: store.clone(),
        routes: table,
        rankers: sessions,
        health: health.clone(),
        heat: Heat::default(),
        tracer: Tracer::default(),
        metrics: Metrics::register(&mut registry),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(deps, stop.clone()));
    Running { log, store, ranker, rankers, stop, health, routes, task }
}

impl Running {
    async fn append(&self, payload: impl Into<Bytes>) {
        self.log.append(vec![NewRecord { partition: 0, payload: payload.into(), trace: None }]).await.unwrap();
    }

    async fn candidates(&mut self) -> Candidates {
        timeout(Duration::from_secs(10), self.ranker.candidates.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    async fn history(&self) -> Vec<String> {
        let room = RoomId::from("demo");
        let page = self.store.history(&room, Direction::After, Cursor::default(), 100).await.unwrap();
        page.items.iter().map(|item| String::from_utf8(item.entry.content.to_vec()).unwrap()).collect()
    }
}

fn record(entries: &[(u64, bool, &str)]) -> Vec<u8> {
    let entry = |&(seq, retry, text): &(u64, bool, &str)| Entry {
        user: 7,
        session: 9,
        seq,
        retry,
        content: Bytes::copy_from_slice(text.as_bytes()),
        ..Entry::default()
    };
    let entries = entries.iter().map(entry).collect();
    Record { room: "demo".into(), shard: 2, received_ms: 5, entries, ..Record::default() }.encode_to_vec()
}

fn texts(candidates: &Candidates) -> Vec<String> {
    candidates.danmaku().map(|(_, entry)| String::from_utf8(entry.content.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn a_retry_behind_its_original_counts_once_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a"), (2, false, "b")])).await;
    running.append(record(&[(2, true, "b"), (3, false, "c")])).await;
    assert_eq!(texts(&running.candidates().await), ["a", "b"]);
    let second = running.candidates().await;
    assert_eq!(texts(&second), ["c"]);
    assert_eq!(second.danmaku().next().unwrap().0.index, 1);
    running.stop().await;

    let mut running = start(dir.path()).await;
    running.append(record(&[(3, true, "c"), (4, false, "d")])).await;
    // Not accounted for before the restart: handed on again, in order.
    assert_eq!(texts(&running.candidates().await), ["a", "b"]);
    assert_eq!(texts(&running.candidates().await), ["c"]);
    assert_eq!(texts(&running.candidates().await), ["d"]);
    let (log, store) = (running.log.clone(), running.store.clone());
    running.stop().await;
    let running = start(dir.path()).await;
    assert_eq!(running.history().await, ["a", "b", "c", "d"]);
    assert_eq!(store.ranking(&RoomId::from("demo"), 1).await.unwrap().scores[0].score, 4);
    assert_eq!(log.state(0).await.unwrap().committed, 0);
}

#[tokio::test]
async fn what_is_accounted_for_and_applied_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a")])).await;
    let candidates = running.candidates().await;
    let Candidates { room, shard, record, .. } = candidates;
    running.ranker.accounted.send(Accounted { room, shard, record }).await.unwrap();
    let log = running.log.clone();
    running.stop().await;
    assert_eq!(log.state(0).await.unwrap().committed, 1);
}

#[tokio::test]
async fn records_that_are_none_stop_nothing_and_those_of_unserved_rooms_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(&[0xff_u8; 30][..]).await;
    let entries = vec![Entry { user: 1, content: Bytes::from_static(b"kept"), ..Entry::default() }];
    running.append(Record { room: "gone".into(), entries, ..Record::default() }.encode_to_vec()).await;
    running.append(record(&[(1, false, "after")])).await;
    assert_eq!(texts(&running.candidates().await), ["after"]);
    let store = running.store.clone();
    running.stop().await;
    assert_eq!(start(dir.path()).await.history().await, ["after"]);
    assert_eq!(store.ranking(&RoomId::from("gone"), 10).await.unwrap().scores.len(), 1);
}

#[tokio::test]
async fn a_room_that_goes_before_its_last_danmaku_is_accounted_for_holds_no_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a")])).await;
    running.candidates().await;
    while running.history().await != ["a"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut table = (**running.routes.borrow()).clone();
    table.rooms = Rooms::new(&[]);
    running.routes.send_replace(Arc::new(table));
    let committed = async {
        while running.log.state(0).await.unwrap().committed != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), committed).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_room_that_goes_and_is_back_at_once_is_handed_on_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    let of = |rooms: &[RoomManifest]| {
        let mut table = (**running.routes.borrow()).clone();
        table.rooms = Rooms::new(rooms);
        Arc::new(table)
    };
    let other = RoomManifest::new("other", LiveRoomSpec::default());
    let (both, without) = (of(&[RoomManifest::demo(), other.clone()]), of(&[other]));
    running.routes.send_replace(without);
    let before =
        Record { room: "other".into(), ..Record::decode(&*record(&[(1, false, "holds the commit")])).unwrap() };
    running.append(before.encode_to_vec()).await;
    running.candidates().await;
    running.append(record(&[(2, false, "a")])).await;
    while running.history().await != ["a"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.routes.send_replace(both);
    while texts(&running.candidates().await) != ["a"] {}
    running.stop().await;
}

#[tokio::test]
async fn a_store_that_was_taken_away_is_filled_again_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a")])).await;
    let Candidates { room, shard, record, .. } = running.candidates().await;
    running.ranker.accounted.send(Accounted { room, shard, record }).await.unwrap();
    running.stop().await;
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let running = start(dir.path()).await;
    while running.history().await != ["a"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.health.report().status, "ok", "the log still holds everything");
    running.stop().await;
}

#[tokio::test]
async fn a_rewind_takes_nobody_forward() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let log: Log = Arc::new(EmbeddedLog::open(dir.path(), &[0], &mut registry).unwrap());
    let metrics = Metrics::register(&mut registry);
    let progress = progress::Progress::new(0, 3, Start { offset: 3, generation: 0 });
    let source = Arc::new(follow::Source::new(log, 0, 0, metrics));
    // One fills the store again from the start of the log, the other has come further than what is sure.
    let mut followers = [0, 5].map(|from| source.follow(from, &progress));
    progress.rewind(u64::MAX);
    for (follower, expected) in followers.iter_mut().zip([0, 3]) {
        let rewound = timeout(Duration::from_secs(10), follower.next()).await.unwrap();
        assert!(matches!(rewound, Ok(follow::Followed::Rewound { to }) if to == expected), "{expected}");
    }
}

#[tokio::test]
async fn a_new_session_begins_at_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a")])).await;
    let Candidates { room, shard, record: first, .. } = running.candidates().await;
    running.ranker.accounted.send(Accounted { room, shard, record: first }).await.unwrap();
    while running.log.state(0).await.unwrap().committed == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.append(record(&[(2, false, "b")])).await;
    assert_eq!(texts(&running.candidates().await), ["b"]);
    // The ranker is gone, and back.
    let (to_ranker, ranker) = link::candidates("c".into(), "c".into());
    running.ranker = ranker;
    running.append(record(&[(3, false, "c")])).await;
    running.rankers.send(to_ranker).await.ok().unwrap();
    assert_eq!(texts(&running.candidates().await), ["b"]);
    assert_eq!(texts(&running.candidates().await), ["c"]);
    running.stop().await;
}

#[tokio::test]
async fn a_ranker_that_takes_nothing_holds_up_neither_the_store_nor_another() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path()).await;
    let mut table = (**running.routes.borrow()).clone();
    table.rankers.insert("other".into(), String::new());
    table.rooms = Rooms::new(&[RoomManifest::demo()]);
    let stuck = Peer::clone(table.ranker_of(&RoomId::from("demo")).unwrap());
    running.routes.send_replace(Arc::new(table));
    let (to_ranker, from_consumer) = link::candidates("c".into(), stuck);
    running.rankers.send(to_ranker).await.ok().unwrap();
    let records = link::CANDIDATES_QUEUE as u64 + 2_000;
    for first in (0..records).step_by(100) {
        let new = |seq| NewRecord { partition: 0, payload: record(&[(seq, false, "x")]).into(), trace: None };
        running.log.append((first..first + 100).map(new).collect()).await.unwrap();
    }
    let room = RoomId::from("demo");
    while running.store.ledger(&room).await.unwrap().1 < records {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(from_consumer);
    running.stop().await;
}

#[tokio::test]
async fn a_partition_that_goes_to_another_is_released_with_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(dir.path()).await;
    running.append(record(&[(1, false, "a")])).await;
    running.candidates().await;
    let mut table = (**running.routes.borrow()).clone();
    table.epoch = 2;
    table.partitions[0] = barrage_core::routes::Owner { consumer: Some("d".into()), epoch: 2 };
    running.routes.send_replace(Arc::new(table));
    // The relay ends with the partition, and the session's candidates with it.
    while running.store.ledger(&RoomId::from("demo")).await.unwrap().1 < 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.append(record(&[(2, false, "b")])).await;
    let next = timeout(Duration::from_millis(500), running.ranker.candidates.recv()).await;
    assert!(next.is_err(), "nothing is read any more");
    running.stop().await;
}
