//! Pools: what is made of them, and what changes when they do.

use barrage_core::room::SPREAD_DEFAULT;
use barrage_crds::RoomPool;
use kube::CustomResourceExt;
use serde_json::json;

use super::served;
use crate::testing::{Fuse, World};

fn template(world: &World, path: &str) -> serde_json::Value {
    world.server.get(path).unwrap()["spec"]["template"].clone()
}

const GATEWAYS: &str = "/apis/apps/v1/namespaces/default/deployments/default-gateway";
const CONSUMERS: &str = "/apis/apps/v1/namespaces/default/statefulsets/default-consumer";

#[tokio::test]
async fn a_pool_becomes_ready_and_then_nothing_is_written() {
    let (world, mut operator) = served().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("True".to_owned(), "Serving".to_owned()));
    for kind in ["Progressing", "Degraded", "Rebalancing"] {
        assert_eq!(world.condition(&pool, kind).0, "False", "{kind}");
    }
    let status = world.server.get(&pool).unwrap()["status"].clone();
    assert_eq!(
        (&status["image"], &status["partitions"], &status["rooms"]),
        (&json!("barrage:1"), &json!(4), &json!(1))
    );
    assert_eq!(status["address"], "http://default-gateway.default.svc");
    assert_eq!(status["consumer"]["ready"], 2);
    for name in ["default-token-keys", "default-link-authority", "default-links"] {
        assert!(world.server.get(&format!("/api/v1/namespaces/default/secrets/{name}")).is_some(), "{name}");
    }
    let epoch = world.broker.table("default").unwrap().epoch;
    world.server.take_log();
    for _ in 0..3 {
        assert_eq!(operator.pass().await, []);
    }
    assert_eq!(world.server.take_log(), [""; 0]);
    assert_eq!(world.broker.table("default").unwrap().epoch, epoch);
}

#[tokio::test]
async fn another_operator_with_another_default_image_writes_nothing() {
    let (world, _) = served().await;
    world.server.take_log();
    let mut newer = world.operator(Fuse::never()).with_image("barrage:2");
    assert_eq!(newer.settle().await, []);
    assert_eq!(world.server.take_log(), [""; 0]);
    world.pool("default", json!({"image": "barrage:2"}));
    newer.settle().await;
    assert_eq!(template(&world, GATEWAYS)["spec"]["containers"][0]["image"], "barrage:2");
    // A spec that names none again keeps what runs.
    world.pool("default", json!({}));
    newer.settle().await;
    assert_eq!(template(&world, GATEWAYS)["spec"]["containers"][0]["image"], "barrage:2");
}

#[tokio::test]
async fn what_somebody_changes_is_put_right_and_what_is_removed_is_made_again() {
    let (world, mut operator) = served().await;
    world
        .server
        .edit(GATEWAYS, |object| object["spec"]["template"]["spec"]["automountServiceAccountToken"] = json!(true));
    let service = "/api/v1/namespaces/default/services/default-ranker";
    world.server.delete(service);
    assert!(world.server.get(service).is_none());
    operator.settle().await;
    assert_eq!(template(&world, GATEWAYS)["spec"]["automountServiceAccountToken"], false);
    assert!(world.server.get(service).is_some());
}

#[tokio::test]
async fn a_field_that_the_spec_no_longer_has_goes() {
    let (world, mut operator) = served().await;
    world.pool("default", json!({"gateway": {"pod": {"nodeSelector": {"pool": "edge"}}}}));
    operator.settle().await;
    assert_eq!(template(&world, GATEWAYS)["spec"]["nodeSelector"]["pool"], "edge");
    world.pool("default", json!({}));
    operator.settle().await;
    assert!(template(&world, GATEWAYS)["spec"]["nodeSelector"]["pool"].is_null());
}

#[tokio::test]
async fn an_ingress_that_is_no_longer_wanted_goes_and_a_foreign_one_stays() {
    let world = World::default();
    world.pool("default", json!({"viewers": {"ingress": {"host": "live.example.org"}}}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/default-gateway";
    let host = || world.server.get(path).map(|ingress| ingress["spec"]["rules"][0]["host"].clone());
    assert_eq!(host(), Some(json!("live.example.org")));
    world.pool("default", json!({}));
    operator.settle().await;
    assert_eq!(host(), None);
    let foreign = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"rules": [{"host": "other"}]},
        "metadata": {"name": "default-gateway", "namespace": "default"}});
    world.server.put(path, foreign);
    world.pool("default", json!({"gateway": {"replicas": 3}}));
    operator.settle().await;
    assert_eq!(host(), Some(json!("other")));
}

#[tokio::test]
async fn consumers_that_shall_go_stay_until_their_work_is_taken_over() {
    let (world, mut operator) = served().await;
    world.broker.set_manual("default", true);
    world.pool("default", json!({"consumer": {"replicas": 1}}));
    operator.settle().await;
    assert_eq!(world.server.get(CONSUMERS).unwrap()["spec"]["replicas"], 2);
    assert_eq!(world.condition(&World::pool_path("default"), "Progressing").0, "True");
    // A long drain is no reason to write.
    world.server.take_log();
    operator.pass().await;
    assert_eq!(world.server.take_log(), [""; 0]);
    world.broker.set_manual("default", false);
    operator.connected().await;
    operator.settle().await;
    assert_eq!(world.server.get(CONSUMERS).unwrap()["spec"]["replicas"], 1);
    let table = world.broker.table("default").unwrap();
    assert!(table.partitions.iter().all(|owner| owner.consumer.as_deref() == Some("default-consumer-0")));
}

#[tokio::test]
async fn a_paused_pool_is_left_alone() {
    let (world, mut operator) = served().await;
    world.pool("default", json!({"paused": true, "gateway": {"replicas": 9}}));
    operator.settle().await;
    assert_eq!(world.server.get(GATEWAYS).unwrap()["spec"]["replicas"], 2);
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Progressing"), ("False".to_owned(), "Paused".to_owned()));
    assert_eq!(world.condition(&pool, "Ready").0, "True");
    world.pool("default", json!({"gateway": {"replicas": 9}}));
    operator.settle().await;
    assert_eq!(world.server.get(GATEWAYS).unwrap()["spec"]["replicas"], 9);
}

#[tokio::test]
async fn who_scales_from_outside_owns_the_number() {
    let world = World::default();
    world.pool("default", json!({"gateway": {"autoscaling": {"engine": "External"}}}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    world.server.edit(GATEWAYS, |object| object["spec"]["replicas"] = json!(7));
    operator.settle().await;
    assert_eq!(world.server.get(GATEWAYS).unwrap()["spec"]["replicas"], 7);
}

#[tokio::test]
async fn a_pool_that_says_no_spread_has_the_one_that_its_reference_names() {
    let (world, _operator) = served().await;
    let table = world.broker.table("default").unwrap();
    assert_eq!((table.partition_count(), table.placement().spread()), (4, SPREAD_DEFAULT));
    let crd = serde_json::to_string(&RoomPool::crd()).unwrap();
    assert!(crd.contains(&format!("Absent: {SPREAD_DEFAULT} for a new pool")), "of spec.kafka.spread");
}
