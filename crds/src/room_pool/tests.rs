//! A pool of few lines is whole, and serde fills in what an API server fills in.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::*;

fn least() -> RoomPoolSpec {
    serde_json::from_value(json!({"kafka": {"brokers": ["kafka:9092"]}, "redis": {"nodes": ["redis:6379"]}})).unwrap()
}

#[test]
fn brokers_and_nodes_are_all_that_has_to_be_said() {
    let spec = least();
    assert_eq!(spec.kafka.spread, None, "the operator's, as of when the pool is made");
    assert_eq!((spec.kafka.partitions, spec.gateway.replicas, spec.rooms_from), (12, 2, RoomsFrom::Same));
    assert!(serde_json::from_value::<RoomPoolSpec>(json!({"kafka": {"brokers": ["kafka:9092"]}})).is_err());
}

#[test]
fn an_api_server_fills_in_the_same_defaults_as_serde() {
    let crd = serde_json::to_value(RoomPool::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut sent = json!({"kafka": {"brokers": ["kafka:9092"]}, "redis": {"nodes": ["redis:6379"]}});
    fill_in(&mut sent, schema);
    assert_eq!(sent, serde_json::to_value(least()).unwrap());
}

/// What an API server does with defaults: fields first, then what is in them.
fn fill_in(value: &mut Value, schema: &Value) {
    let Some(object) = value.as_object_mut() else { return };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(default) = field.get("default") {
            object.entry(name).or_insert_with(|| default.clone());
        }
        if let Some(value) = object.get_mut(name) {
            fill_in(value, field);
        }
    }
}

#[test]
fn the_pool_id_is_the_declared_one_else_the_name() {
    let mut pool = RoomPool::new("default", least());
    assert_eq!(pool.pool_id(), "default");
    pool.spec.pool_id = Some("blue".to_owned());
    assert_eq!(pool.pool_id(), "blue");
}
