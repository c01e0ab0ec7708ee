//! An operator that is killed after every single write comes to the same end as one that is left alone.

use barrage_e2e::kubernetes::Kubernetes;
use serde_json::{Value, json};

use crate::{
    cutter::Cutter,
    scene::{NAMESPACE, OPERATOR, Scene, debug, scene},
};

/// What a pool is made of.
const PARTS: &str = "serviceaccounts,networkpolicies,poddisruptionbudgets,services,secrets,deployments,statefulsets";

/// A pool of one pod each and a room in it, with these replicas of consumers and danmaku a second.
fn pool_and_room(name: &str, consumers: u32, rate: u32) -> String {
    format!(
        r#"
apiVersion: barrage.live/v1alpha1
kind: RoomPool
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  kafka: {{brokers: ["barrage-dev-kafka.{NAMESPACE}.svc:9092"], partitions: 4, trial: true}}
  redis: {{nodes: ["barrage-dev-redis.{NAMESPACE}.svc:6379"], trial: true}}
  gateway: {{replicas: 1}}
  consumer: {{replicas: {consumers}}}
  ranker: {{replicas: 1}}
---
apiVersion: barrage.live/v1alpha1
kind: LiveRoom
metadata: {{name: in-{name}, namespace: {NAMESPACE}}}
spec:
  poolRef: {{name: {name}}}
  rateLimit: {{messagesPerSecond: {rate}}}
  deletionPolicy: Delete
"#
    )
}

/// Whether pool and room are ready as their specs are now.
fn are_ready(cluster: &Kubernetes, name: &str) -> Result<(), String> {
    for object in [["roompool", name], ["liveroom", &format!("in-{name}")]] {
        let found = cluster.get(&[&["-n", NAMESPACE], object.as_slice()].concat()).map_err(debug)?;
        let (status, generation) = (&found["status"], &found["metadata"]["generation"]);
        let of = |kind: &str| {
            let conditions = status["conditions"].as_array();
            let one = conditions.into_iter().flatten().find(|one| one["type"] == kind);
            one.map_or(Value::Null, |one| one["status"].clone())
        };
        let is_done =
            status["observedGeneration"] == *generation && of("Ready") == "True" && of("Progressing") != "True";
        if !is_done {
            return Err(format!("{object:?} is {status}"));
        }
    }
    Ok(())
}

/// All that was made of a pool, without what is another's at every making.
fn parts(scene: &Scene, name: &str) -> Vec<Value> {
    let selector = format!("app.kubernetes.io/managed-by=barrage-operator,app.kubernetes.io/instance={name}");
    let found = scene.get(&[PARTS, "-l", &selector]);
    let parts = found["items"].as_array().into_iter().flatten();
    parts.map(|part| comparable(part, name)).collect()
}

fn comparable(part: &Value, name: &str) -> Value {
    let mut spec = part["spec"].clone();
    for drawn in ["clusterIP", "clusterIPs"] {
        if let Some(spec) = spec.as_object_mut() {
            spec.remove(drawn);
        }
    }
    let keys: Vec<_> = part["data"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
    let metadata = &part["metadata"];
    let part = json!({
        "kind": part["kind"], "name": metadata["name"], "labels": metadata["labels"], "spec": spec, "data": keys,
        "owner": metadata["ownerReferences"][0]["name"],
    });
    serde_json::from_str(&part.to_string().replace(name, "POOL")).unwrap()
}

#[test]
fn an_operator_that_is_killed_after_every_write_comes_to_the_same_end() {
    let scene = scene();
    scene.settle();
    scene.kubectl(&["scale", OPERATOR, "--replicas=0"]);
    scene.until("the operators are gone", |cluster| {
        let pods = cluster.get(&["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/component=operator"]);
        if pods.map_err(debug)?["items"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(String::new()) }
    });
    let mut cutter = Cutter::new(&scene);
    let mut cut = Vec::new();
    for (what, consumers, rate) in [("create", 1, 10), ("update", 1, 5), ("grow", 2, 5), ("shrink", 1, 5)] {
        scene.apply(&pool_and_room("severed", consumers, rate));
        let writes = cutter.run(&scene, what, |cluster| are_ready(cluster, "severed"));
        eprintln!("{what}: killed {} times, after {writes:#?}", writes.len());
        assert!(!writes.is_empty(), "{what}");
        cut.push(parts(&scene, "severed"));
    }
    scene.kubectl(&["delete", "liveroom", "in-severed", "--wait=false"]);
    let writes =
        cutter.run(&scene, "delete", |cluster| match cluster.get(&["-n", NAMESPACE, "liveroom", "in-severed"]) {
            Ok(room) => Err(room.to_string()),
            Err(_) => Ok(()),
        });
    assert!(!writes.is_empty());
    cutter.tidy(&scene);
    drop(cutter);
    // The same with nobody killed, of another name.
    scene.kubectl(&["scale", OPERATOR, "--replicas=2"]);
    scene.kubectl(&["rollout", "status", OPERATOR, "--timeout=120s"]);
    for ((consumers, rate), cut) in [(1, 10), (1, 5), (2, 5), (1, 5)].into_iter().zip(cut) {
        scene.apply(&pool_and_room("unharmed", consumers, rate));
        scene.until("the pool is ready", |cluster| are_ready(cluster, "unharmed"));
        assert_eq!(cut, parts(&scene, "unharmed"));
    }
    scene.kubectl(&["delete", "liveroom/in-unharmed", "roompool/severed", "roompool/unharmed"]);
    scene.settle();
}
