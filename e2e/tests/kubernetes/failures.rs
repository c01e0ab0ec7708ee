//! Pods, nodes and images fail: conditions say so, and all is well by itself once it is mended.

use std::time::Duration;

use barrage_e2e::client::Event;

use crate::{
    load::Running,
    scene::{NAMES, NAMESPACE, POOL_LABEL, ROLE_LABEL, SPARE_NODE, debug, scene},
};

/// What a danmaku may take while work is changing hands.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[test]
fn an_image_that_is_not_there_is_named_and_serves_on_meanwhile() {
    let scene = scene();
    scene.settle();
    let object = ["-n", NAMESPACE, "roompool", "default"];
    scene.patch_pool(r#"{"spec":{"image":"ghcr.io/barrage-live/barrage:absent"}}"#);
    let message = scene.condition(&object, "Degraded", "True", "ImagePull");
    assert!(message.contains("barrage:absent"), "{message}");
    // Those that run go on.
    let mut viewer = scene.join("demo", 1);
    let seq = viewer.say("hello").unwrap();
    viewer.wait_fate(seq, crate::PATIENCE).unwrap();
    // Without any it keeps what it was last given.
    scene.patch_pool(&format!(r#"{{"spec":{{"image":"{}"}}}}"#, NAMES.barrage));
    scene.condition(&object, "Degraded", "False", "");
    scene.condition(&object, "Progressing", "False", "");
    scene.settle();
}

#[test]
fn a_drained_node_hands_over_in_order() {
    let scene = scene();
    scene.settle();
    scene.use_spare_node();
    let load = Running::start(&scene, "demo");
    let drain = ["drain", SPARE_NODE, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"];
    scene.cluster.kubectl(&drain).unwrap();
    scene.serves();
    load.goes_on(&scene, 100);
    scene.cluster.kubectl(&["uncordon", SPARE_NODE]).unwrap();
    let report = load.end();
    eprintln!("connections ended: {:?}", report.ended);
    assert_eq!(report.lost, Some(0), "{report:?}");
}

#[test]
fn a_budget_lets_one_pod_of_a_role_go_at_a_time() {
    let scene = scene();
    scene.settle();
    let selector = format!("{POOL_LABEL}=default,{ROLE_LABEL}=consumer");
    let before = scene.pods(&selector);
    let evict = |pod: &str| {
        let eviction = format!(
            r#"{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{pod}","namespace":"{NAMESPACE}"}}}}"#
        );
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
        scene.cluster.create_raw(&path, &eviction)
    };
    evict(&before[0].0).unwrap();
    let refused = evict(&before[1].0).unwrap_err().to_string();
    assert!(refused.contains("disruption budget"), "{refused}");
    scene.until("the consumer is back under its name", |_| {
        let now = scene.pods(&selector);
        let same = now.iter().map(|(name, _)| name).eq(before.iter().map(|(name, _)| name));
        if same && now != before { Ok(()) } else { Err(debug(now)) }
    });
    scene.settle();
}

#[test]
fn a_dead_node_is_named_and_the_others_take_its_work() {
    let scene = scene();
    scene.settle();
    scene.use_spare_node();
    let object = ["-n", NAMESPACE, "roompool", "default"];
    scene.cluster.stop_node(SPARE_NODE).unwrap();
    let message = scene.condition(&object, "Degraded", "True", "NodeSilent");
    assert!(message.contains("kubectl delete node node2"), "{message}");
    let event = scene.get(&["events", "--field-selector", "reason=NodeSilent,involvedObject.name=default"]);
    assert!(!event["items"].as_array().unwrap().is_empty(), "{event}");
    // The gateway, the consumer and the ranker that are left do all of it.
    scene.condition(&object, "Ready", "True", "");
    scene.until("what is said is shown again", |_| {
        let mut viewer = scene.join("demo", 1);
        let seq = viewer.say("hello").map_err(debug)?;
        viewer.wait_fate(seq, LOOK_AGAIN).map_err(debug)?;
        viewer
            .wait_for("the danmaku", LOOK_AGAIN, |event| matches!(event, Event::Batch(..)).then_some(()))
            .map_err(debug)
    });
    scene.cluster.start_node(SPARE_NODE).unwrap();
    scene.condition(&object, "Degraded", "False", "");
    scene.condition(&object, "Progressing", "False", "");
    scene.settle();
}
