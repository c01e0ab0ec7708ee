//! Redis loses what it had: a node, the newest writes, everything, a key. Afterwards no count differs; where the log is
//! too short for that, it is said, and what is left counts exactly.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use barrage_core::room::shard_of;
use barrage_e2e::cluster::{Cluster, ClusterOptions, Fault, Node, RedisCluster, Role};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use tokio::task::block_in_place;

use crate::{
    scene::{DANMAKU, Scene},
    until, wait,
};

const APPLIED: &str = "barrage_store_applied_danmaku_total";
/// Users whose slices the faults are aimed at, with others around them.
const USERS: Range<u64> = 10..40;

/// The keys of a user's slice.
pub(crate) fn key(user: u64, of: &str) -> String {
    format!("{{default/demo:{}}}:{of}", shard_of(user))
}

/// The hash slot of a key.
pub(crate) fn slot(cluster: &Cluster, key: &str) -> u16 {
    wait(cluster.redis.ask(0, &["CLUSTER", "KEYSLOT", key])).unwrap()
}

/// The node that serves a key as its master.
pub(crate) fn master(cluster: &Cluster, key: &str) -> usize {
    wait(cluster.redis.master_of(slot(cluster, key))).expect("each slot has a master")
}

pub(crate) fn send(cluster: &Cluster, key: &str, words: &[&str]) {
    let node = master(cluster, key);
    wait(cluster.redis.ask::<redis::Value>(node, words)).unwrap();
}

/// Redis is lost in one way after the other, in one cluster.
#[tokio::test(flavor = "multi_thread")]
async fn no_count_differs_after_redis_has_lost_what_it_had() {
    let mut scene = Scene::start(ClusterOptions::default()).await;
    block_in_place(|| {
        scene.chat(0, USERS);
        a_master_comes_back_empty(&mut scene);
        a_failover_takes_writes_back(&mut scene);
        all_of_redis_restarts(&mut scene);
        keys_are_evicted(&mut scene);
        scripts_are_flushed(&mut scene);
    });
}

fn a_master_comes_back_empty(scene: &mut Scene) {
    let before = scene.metric(Role::Consumer, "barrage_consumer_rebuilds_total");
    let node = master(&scene.cluster, &key(10, "rank"));
    wait(scene.cluster.redis.restart_empty(node)).unwrap();
    wait(scene.cluster.redis.until_settled()).unwrap();
    scene.chat(1, USERS);
    scene.until_exact();
    assert!(scene.metric(Role::Consumer, "barrage_consumer_rebuilds_total") > before, "nothing was found to be lost");
    scene.until_well();
}

fn a_failover_takes_writes_back(scene: &mut Scene) {
    let slot = slot(&scene.cluster, &key(10, "rank"));
    let before = scene.metric(Role::Consumer, "barrage_consumer_rewinds_total");
    let master = wait(scene.cluster.redis.master_of(slot)).unwrap();
    let replica = replica_of(&scene.cluster.redis, master);
    scene.cluster.daemon(Node::Redis(replica)).pause().unwrap();
    // What is sent to a stopped process waits for it, and a replica reads that before it becomes master.
    let ended: u32 = wait(scene.cluster.redis.ask(master, &["CLIENT", "KILL", "TYPE", "replica"])).unwrap();
    assert_eq!(ended, 1, "the master sends to its replica");
    let applied = scene.metric(Role::Consumer, APPLIED);
    // The master has these, and nobody else.
    scene.chat(0, USERS);
    until("the writes are there", || match scene.metric(Role::Consumer, APPLIED) - applied {
        more if more >= 30.0 => Ok(()),
        more => Err(more.to_string()),
    });
    scene.cluster.daemon(Node::Redis(master)).kill9();
    scene.cluster.daemon(Node::Redis(replica)).resume().unwrap();
    wait(scene.cluster.redis.until_master_is_not(slot, master)).unwrap();
    wait(Fault::Kill(Node::Redis(master)).heal(&mut scene.cluster)).unwrap();
    wait(scene.cluster.redis.until_settled()).unwrap();
    scene.until_exact();
    scene.chat(1, USERS);
    scene.until_exact();
    assert!(scene.metric(Role::Consumer, "barrage_consumer_rewinds_total") > before, "nothing was taken back");
    scene.until_well();
}

fn all_of_redis_restarts(scene: &mut Scene) {
    scene.chat(0, USERS);
    scene.cluster.redis.kill_all();
    // Acknowledged while it is down.
    scene.chat(1, 10..15);
    wait(scene.cluster.redis.restart_all()).unwrap();
    scene.until_exact();
    scene.chat(0, USERS);
    scene.until_exact();
    scene.until_well();
}

fn keys_are_evicted(scene: &mut Scene) {
    for of in ["rank", "hist", "applied"] {
        let key = key(10, of);
        send(&scene.cluster, &key, &["DEL", &key]);
        scene.chat(0, 10..12);
        scene.until_exact();
        scene.until_well();
    }
    // Something else in a key's place is no better than nothing.
    for of in ["rank", "hist", "applied"] {
        let key = key(10, of);
        send(&scene.cluster, &key, &["SET", &key, "foreign"]);
        scene.chat(0, 10..12);
        scene.until_exact();
        scene.until_well();
    }
}

fn scripts_are_flushed(scene: &mut Scene) {
    for _ in 0..5 {
        for node in 0..RedisCluster::NODES {
            wait(scene.cluster.redis.ask::<redis::Value>(node, &["SCRIPT", "FLUSH"])).unwrap();
            // A replica has what its master has.
            let _read_only = wait(scene.cluster.redis.ask::<redis::Value>(node, &["FUNCTION", "FLUSH"]));
        }
        scene.chat(0, 10..20);
    }
    assert!(scene.metric(Role::Consumer, "barrage_store_script_reloads_total") > 0.0);
    scene.until_exact();
    scene.until_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_shorter_than_what_is_missing_is_said_and_what_is_left_counts_exactly() {
    let mut scene = Scene::start(ClusterOptions::default()).await;
    block_in_place(|| {
        scene.chat(0, USERS);
        scene.until_exact();
        scene.until_well();
        let all: Vec<_> = scene.api(0).whole_history("demo").unwrap();
        let cut = 1 + all.iter().map(|kept| kept.id.offset).max().unwrap();
        until("what is cut away is safe by all that is known", || {
            let committed = committed(&scene);
            if committed >= i64::try_from(cut).unwrap() { Ok(()) } else { Err(format!("{committed} of {cut}")) }
        });
        wait(delete_below(&scene.cluster, scene.partition, cut / 2));
        let node = master(&scene.cluster, &key(10, "rank"));
        wait(scene.cluster.redis.restart_empty(node)).unwrap();
        wait(scene.cluster.redis.until_settled()).unwrap();
        let mut emptied: BTreeMap<u32, bool> = BTreeMap::new();
        for user in all.iter().map(|kept| kept.user) {
            let is_there = || master(&scene.cluster, &key(user, "rank")) == node;
            emptied.entry(shard_of(user)).or_insert_with(is_there);
        }
        scene.chat(1, USERS);
        until("DataLost is said", || {
            let complaints = scene.complaints(Role::Consumer);
            let said = complaints.iter().any(|one| one.name == "data" && one.detail.starts_with("DataLost"));
            if said { Ok(()) } else { Err(format!("{complaints:?}")) }
        });
        assert!(scene.metric(Role::Consumer, "barrage_consumer_lost_records_total") > 0.0);
        // Lost are the danmaku of the node's slices that the log no longer has, and no others.
        let lost = all.iter().filter(|kept| kept.id.offset < cut / 2);
        let lost = lost.filter(|kept| emptied[&shard_of(kept.user)]);
        let lost: Vec<_> = lost.map(|kept| kept.content.clone()).collect();
        assert!(!lost.is_empty(), "the cut was in vain");
        scene.give_up(&lost);
        scene.until_exact();
    });
}

/// Where the room's partition is read from at the next start.
fn committed(scene: &Scene) -> i64 {
    let mut config = scene.cluster.kafka.client(None);
    let client: BaseConsumer = config.set("group.id", "default.consumers").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(DANMAKU, i32::try_from(scene.partition).unwrap());
    let committed = client.committed_offsets(list, Duration::from_secs(10)).unwrap();
    committed.elements()[0].offset().to_raw().unwrap()
}

/// Deletes what the log has of a partition below an offset.
async fn delete_below(cluster: &Cluster, partition: u32, offset: u64) {
    let admin: AdminClient<DefaultClientContext> = cluster.kafka.client(None).create().unwrap();
    let mut below = TopicPartitionList::new();
    let (partition, offset) = (i32::try_from(partition).unwrap(), Offset::Offset(i64::try_from(offset).unwrap()));
    below.add_partition_offset(DANMAKU, partition, offset).unwrap();
    let deleted = admin.delete_records(&below, &AdminOptions::new()).await.unwrap();
    deleted.elements().iter().for_each(|one| one.error().unwrap());
}

/// The replica of a master, by what they say of each other.
fn replica_of(redis: &RedisCluster, master: usize) -> usize {
    let id: String = wait(redis.ask(master, &["CLUSTER", "MYID"])).unwrap();
    let copies = |node: &usize| {
        let nodes: String = wait(redis.ask(*node, &["CLUSTER", "NODES"])).unwrap_or_default();
        nodes.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
    };
    (0..RedisCluster::NODES).find(copies).expect("each master has a replica")
}
