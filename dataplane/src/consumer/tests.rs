//! The consumer against a real log and store: once each, whatever is repeated, unreadable or interrupted.

use std::{path::Path, time::Duration};

use barrage_crds::LiveRoom;
use barrage_proto::{
    Cursor,
    log::{Entry, Record},
};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use prost::Message;
use tokio::time::timeout;

use super::*;
use crate::{
    link::{self, Accounted, Candidates, FromConsumer},
    log::NewRecord,
    room::RoomId,
    store::Direction,
};

struct Running {
    log: Log,
    store: Store,
    ranker: FromConsumer,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), ConsumerError>>,
}

async fn start(dir: &Path) -> Running {
    let mut registry = Registry::default();
    let store = Store::open(dir, &mut registry).unwrap();
    let log = Log::open(dir, &store.applied_ends(1).await.unwrap(), &mut registry).unwrap();
    let (to_ranker, ranker) = link::candidates();
    let deps = Deps {
        log: log.clone(),
        store: store.clone(),
        rooms: Rooms::new(&[LiveRoom::demo()], 1),
        ranker: to_ranker,
        metrics: Metrics::register(&mut registry),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(deps, stop.clone()));
    Running { log, store, ranker, stop, task }
}

impl Running {
    async fn append(&self, payload: impl Into<Bytes>) {
        self.log.append(vec![NewRecord { partition: 0, payload: payload.into() }]).await.unwrap();
    }

    async fn candidates(&mut self) -> Candidates {
        timeout(Duration::from_secs(10), self.ranker.candidates.recv()).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
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
    Record { room: "demo".into(), shard: 2, received_ms: 5, entries: entries.iter().map(entry).collect() }
        .encode_to_vec()
}

fn texts(candidates: &Candidates) -> Vec<&str> {
    candidates.danmaku.iter().map(|danmaku| std::str::from_utf8(&danmaku.content).unwrap()).collect()
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
    assert_eq!(second.danmaku[0].position.index, 1);
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
    assert_eq!(store.ranking(&RoomId::from("demo"), 1, 0).await.unwrap().scores[0].score, 4);
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
    assert_eq!(store.ranked_users(&RoomId::from("gone"), 10).await.unwrap(), 1);
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
    let mut running = start(dir.path()).await;
    running.candidates().await;
    running.stop().await;
    assert_eq!(start(dir.path()).await.history().await, ["a"]);
}
