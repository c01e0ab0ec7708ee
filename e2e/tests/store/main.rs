//! The store on a real Redis Cluster: each danmaku counts once, whatever is called twice, at once, late or again after a
//! node was killed, replaced, emptied, flushed of its scripts or given other slots.

mod calls;
mod consumer;
mod faults;
mod features;
mod limit;
mod nodes;

use std::sync::Arc;

use barrage_cluster::store::{Metrics, RedisConfig, RedisStore, RedisTls};
use barrage_core::store::{Store, StoreError};
use prometheus_client::registry::Registry;

use self::nodes::Nodes;

/// What a test is about: a cluster, and a store on it whose markers are laid.
async fn cluster() -> (Nodes, Store) {
    let nodes = Nodes::start();
    let store = connect(&nodes).await;
    store.lay_markers().await.unwrap();
    (nodes, Arc::new(store))
}

async fn connect(nodes: &Nodes) -> RedisStore {
    RedisStore::connect(config(nodes), Metrics::register(&mut Registry::default())).await.unwrap()
}

fn config(nodes: &Nodes) -> RedisConfig {
    RedisConfig { nodes: nodes.addresses(), pool: "default".into(), ..RedisConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_and_logs_in_with_an_acl_user() {
    let nodes = Nodes::start_with(true, "");
    let secured = RedisConfig {
        tls: Some(RedisTls { ca: Some(nodes.ca()) }),
        username: Some(nodes::USER.into()),
        password: Some(nodes::PASSWORD.into()),
        ..config(&nodes)
    };
    let store = RedisStore::connect(secured.clone(), Metrics::register(&mut Registry::default())).await.unwrap();
    store.lay_markers().await.unwrap();
    let (store, log): (Store, _) = (Arc::new(store), consumer::log(300));
    consumer::Consumer::new(&store, &log, std::time::Duration::ZERO).run().await;
    consumer::assert_exact(&store, &log).await;
    for wrong in [
        RedisConfig { password: Some("guessed".into()), ..secured.clone() },
        RedisConfig { tls: None, ..secured.clone() },
        RedisConfig { tls: Some(RedisTls::default()), ..secured },
    ] {
        let refused = RedisStore::connect(wrong, Metrics::register(&mut Registry::default())).await.err();
        assert!(matches!(refused, Some(StoreError::Storage { .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_may_evict_or_forget_is_named_with_its_setting() {
    let nodes = Nodes::start();
    for (setting, bad, good) in [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")] {
        for node in [1, 4] {
            nodes.cli(node, &["CONFIG", "SET", setting, bad]);
            let refused = RedisStore::connect(config(&nodes), Metrics::register(&mut Registry::default())).await.err();
            let said = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(&nodes.addresses()[node]) && said.contains(setting) && said.contains(bad), "{said}");
            nodes.cli(node, &["CONFIG", "SET", setting, good]);
        }
    }
    assert!(RedisStore::connect(config(&nodes), Metrics::register(&mut Registry::default())).await.is_ok());
}

#[tokio::test]
async fn it_does_not_come_up_without_redis_and_says_why() {
    let config = RedisConfig { nodes: vec!["127.0.0.1:1".into()], pool: "default".into(), ..RedisConfig::default() };
    let refused = RedisStore::connect(config, Metrics::register(&mut Registry::default())).await.err();
    assert!(refused.unwrap().to_string().contains("127.0.0.1:1"));
}
