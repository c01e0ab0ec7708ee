//! Acts of moderation and steps of heat: written by the script, read back, and the same however often they are applied.

use std::sync::Arc;

use barrage_cluster::store::{Metrics, RedisConfig, RedisStore};
use barrage_core::{
    moderation::RoomRules,
    room::{RoomId, shard_of},
    store::{Applied, Counts, Direction, Ledger, STEP_MS, SliceBatch, Steps, Store},
};
use barrage_proto::{
    Cursor, Position,
    log::{Act, Entry, Place, Record, Sanction, Settings, act::Kind, sanction},
};
use prometheus_client::registry::Registry;

use super::{
    cluster, config, connect,
    consumer::{PARTITION, apply, batch, room},
    nodes::Nodes,
};

const AT_MS: i64 = 1_700_000_000_000;

fn said(user: u64, text: &str, at_ms: i64) -> Record {
    let entry = Entry { user, content: text.as_bytes().to_vec().into(), ..Entry::default() };
    Record { received_ms: at_ms, entries: vec![entry], ..Record::default() }
}

fn done(kind: Kind) -> Record {
    let act = Act { actor: 900, kind: Some(kind), ..Act::default() };
    Record {
        received_ms: AT_MS,
        entries: vec![Entry { act: Some(act.into()), ..Entry::default() }],
        ..Record::default()
    }
}

fn at(offset: u64) -> Position {
    Position { partition: PARTITION, offset, index: 0 }
}

async fn texts(store: &Store) -> Vec<String> {
    let page = store.history(&room(), Direction::After, Cursor::default(), 100).await.unwrap();
    page.items.into_iter().map(|item| String::from_utf8(item.entry.content.to_vec()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moderators_did_is_kept_once_and_hides_what_it_is_about() {
    let (_nodes, store) = cluster().await;
    let user = (1..).find(|&user| shard_of(user) == 0).unwrap();
    let place = Place { partition: PARTITION, offset: 1, index: 0 };
    let mute = Sanction { user, kind: sanction::Kind::Muted.into(), until_ms: 0 };
    let records: Vec<_> = [
        said(user, "kept", AT_MS),
        said(user, "removed", AT_MS + 1),
        done(Kind::Remove(place)),
        done(Kind::Settings(Settings { block_words: vec!["坏话".into()], ..Settings::default() })),
        done(Kind::Sanction(mute)),
        said(user, "behind", AT_MS + 2),
    ]
    .into_iter()
    .zip(0..)
    .map(|(record, offset)| (offset, record))
    .collect();
    for part in [&records[..3], &records[2..5], &records[..], &records[..]] {
        assert_eq!(apply(&store, batch(0, None, part)).await, Applied::Whole);
    }
    assert_eq!(texts(&store).await, ["kept"]);
    let rules = store.rules(&room()).await.unwrap();
    assert_eq!((rules.audit(100).len(), rules.blocked_words().collect::<Vec<_>>()), (3, vec!["坏话"]));
    assert!(rules.sanction(user, AT_MS).is_some());
    let room = room();
    let found = |offset| store.find(&room, 0, at(offset));
    assert!(found(0).await.unwrap().is_some());
    assert!(found(1).await.unwrap().is_none(), "removed");
    assert!(found(5).await.unwrap().is_none(), "behind the mute");
    assert!(found(77).await.unwrap().is_none(), "never there");
}

#[tokio::test(flavor = "multi_thread")]
async fn heat_is_counted_once_by_steps_and_over_all_slices() {
    let (_nodes, store) = cluster().await;
    let step = AT_MS / STEP_MS;
    let of = |shard| (1..).find(|&user| shard_of(user) == shard).unwrap();
    for shard in 0..2 {
        let user = of(shard);
        let times = [AT_MS, AT_MS + 1, AT_MS + STEP_MS, AT_MS + 3 * STEP_MS];
        let records: Vec<_> = (0..).zip(times.map(|at_ms| said(user, "x", at_ms))).collect();
        apply(&store, batch(shard, None, &records[..2])).await;
        apply(&store, batch(shard, Some(1), &records[1..])).await;
        apply(&store, batch(shard, None, &records)).await;
    }
    assert_eq!(store.heat(&room()).await.unwrap(), [(step, 4), (step + 1, 2), (step + 3, 2)].into());
    // A day later the ring has begun anew: what is a round old goes, what comes late for it is not counted.
    let later = AT_MS + 24 * 3_600_000;
    apply(&store, batch(0, Some(3), &[(4, said(of(0), "x", later)), (5, said(of(0), "x", AT_MS))])).await;
    assert_eq!(store.heat(&room()).await.unwrap(), [(later / STEP_MS, 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_room_goes_on_from_its_place_with_nothing_and_another_keeps_everything() {
    let (nodes, store) = cluster().await;
    let redis = connect(&nodes).await;
    let users: Vec<u64> = (0..16).map(|shard| (1..).find(|&user| shard_of(user) == shard).unwrap()).collect();
    let other = RoomId::from("other");
    let first = |user| [(0, said(user, "old", AT_MS)), (1, done(Kind::Sanction(muted(user))))];
    for (shard, &user) in (0..).zip(&users) {
        assert_eq!(apply(&store, batch(shard, None, &first(user))).await, Applied::Whole);
        let beside = SliceBatch { room: other.clone(), ..batch(shard, None, &first(user)) };
        assert_eq!(apply(&store, beside).await, Applied::Whole);
    }
    let ledger = store.take_ledger(&room()).await.unwrap();
    let counts = Counts { shown: 16, likes: 3, ..ledger.counts };
    assert_eq!(store.save_ledgers(vec![(room(), Ledger { counts, ..ledger.clone() })]).await.unwrap(), []);
    // Up to where it was said; twice comes to the same.
    let ends = |end: u64| vec![end; PARTITION as usize + 1].into();
    for _ in 0..2 {
        redis.forget(&room(), ends(2)).await.unwrap();
        assert_eq!(texts(&store).await, [""; 0]);
        assert_eq!(store.ranking(&room(), 100).await.unwrap().scores, []);
        assert_eq!(store.rules(&room()).await.unwrap(), RoomRules::default());
        assert_eq!(store.heat(&room()).await.unwrap(), Steps::default());
        let (empty, logged) = store.ledger(&room()).await.unwrap();
        assert_eq!((empty.counts, logged), (Counts::default(), 0));
    }
    // Who ranked the room before has it no more.
    assert_eq!(store.save_ledgers(vec![(room(), ledger)]).await.unwrap(), [room()]);
    for (shard, &user) in (0..).zip(&users) {
        let more = [(1, done(Kind::Sanction(muted(user)))), (2, said(user, "new", AT_MS + 1))];
        assert_eq!(apply(&store, batch(shard, Some(1), &more[1..])).await, Applied::Whole, "{shard}");
        assert_eq!(apply(&store, batch(shard, Some(0), &more)).await, Applied::Whole, "what was applied is not again");
    }
    // Who was to forget the old ones comes late.
    redis.forget(&room(), ends(2)).await.unwrap();
    assert_eq!(texts(&store).await, ["new"; 16]);
    assert!(store.ranking(&room(), 100).await.unwrap().scores.iter().all(|place| place.score == 1));
    assert_eq!(store.ledger(&room()).await.unwrap().1, 16);
    let kept = store.history(&other, Direction::After, Cursor::default(), 100).await.unwrap();
    assert_eq!(kept.items.len(), 16);
    assert_eq!(store.ranking(&other, 100).await.unwrap().scores.len(), 16);
    assert!(store.rules(&other).await.unwrap().sanction(users[0], AT_MS).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_the_documentation_may_do_all_that_the_store_does() {
    const PAGE: &str = include_str!("../../../docs/degraded-modes.md");
    let rule = PAGE.split_once("```acl\nuser ").and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0;
    let words: Vec<_> = rule.split_whitespace().collect();
    let nodes = Nodes::start();
    for node in 0..nodes.addresses().len() {
        nodes.cli(node, &[&["ACL", "SETUSER"], &*words].concat());
    }
    let (username, password) = (Some(words[0].to_owned()), Some("PASSWORD".to_owned()));
    let config = RedisConfig { username, password, ..config(&nodes) };
    let redis = RedisStore::connect(config, Metrics::register(&mut Registry::default())).await.unwrap();
    redis.lay_markers().await.unwrap();
    let store: Store = Arc::new(redis.clone());
    let user = (1..).find(|&user| shard_of(user) == 0).unwrap();
    let records = [(0, said(user, "old", AT_MS)), (1, done(Kind::Sanction(muted(user))))];
    assert_eq!(apply(&store, batch(0, None, &records)).await, Applied::Whole);
    store.take_ledger(&room()).await.unwrap();
    assert_eq!(texts(&store).await, ["old"]);
    redis.forget(&room(), vec![2; PARTITION as usize + 1].into()).await.unwrap();
    assert_eq!(texts(&store).await, [""; 0]);
}

fn muted(user: u64) -> Sanction {
    Sanction { user, kind: sanction::Kind::Muted.into(), until_ms: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_found_in_each_slice() {
    let (_nodes, store) = cluster().await;
    let user = (1..).find(|&user| shard_of(user) == 0).unwrap();
    let records: Vec<_> =
        (0..50_i64).map(|n| (n.cast_unsigned(), said(user, &n.to_string(), AT_MS + 10 * n))).collect();
    // One block each, as in a quiet room.
    for record in &records {
        apply(&store, batch(0, None, std::slice::from_ref(record))).await;
    }
    for n in [0, 1, 17, 49] {
        let cursor = store.cursor_at(&room(), AT_MS + 10 * n).await.unwrap();
        let page = store.history(&room(), Direction::After, cursor, 1).await.unwrap();
        assert_eq!(page.items[0].entry.content, n.to_string().as_bytes(), "{n}");
    }
    let cursor = store.cursor_at(&room(), i64::MAX).await.unwrap();
    assert!(store.history(&room(), Direction::After, cursor, 1).await.unwrap().items.is_empty());
}
