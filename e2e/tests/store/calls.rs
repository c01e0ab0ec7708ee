//! What one call does and refuses, on an undisturbed cluster.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use barrage_core::store::{Applied, Counts, Direction, Ledger, SliceBatch, Store};
use barrage_proto::{
    Cursor, Position,
    log::{Entry, Record},
};

use super::{
    cluster, connect,
    consumer::{Consumer, PARTITION, all_texts, apply, assert_exact, batch, log, room},
};

fn record(users: &[u64]) -> Record {
    let entry = |&user| Entry { user, content: b"x".to_vec().into(), ..Entry::default() };
    Record { received_ms: 1, entries: users.iter().map(entry).collect(), ..Record::default() }
}

async fn score_of(store: &Store, user: u64) -> u64 {
    let scores = store.ranking(&room(), 10_000).await.unwrap().scores;
    scores.iter().find(|scored| scored.user == user).map_or(0, |scored| scored.score)
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_that_apply_the_same_log_at_once_count_each_danmaku_once() {
    let (nodes, store) = cluster().await;
    let log = log(3_000);
    let others: Store = Arc::new(connect(&nodes).await);
    let racing = [&store, &others, &store].map(|store| tokio::spawn(Consumer::new(store, &log, Duration::ZERO).run()));
    for consumer in racing {
        let consumer = consumer.await.unwrap();
        assert_eq!(consumer.lost, 0);
    }
    assert_exact(&store, &log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_counts_from_where_the_slice_is() {
    let (_nodes, store) = cluster().await;
    let records: Vec<_> = (0..6).map(|offset| (offset, record(&[7]))).collect();
    assert_eq!(apply(&store, batch(0, None, &records[..3])).await, Applied::Whole);
    assert_eq!(
        apply(&store, batch(0, Some(0), &records[1..5])).await,
        Applied::Whole,
        "1 and 2 were applied by others"
    );
    assert_eq!(score_of(&store, 7).await, 5);
    assert_eq!(apply(&store, batch(0, Some(5), &records)).await, Applied::Behind);
    assert_eq!(apply(&store, batch(0, None, &records)).await, Applied::Whole);
    assert_eq!(apply(&store, batch(0, None, &records)).await, Applied::Whole);
    assert_eq!(score_of(&store, 7).await, 6);
    let applied = store.ranking(&room(), 1).await.unwrap().applied;
    let end = Position { partition: PARTITION, offset: 5, index: u32::MAX };
    assert_eq!(applied.position(0), Some(end));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_a_lower_epoch_writes_nothing() {
    let (_nodes, store) = cluster().await;
    let by =
        |owner_epoch, offset, expected| SliceBatch { owner_epoch, ..batch(0, expected, &[(offset, record(&[7]))]) };
    assert_eq!(apply(&store, by(3, 0, None)).await, Applied::Whole);
    assert_eq!(apply(&store, by(2, 1, Some(0))).await, Applied::Fenced(3));
    // An owner that has written nothing yet fences, too.
    assert_eq!(apply(&store, by(5, 0, None)).await, Applied::Whole);
    assert_eq!(apply(&store, by(3, 1, Some(0))).await, Applied::Fenced(5));
    assert_eq!(apply(&store, by(5, 1, Some(0))).await, Applied::Whole);
    assert_eq!(score_of(&store, 7).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_an_earlier_version_had_moved_is_neither_read_nor_written() {
    let (nodes, store) = cluster().await;
    assert_eq!(apply(&store, batch(0, None, &[(5, record(&[7]))])).await, Applied::Whole);
    let key = format!("{{default/{}:0}}:applied", room());
    assert_eq!(nodes.cli(0, &["-c", "HGET", &key, "m"]), "0", "as earlier versions have it of what never moved");
    nodes.cli(0, &["-c", "HSET", &key, "m", "1", "p", "2", "o", "-1"]);
    let refused = store.apply([batch(0, Some(5), &[(6, record(&[7]))])].into()).await.remove(0).unwrap_err();
    assert!(refused.to_string().contains("make a new pool"), "{refused}");
    assert_eq!(score_of(&store, 7).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_deleted_makes_the_slice_lost_until_it_is_filled_again() {
    let (nodes, store) = cluster().await;
    let log = log(600);
    for key in ["applied", "rank", "hist"] {
        Consumer::new(&store, &log, Duration::ZERO).run().await;
        let key = format!("{{default/demo:{}}}:{key}", log[599].0);
        assert_eq!(nodes.cli(0, &["-c", "DEL", &key]), "1");
        let last = [(599, log[599].1.clone())];
        assert_eq!(apply(&store, batch(log[599].0, Some(598), &last)).await, Applied::Lost, "{key}");
        // It begins without knowing, and finds out.
        let consumer = Consumer::new(&store, &log, Duration::ZERO).run().await;
        assert_eq!(consumer.lost, 1, "{key}");
        assert_exact(&store, &log).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_markers_is_lost_until_each_partition_is_filled_again() {
    let nodes = super::Nodes::start();
    let store: Store = Arc::new(connect(&nodes).await);
    assert_eq!(store.start(PARTITION, 7).await.unwrap().offset, 0);
    let one = batch(0, None, &[(0, record(&[7]))]);
    assert_eq!(apply(&store, one.clone()).await, Applied::Lost);
    let again = SliceBatch { rebuilding: true, ..one.clone() };
    assert_eq!(apply(&store, again).await, Applied::Whole);
    store.rebuilt(PARTITION).await.unwrap();
    assert_eq!(apply(&store, one).await, Applied::Whole);
    assert_eq!(store.start(PARTITION, 7).await.unwrap().offset, 7);
    assert_eq!(store.start(PARTITION + 1, 7).await.unwrap().offset, 0, "another partition is still to be filled");
    assert_eq!(score_of(&store, 7).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_again_while_it_is_filled_again_is_not_settled() {
    let (nodes, store) = cluster().await;
    let marker = "{default/demo:0}:applied";
    let slot: u16 = nodes.cli(0, &["CLUSTER", "KEYSLOT", marker]).parse().unwrap();
    let forget = || {
        let keys = nodes.cli(nodes.master_of(marker), &["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "9"]);
        keys.lines().for_each(|key| drop(nodes.cli(0, &["-c", "DEL", key])));
    };
    let one = batch(0, None, &[(0, record(&[7]))]);
    assert_eq!(apply(&store, one.clone()).await, Applied::Whole);
    forget();
    assert_eq!(apply(&store, one.clone()).await, Applied::Lost);
    assert_eq!(apply(&store, SliceBatch { rebuilding: true, ..one.clone() }).await, Applied::Whole);
    forget();
    store.rebuilt(PARTITION).await.unwrap();
    assert_eq!(apply(&store, one).await, Applied::Lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_either_way_lose_and_repeat_nothing() {
    let (_nodes, store) = cluster().await;
    let log = log(700);
    Consumer::new(&store, &log, Duration::ZERO).run().await;
    let forward = all_texts(&store, 1_000_000).await;
    for limit in [1, 17, 300] {
        if limit > 1 {
            assert_eq!(all_texts(&store, limit).await, forward);
        }
        let mut backward: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let mut from = Cursor::default();
        loop {
            let page = store.history(&room(), Direction::Before, from, limit).await.unwrap();
            for item in page.items.iter().rev() {
                let text = String::from_utf8(item.entry.content.to_vec()).unwrap();
                backward.entry(item.shard).or_default().insert(0, text);
            }
            if !page.more || (limit == 1 && backward.values().map(Vec::len).sum::<usize>() > 30) {
                break;
            }
            from = page.before;
        }
        let tails = backward.iter().map(|(shard, texts)| (forward[shard].ends_with(texts), shard));
        assert!(tails.into_iter().all(|(is_tail, _)| is_tail));
        assert!(limit == 1 || backward == forward);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_trimmed_by_length_and_by_age() {
    let (nodes, store) = cluster().await;
    for shard in [0, 1] {
        let length = if shard == 0 { 100 } else { 0 };
        for first in (0..1_000_u64).step_by(5) {
            let records: Vec<_> = (first..first + 5).map(|offset| (offset, record(&[7]))).collect();
            let one = SliceBatch { history_length: length, ..batch(shard, first.checked_sub(1), &records) };
            assert_eq!(apply(&store, one).await, Applied::Whole);
        }
        let kept = all_texts(&store, 10_000).await.get(&shard).map_or(0, Vec::len) as u64;
        assert!((length..=length + length / 10).contains(&kept), "{kept} of {length}");
    }
    let old = batch(2, None, &[(0, record(&[7]))]);
    assert_eq!(apply(&store, SliceBatch { history_age_ms: 3_600_000, ..old.clone() }).await, Applied::Whole);
    assert!(!all_texts(&store, 10_000).await.contains_key(&2), "received in 1970");
    let hist = "{default/demo:2}:hist";
    let fresh = Record { received_ms: i64::MAX, ..record(&[7]) };
    let fresh = SliceBatch { history_age_ms: 3_600_000, ..batch(2, Some(0), &[(1, fresh)]) };
    assert_eq!(apply(&store, fresh).await, Applied::Whole);
    let lives: u64 = nodes.cli(0, &["-c", "PTTL", hist]).parse().unwrap();
    assert!((1..=3_600_000).contains(&lives));
    assert_eq!(all_texts(&store, 10_000).await[&2].len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_belongs_to_who_took_it_last() {
    let (_nodes, store) = cluster().await;
    assert_eq!(store.ledger(&room()).await.unwrap(), (Ledger::default(), 0));
    let first = store.take_ledger(&room()).await.unwrap();
    assert_eq!(first.epoch, 1);
    let watermark = [(3, Position { partition: 1, offset: 9, index: u32::MAX })].into_iter().collect();
    let counts = Counts { shown: 1, merged: 2, sampled_out: 3, deleted: 4, expired: 5, likes: 6 };
    let saved = Ledger { epoch: 1, counts, watermark };
    assert!(store.save_ledgers(vec![(room(), saved.clone())]).await.unwrap().is_empty());
    assert_eq!(store.ledger(&room()).await.unwrap().0, saved);
    assert_eq!(store.take_ledger(&room()).await.unwrap(), Ledger { epoch: 2, ..saved.clone() });
    assert_eq!(store.save_ledgers(vec![(room(), saved)]).await.unwrap(), [room()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rankings_are_cut_from_all_slices() {
    let (_nodes, store) = cluster().await;
    let batches: Arc<[SliceBatch]> = (0..16)
        .map(|shard| batch(shard, None, &[(0, record(&vec![u64::from(shard) + 1; 1 + shard as usize / 2]))]))
        .collect();
    assert!(store.apply(batches).await.into_iter().all(|outcome| outcome.unwrap() == Applied::Whole));
    let best = store.ranking(&room(), 5).await.unwrap();
    let best: Vec<_> = best.scores.iter().map(|scored| (scored.user, scored.score)).collect();
    assert_eq!(best, [(15, 8), (16, 8), (13, 7), (14, 7), (11, 6)]);
    assert_eq!(store.ranking(&room(), 100).await.unwrap().scores.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranking_is_read_no_further_than_it_is_asked_for() {
    const USERS: u64 = 16_000;
    let (nodes, store) = cluster().await;
    let batches: Arc<[SliceBatch]> = (0..16)
        .map(|shard| {
            let users: Vec<u64> = (1..=USERS).filter(|user| user % 16 == u64::from(shard)).collect();
            batch(shard, None, &[(0, record(&users))])
        })
        .collect();
    assert!(store.apply(batches).await.into_iter().all(|outcome| outcome.unwrap() == Applied::Whole));
    let sent = || -> u64 {
        let of_node = |node| {
            let stats = nodes.cli(node, &["INFO", "stats"]);
            stats.lines().find_map(|line| line.trim().strip_prefix("total_net_output_bytes:")?.parse::<u64>().ok())
        };
        (0..3).map(|node| of_node(node).unwrap()).sum()
    };
    let mut bytes = Vec::new();
    for limit in [0, 1_000, 16_000] {
        let before = sent();
        assert_eq!(store.ranking(&room(), limit).await.unwrap().scores.len(), limit as usize);
        bytes.push(sent() - before);
    }
    // What nodes tell each other, and the question itself, is in it, too.
    assert!(8 * bytes[0] < bytes[2] && 4 * bytes[1] < bytes[2], "{bytes:?}");
}
