//! Redis nodes: a failover, loss of data, cuts, and secured ones.

use std::time::Duration;

use barrage_e2e::cluster::{Condition, RedisCluster, RedisOptions, Run};
use redis::{AsyncCommands, cluster_async::ClusterConnection};

use crate::until;

const ANSWER_WITHIN: Duration = Duration::from_secs(1);

async fn connect(redis: &RedisCluster) -> ClusterConnection {
    let client = redis.client().retries(1).connection_timeout(ANSWER_WITHIN).response_timeout(ANSWER_WITHIN);
    client.build().unwrap().get_async_connection().await.unwrap()
}

/// The slot of a key, and its master.
async fn owner(redis: &RedisCluster, key: &str) -> (u16, usize) {
    let slot = redis.ask(0, &["CLUSTER", "KEYSLOT", key]).await.unwrap();
    (slot, redis.master_of(slot).await.unwrap())
}

/// Reads until the cluster answers again.
async fn get(connection: &mut ClusterConnection, key: &str) -> Option<String> {
    let mut found = None;
    until("an answer from Redis", async || match connection.get(key).await {
        Ok(value) => {
            found = value;
            true
        }
        Err(_) => false,
    })
    .await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_survives_a_failover_and_a_restart_of_all() {
    let run = Run::start().unwrap();
    let mut redis = RedisCluster::start(&run, &RedisOptions::default()).await.unwrap();
    let mut connection = connect(&redis).await;
    let () = connection.set("a", "1").await.unwrap();
    let (slot, old) = owner(&redis, "a").await;

    redis.daemon(old).kill9();
    let new = redis.until_master_is_not(slot, old).await.unwrap();
    assert_eq!(get(&mut connection, "a").await.as_deref(), Some("1"));
    redis.restart(old).await.unwrap();
    redis.until_settled().await.unwrap();
    assert_eq!(redis.failover(slot).await.unwrap(), old, "the only replica of {new}");

    redis.daemon(old).pause().unwrap();
    assert_eq!(redis.until_master_is_not(slot, old).await.unwrap(), new);
    redis.daemon(old).resume().unwrap();
    redis.until_settled().await.unwrap();
    redis.kill_all();
    redis.restart_all().await.unwrap();
    assert_eq!(get(&mut connect(&redis).await, "a").await.as_deref(), Some("1"), "from the append-only file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_comes_back_empty_in_time_has_lost_its_data() {
    let run = Run::start().unwrap();
    let mut redis = RedisCluster::start(&run, &RedisOptions::default()).await.unwrap();
    let mut connection = connect(&redis).await;
    let () = connection.set("a", "1").await.unwrap();
    let (slot, master) = owner(&redis, "a").await;
    // Its replica does not stand for election while it is stopped: the node timeout would be short for a busy machine.
    redis.daemon(master + 3).pause().unwrap();
    redis.restart_empty(master).await.unwrap();
    redis.daemon(master + 3).resume().unwrap();
    redis.until_settled().await.unwrap();
    assert_eq!(redis.master_of(slot).await, Some(master));
    assert_eq!(get(&mut connection, "a").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_answers_again_when_it_is_mended() {
    let run = Run::start().unwrap();
    let redis = RedisCluster::start(&run, &RedisOptions::default()).await.unwrap();
    let mut connection = connect(&redis).await;
    let () = connection.set("a", "1").await.unwrap();
    let (slot, master) = owner(&redis, "a").await;
    redis.wire(master).unwrap().set(Condition::Cut);
    assert!(connection.get::<_, Option<String>>("a").await.is_err());
    assert_eq!(redis.master_of(slot).await, Some(master), "the nodes see each other");
    redis.wire(master).unwrap().set(Condition::Whole);
    assert_eq!(get(&mut connection, "a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secured_nodes_want_tls_and_the_user_and_settings_can_be_made_wrong() {
    let run = Run::start().unwrap();
    let extra = vec![("maxmemory-policy".to_owned(), "allkeys-lru".to_owned())];
    let options = RedisOptions { secured: true, extra, ..RedisOptions::default() };
    let redis = RedisCluster::start(&run, &options).await.unwrap();
    let mut connection = connect(&redis).await;
    let () = connection.set("a", "1").await.unwrap();
    assert_eq!(get(&mut connection, "a").await.as_deref(), Some("1"));
    let policy: Vec<String> = redis.ask(0, &["CONFIG", "GET", "maxmemory-policy"]).await.unwrap();
    assert_eq!(policy, ["maxmemory-policy", "allkeys-lru"]);
    let wrong = redis.client().password("wrong").retries(0).build().unwrap();
    assert!(wrong.get_async_connection().await.is_err());
    let plain = redis::Client::open(format!("redis://{}", redis.addresses()[0])).unwrap();
    assert!(plain.get_multiplexed_async_connection().await.is_err());
}
