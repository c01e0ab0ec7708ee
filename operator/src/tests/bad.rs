//! What is wrong is named with what to do about it, disturbs nobody else, and mends itself.

use barrage_core::link::quic::authority::Authority;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::served;
use crate::{
    problem::{Problem, Reason},
    testing::{Fuse, World},
};

#[tokio::test]
async fn a_stored_object_that_is_not_understood_holds_nobody_up() {
    let world = World::default();
    for (kind, path) in [("LiveRoom", World::room_path("odd")), ("RoomPool", World::pool_path("odd"))] {
        world.server.put(
            &path,
            json!({
                "apiVersion": "barrage.live/v1alpha1", "kind": kind,
                "metadata": {"name": "odd", "namespace": "default"}, "spec": {"priority": "high", "kafka": 5},
            }),
        );
    }
    world.pool("default", json!({}));
    world.room("demo", json!({}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    assert_eq!(world.condition(&World::room_path("demo"), "Ready").0, "True");
    for path in [World::room_path("odd"), World::pool_path("odd")] {
        assert_eq!(world.condition(&path, "Ready"), ("False".to_owned(), "Invalid".to_owned()));
        assert!(world.message(&path, "Ready").contains("nvalid type"), "{}", world.message(&path, "Ready"));
    }
}

#[tokio::test]
async fn a_room_without_a_pool_waits_for_it() {
    let world = World::default();
    world.room("demo", json!({"poolRef": {"name": "late"}}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let demo = World::room_path("demo");
    assert_eq!(world.condition(&demo, "Ready"), ("False".to_owned(), "PoolMissing".to_owned()));
    assert!(world.message(&demo, "Ready").contains("default/late"));
    world.pool("late", json!({}));
    operator.settle().await;
    assert_eq!(world.condition(&demo, "Ready").0, "True");
}

#[tokio::test]
async fn of_two_rooms_with_one_id_the_older_has_it_until_it_is_gone() {
    let (world, mut operator) = served().await;
    world.room("copy", json!({"roomId": "demo", "history": {"length": 7}}));
    operator.settle().await;
    let copy = World::room_path("copy");
    assert_eq!(world.condition(&copy, "Ready"), ("False".to_owned(), "Conflict".to_owned()));
    assert!(world.message(&copy, "Ready").contains("default/demo"));
    let served =
        |world: &World| world.broker.table("default").unwrap().rooms.find("demo").map(|room| room.history_length);
    assert_eq!(served(&world), Some(10_000));
    // The younger one goes without taking the older one's entry along.
    world.server.delete(&copy);
    operator.settle().await;
    assert_eq!(served(&world), Some(10_000));
    world.room("copy", json!({"roomId": "demo", "history": {"length": 7}}));
    operator.settle().await;
    world.server.delete(&World::room_path("demo"));
    operator.settle().await;
    assert_eq!((served(&world), world.condition(&copy, "Ready").0), (Some(7), "True".to_owned()));
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named_and_its_coming_is_noticed() {
    let world = World::default();
    let sasl = json!({"username": "barrage", "password": {"secret": "kafka-user", "key": "password"}});
    world.pool("default", json!({"kafka": {"brokers": ["kafka:9092"], "partitions": 4, "sasl": sasl}}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("False".to_owned(), "SecretMissing".to_owned()));
    assert!(world.message(&pool, "Ready").contains("kubectl -n default create secret generic kafka-user"));
    let secret = "/api/v1/namespaces/default/secrets/kafka-user";
    let with = |data: serde_json::Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kafka-user", "namespace": "default"}, "data": data});
    world.server.put(secret, with(json!({"wrong": STANDARD.encode("x")})));
    operator.settle().await;
    assert!(world.message(&pool, "Ready").contains("no key password"));
    world.server.put(secret, with(json!({"password": STANDARD.encode("two\nlines")})));
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Ready").1, "SecretInvalid");
    world.server.put(secret, with(json!({"password": STANDARD.encode("hush\n")})));
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Ready").0, "True");
    // What runs is not stopped when it goes again.
    world.server.delete(secret);
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Ready").0, "True");
    assert_eq!(world.condition(&pool, "Degraded"), ("True".to_owned(), "SecretMissing".to_owned()));
}

/// A Secret of type `kubernetes.io/tls` whose certificate was made so many days ago, and ends after thirty.
fn tls(name: &str, days_ago: i64) -> serde_json::Value {
    let made = OffsetDateTime::now_utc() - Duration::days(days_ago);
    let (authority, _) = Authority::make(made, 30).unwrap();
    let leaf = authority.issue(made, 30).unwrap();
    let data = json!({"tls.crt": STANDARD.encode(leaf.certificate), "tls.key": STANDARD.encode(leaf.key)});
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "default"}, "data": data,
    })
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_named_until_there_is_a_new_one() {
    let world = World::default();
    let kafka = json!({"brokers": ["kafka:9092"], "partitions": 4, "tls": {"certificateSecret": "kafka-client"}});
    let service = json!({"host": "wt.example.org", "tlsSecret": "live-tls"});
    let viewers = json!({"service": service, "ingress": {"host": "live.example.org", "tlsSecret": "live-tls"}});
    world.pool("default", json!({"kafka": kafka, "viewers": viewers}));
    let (client, ingress) =
        ("/api/v1/namespaces/default/secrets/kafka-client", "/api/v1/namespaces/default/secrets/live-tls");
    world.server.put(client, tls("kafka-client", 31));
    world.server.put(ingress, tls("live-tls", 31));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("False".to_owned(), "CertificateExpired".to_owned()));
    assert!(world.message(&pool, "Ready").contains("kafka-client has expired: put a new one there"));
    world.server.put(client, tls("kafka-client", 1));
    operator.settle().await;
    // What browsers are shown keeps nobody inside from working.
    assert_eq!(world.condition(&pool, "Ready").0, "True");
    assert_eq!(world.condition(&pool, "Degraded"), ("True".to_owned(), "CertificateExpired".to_owned()));
    assert!(world.message(&pool, "Degraded").contains("live-tls has expired"));
    world.server.put(ingress, tls("live-tls", 1));
    world.room("demo", json!({}));
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Degraded").0, "False");
    let endpoints = world.server.get(&World::room_path("demo")).unwrap()["status"]["endpoints"].clone();
    assert_eq!(endpoints["webSocket"], "wss://live.example.org/v1/rooms/demo/ws");
    // An Ingress passes on no UDP, so that goes to the Service.
    assert_eq!(endpoints["webTransport"], "https://wt.example.org/v1/rooms/demo/wt");
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_named_until_it_does() {
    let world = World::default();
    world.broker.set_down(Some(Problem::new(Reason::KafkaUnreachable, "no broker answers at kafka:9092")));
    world.pool("default", json!({}));
    world.room("demo", json!({}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let (pool, demo) = (World::pool_path("default"), World::room_path("demo"));
    assert_eq!(world.condition(&pool, "Degraded"), ("True".to_owned(), "KafkaUnreachable".to_owned()));
    assert_eq!(world.condition(&demo, "Ready"), ("False".to_owned(), "PoolNotReady".to_owned()));
    assert!(world.message(&demo, "Ready").contains("kafka:9092"));
    world.broker.set_down(None);
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    operator.settle().await;
    assert_eq!((world.condition(&pool, "Ready").0, world.condition(&demo, "Ready").0), ("True".into(), "True".into()));
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named_until_it_can() {
    let world = World::default();
    world.pool("default", json!({"image": "barrage:no-such"}));
    let mut operator = world.operator(Fuse::never());
    operator.pass().await;
    let pod = "/api/v1/namespaces/default/pods/default-gateway-x";
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let container = json!({
        "name": "gateway", "image": "barrage:no-such", "imageID": "", "ready": false, "restartCount": 0, "state": waiting,
    });
    world.server.put(
        pod,
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "default-gateway-x", "namespace": "default"},
            "status": {"containerStatuses": [container]},
        }),
    );
    operator.pass().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("False".to_owned(), "ImagePull".to_owned()));
    assert!(world.message(&pool, "Ready").contains("barrage:no-such"), "{}", world.message(&pool, "Ready"));
    let events = world.server.all("/events.k8s.io/");
    let is_named = |event: &serde_json::Value| event["reason"] == "ImagePull" && event["type"] == "Warning";
    assert!(events.iter().any(|(_, event)| is_named(event)), "{events:?}");
    world.server.delete(pod);
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Ready").0, "True");
}

#[tokio::test]
async fn two_pools_of_one_id_at_one_kafka_do_not_share_topics() {
    let (world, mut operator) = served().await;
    world.pool("second", json!({"poolId": "default"}));
    operator.settle().await;
    let second = World::pool_path("second");
    assert_eq!(world.condition(&second, "Ready"), ("False".to_owned(), "Conflict".to_owned()));
    assert!(world.message(&second, "Ready").contains("default/default"));
    assert_eq!(world.condition(&World::pool_path("default"), "Ready").0, "True");
}

#[tokio::test]
async fn what_somebody_else_made_is_not_taken() {
    let world = World::default();
    let service = "/api/v1/namespaces/default/services/default-gateway";
    world.server.put(
        service,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "default-gateway", "namespace": "default"}, "spec": {}}),
    );
    world.pool("default", json!({}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("False".to_owned(), "Conflict".to_owned()));
    assert!(world.message(&pool, "Ready").contains("Service default-gateway"));
    assert!(world.server.get(service).unwrap()["metadata"]["ownerReferences"].is_null());
}

#[tokio::test]
async fn a_namespace_without_permission_says_what_to_give() {
    let world = World::default();
    world.server.refuse("/secrets/");
    world.pool("default", json!({}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let pool = World::pool_path("default");
    assert_eq!(world.condition(&pool, "Ready"), ("False".to_owned(), "Forbidden".to_owned()));
    assert!(world.message(&pool, "Ready").contains("Role"), "{}", world.message(&pool, "Ready"));
}

#[tokio::test]
async fn a_pool_keeps_the_spread_that_it_was_made_with_and_says_where_the_spec_is_otherwise() {
    let world = World::default();
    let kafka = |spread: u32| json!({"brokers": ["kafka:9092"], "partitions": 4, "spread": spread});
    world.pool("default", json!({"kafka": kafka(2)}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    let (pool, made) = (World::pool_path("default"), world.broker.table("default").unwrap().placement());
    let spread = |world: &World| world.server.get(&pool).unwrap()["status"]["spread"].as_i64();
    assert_eq!((made.spread(), spread(&world)), (2, Some(2)));
    // An API server would refuse it, unless the field was absent before.
    world.pool("default", json!({"kafka": kafka(3)}));
    operator.settle().await;
    assert_eq!(world.broker.table("default").unwrap().placement(), made);
    assert_eq!(world.condition(&pool, "Degraded"), ("True".to_owned(), "Conflict".to_owned()));
    assert!(world.message(&pool, "Degraded").contains("is 3, but the pool was made with 2"));
    assert_eq!((world.condition(&pool, "Ready").0.as_str(), spread(&world)), ("True", Some(2)));
    world.pool("default", json!({}));
    operator.settle().await;
    assert_eq!(world.condition(&pool, "Degraded").0, "False");
    assert_eq!(world.broker.table("default").unwrap().placement(), made, "absent is as it was made");
}

#[tokio::test]
async fn more_spread_than_partitions_is_refused() {
    let world = World::default();
    world.pool("default", json!({"kafka": {"brokers": ["kafka:9092"], "partitions": 4, "spread": 5}}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    assert_eq!(world.condition(&World::pool_path("default"), "Degraded"), ("True".to_owned(), "Invalid".to_owned()));
    assert!(world.broker.table("default").is_none());
}
