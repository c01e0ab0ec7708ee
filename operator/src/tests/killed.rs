//! An operator that is killed after any single write, to the API server or to a route table, leaves nothing that the next
//! one does not bring to the same end.

use serde_json::{Value, json};

use crate::testing::{Fuse, World};

/// Something that somebody does to a world.
type Step = fn(&World);

const STORY: [(&str, Step); 5] = [
    ("create", |world| {
        world.pool("default", json!({}));
        world.room("demo", json!({}));
        world.room("show", json!({"placement": "Dedicated"}));
    }),
    ("update", |world| {
        world.pool("default", json!({"image": "barrage:2"}));
        world.room("demo", json!({"rateLimit": {"messagesPerSecond": 3}, "deletionPolicy": "Delete"}));
    }),
    ("grow", |world| {
        world.pool("default", json!({"image": "barrage:2", "consumer": {"replicas": 3}, "gateway": {"replicas": 4}}))
    }),
    ("shrink", |world| {
        world.pool("default", json!({"image": "barrage:2", "consumer": {"replicas": 1}, "ranker": {"replicas": 1}}))
    }),
    ("delete", |world| {
        world.server.delete(&World::room_path("demo"));
        world.server.delete(&World::room_path("show"));
    }),
];

/// The world after the steps before `step`, with nobody in it.
async fn before(step: usize) -> World {
    let world = World::default();
    for (_, act) in &STORY[..step] {
        act(&world);
        world.operator(Fuse::never()).settle().await;
    }
    world
}

/// All that is there, without what is different at every making: keys, times, versions.
fn end(world: &World) -> Vec<String> {
    let objects = world.server.all("/").into_iter().filter(|(path, _)| !path.contains("/events/"));
    let mut all: Vec<_> = objects.map(|(path, object)| format!("{path} {}", comparable(object))).collect();
    all.extend(world.broker.content());
    all
}

fn comparable(mut object: Value) -> Value {
    for field in ["resourceVersion", "generation"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    for field in ["observedGeneration", "routesEpoch", "rooms", "certificateNotAfter"] {
        if let Some(status) = object["status"].as_object_mut() {
            status.remove(field);
        }
    }
    for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = json!(null);
        condition["observedGeneration"] = json!(null);
    }
    for (_, content) in object["data"].as_object_mut().into_iter().flatten() {
        *content = json!("some");
    }
    if object["kind"] == "Secret" {
        object["metadata"]["annotations"] = json!(null);
    }
    strip_uids(&mut object);
    object
}

/// Who is made in which order depends on who was killed when.
fn strip_uids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["uid", "creationTimestamp", "barrage.live/applied"].contains(&name.as_str()));
            fields.values_mut().for_each(strip_uids);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_uids),
        _ => {}
    }
}

async fn converges(step: usize) {
    let (name, act) = STORY[step];
    let undisturbed = before(step).await;
    act(&undisturbed);
    let mut operator = undisturbed.operator(Fuse::never());
    operator.settle().await;
    let (wanted, writes) = (end(&undisturbed), operator.fuse.written());
    assert!(writes > 1, "{name} writes something");
    for killed_after in 0..=writes {
        let world = before(step).await;
        act(&world);
        let mut first = world.operator(Fuse::after(killed_after));
        first.settle().await;
        drop(first);
        world.operator(Fuse::never()).settle().await;
        let found = end(&world);
        let differing: Vec<_> = found.iter().filter(|line| !wanted.contains(line)).collect();
        let missing: Vec<_> = wanted.iter().filter(|line| !found.contains(line)).collect();
        assert!(
            differing.is_empty() && missing.is_empty(),
            "{name}, killed after {killed_after}:\n{differing:#?}\ninstead of\n{missing:#?}"
        );
    }
}

#[tokio::test]
async fn while_creating() {
    converges(0).await;
}

#[tokio::test]
async fn while_updating() {
    converges(1).await;
}

#[tokio::test]
async fn while_growing() {
    converges(2).await;
}

#[tokio::test]
async fn while_shrinking() {
    converges(3).await;
}

#[tokio::test]
async fn while_deleting() {
    converges(4).await;
}
