//! Faults while a consumer writes: at the end everything is there once.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use barrage_cluster::store::{Metrics, RedisStore};
use barrage_core::{
    room::SHARDS,
    store::{Applied, Confirmed, Reached, Start, Store},
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::time::timeout;

use super::{
    cluster, config, connect,
    consumer::{Consumer, PARTITION, apply, assert_exact, batch, log, reached, room},
    nodes::Nodes,
};

/// A key whose master the faults are aimed at.
const KEY: &str = "{default/demo:3}:rank";
/// The slice whose key that is.
const SHARD: u32 = 3;
const RECORDS: u64 = 12_000;
/// How long a caller waits that gives up: longer than a healthy node takes, shorter than the client takes to give up.
const CALLER_WAITS: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a consumer over a log of a few seconds, and `fault` after the first; asserts that all is there afterwards.
async fn through<F: Future<Output = Nodes>>(fault: impl FnOnce(Nodes) -> F) -> (Nodes, Store, Consumer) {
    let (nodes, store) = cluster().await;
    let log = log(RECORDS);
    let writing = tokio::spawn(Consumer::new(&store, &log, Duration::from_millis(10)).run());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!writing.is_finished(), "the fault came too late to disturb anything");
    let nodes = fault(nodes).await;
    let consumer = writing.await.unwrap();
    nodes.until_settled();
    assert_exact(&store, &log).await;
    (nodes, store, consumer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_is_killed() {
    through(|mut nodes| async {
        let master = nodes.master_of(KEY);
        nodes.kill(master);
        nodes.until_replaced(KEY, master);
        nodes.restart(master);
        nodes
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_restarts_with_its_data() {
    through(|mut nodes| async {
        let master = nodes.master_of(KEY);
        nodes.restart(master);
        nodes
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_comes_back_empty_before_anybody_noticed() {
    let (.., consumer) = through(|mut nodes| async {
        let master = nodes.master_of(KEY);
        nodes.restart_empty(master);
        nodes
    })
    .await;
    assert!(consumer.lost > 0, "nothing was found to be lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_are_killed_and_come_back() {
    through(|mut nodes| async {
        (0..6).for_each(|node| nodes.kill(node));
        (0..6).for_each(|node| nodes.restart(node));
        nodes
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_flushed() {
    let (.., consumer) = through(|nodes| async {
        for round in 0..20 {
            (0..6).for_each(|node| drop(nodes.cli(node, &["SCRIPT", "FLUSH"])));
            tokio::time::sleep(Duration::from_millis(10 * round)).await;
        }
        nodes
    })
    .await;
    assert_eq!((consumer.behind, consumer.lost), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_given_to_another_master() {
    let (nodes, store, consumer) = through(|nodes| async {
        let from = nodes.master_of(KEY);
        let to = (0..3).find(|node| *node != from).unwrap();
        let ids = [from, to].map(|node| nodes.cli(node, &["CLUSTER", "MYID"]));
        let address = &nodes.addresses()[0];
        let [from, to] = &ids;
        let words = ["--cluster", "reshard", address, "--cluster-from", from, "--cluster-to", to];
        // All of its slots: it has none left, and its replica goes with them.
        let said = nodes.cli(0, &[&words[..], &["--cluster-slots", "3000", "--cluster-yes"]].concat());
        assert!(said.contains("Moving slot"), "{said}");
        nodes
    })
    .await;
    assert_eq!(consumer.lost, 0);
    assert_eq!(store.confirm(&[reached(PARTITION, RECORDS, consumer.generation)]).await.unwrap(), Confirmed::Yes);
    drop(nodes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_replicas_do_not_answer_masters_do() {
    let (nodes, store) = cluster().await;
    let log = log(RECORDS / 10);
    Consumer::new(&store, &log, Duration::ZERO).run().await;
    nodes.until_listed();
    let store: Store = Arc::new(connect(&nodes).await);
    let masters: BTreeSet<_> =
        (0..SHARDS).map(|shard| nodes.master_of(&format!("{{default/demo:{shard}}}:rank"))).collect();
    let replicas = (0..6).filter(|node| !masters.contains(node)).inspect(|node| nodes.pause(*node));
    assert_eq!(replicas.count(), 3);
    assert_exact(&store, &log).await;
    assert_eq!(store.last_error(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_confirmed_that_no_replica_has_or_that_ran_before_a_failover() {
    let (mut nodes, store) = cluster().await;
    assert_eq!(store.confirm(&[reached(PARTITION, 40, 0)]).await.unwrap(), Confirmed::Yes);
    assert_eq!(store.start(PARTITION, 90).await.unwrap(), Start { offset: 40, generation: 0 });
    assert_eq!(store.start(PARTITION, 30).await.unwrap().offset, 30);
    let master = nodes.master_of(KEY);
    nodes.kill(master);
    nodes.until_replaced(KEY, master);
    // Once all agree on who the masters are it is void, and from then on there is no replica to confirm.
    let mut said = Vec::new();
    while said.last() != Some(&Some(Confirmed::Void)) {
        assert!(said.len() < 600, "it is not noticed");
        said.push(store.confirm(&[reached(PARTITION, 50, 0)]).await.ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!said.contains(&Some(Confirmed::Yes)), "{said:?}");
    let again = store.start(PARTITION, 90).await.unwrap();
    assert_eq!(again, Start { offset: 40, generation: 1 });
    assert!(store.confirm(&[reached(PARTITION, 50, 1)]).await.is_err());
    assert!(store.last_error().is_some());
    nodes.restart(master);
    nodes.until_settled();
    assert_eq!(store.confirm(&[reached(PARTITION, 60, 1)]).await.unwrap(), Confirmed::Yes);
    assert_eq!(store.last_error(), None);
    let fresh: Store = Arc::new(connect(&nodes).await);
    assert_eq!(fresh.start(PARTITION, 90).await.unwrap(), Start { offset: 60, generation: 0 });
}

/// The other nodes answer all the while, its own replica among them, and no caller waits until the client gives up.
#[tokio::test(flavor = "multi_thread")]
async fn for_a_master_that_keeps_silent_the_client_connects_anew() {
    let nodes = Nodes::start_with(false, "cluster-replica-no-failover yes\ncluster-require-full-coverage no");
    nodes.until_listed();
    let mut registry = Registry::default();
    let store = RedisStore::connect(config(&nodes), Metrics::register(&mut registry)).await.unwrap();
    store.lay_markers().await.unwrap();
    let store: Store = Arc::new(store);
    let renewals = || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text.lines().find_map(|line| line.strip_prefix("renewals_total ")?.parse().ok()).unwrap_or(0)
    };
    let first = [(0, log(1)[0].1.clone())];
    let master = nodes.master_of(KEY);
    let other = (0..SHARDS).find(|shard| nodes.master_of(&format!("{{default/demo:{shard}}}:rank")) != master).unwrap();
    for shard in [SHARD, other] {
        assert_eq!(apply(&store, batch(shard, None, &first)).await, Applied::Whole);
    }
    nodes.pause(master);
    let began = Instant::now();
    while renewals() == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing was done about it");
        let outcome = timeout(CALLER_WAITS, store.apply([batch(SHARD, None, &first)].into())).await;
        assert!(!outcome.is_ok_and(|mut done| done.remove(0).is_ok()));
        assert_eq!(apply(&store, batch(other, None, &first)).await, Applied::Whole);
        store.heat(&room()).await.unwrap();
    }
    nodes.resume(master);
    nodes.until_settled();
    assert_eq!(apply(&store, batch(SHARD, None, &first)).await, Applied::Whole);
}

/// Who asks first, for one partition, hides it from none of the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_makes_every_partition_void_until_it_is_begun_again() {
    let (mut nodes, store) = cluster().await;
    let [one, other, later] = [PARTITION, PARTITION + 1, PARTITION + 2];
    for partition in [one, other] {
        assert_eq!(store.start(partition, 0).await.unwrap(), Start::default());
    }
    let both = [one, other].map(|partition| reached(partition, 10, 0));
    assert_eq!(store.confirm(&both).await.unwrap(), Confirmed::Yes);
    let master = nodes.master_of(KEY);
    nodes.kill(master);
    nodes.until_replaced(KEY, master);
    nodes.restart(master);
    nodes.until_settled();
    assert_eq!(until_answered(&store, reached(one, 20, 0)).await, Confirmed::Void);
    let begun = Start { offset: 10, generation: 1 };
    assert_eq!(store.start(one, 10).await.unwrap(), begun);
    assert_eq!(until_answered(&store, reached(one, 20, 1)).await, Confirmed::Yes);
    // It is begun again while somebody has yet to confirm what was applied before.
    assert_eq!(store.start(other, 10).await.unwrap(), begun);
    for _ in 0..2 {
        assert_eq!(until_answered(&store, reached(other, 20, 0)).await, Confirmed::Void);
    }
    assert_eq!(store.start(other, 10).await.unwrap().offset, 10, "what is void was not confirmed");
    assert_eq!(until_answered(&store, reached(other, 20, 1)).await, Confirmed::Yes);
    // One that is new here has seen nothing before.
    assert_eq!(store.start(later, 0).await.unwrap(), Start { offset: 0, generation: 1 });
    assert_eq!(until_answered(&store, reached(later, 5, 1)).await, Confirmed::Yes);
}

/// What a confirmation says once masters agree on who they are.
async fn until_answered(store: &Store, reached: Reached) -> Confirmed {
    let began = Instant::now();
    loop {
        match store.confirm(&[reached]).await {
            Ok(confirmed) => return confirmed,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
