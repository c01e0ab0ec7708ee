//! Pods, nodes and images fail: conditions say so, and all is well by itself once it is mended.

use crate::{
    load::Running,
    scene::{NAMES, NAMESPACE, POOL_LABEL, ROLE_LABEL, debug, scene},
};

#[test]
fn an_image_that_is_not_there_is_named_and_serves_on_meanwhile() {
    let scene = scene();
    scene.settle();
    let object = ["-n", NAMESPACE, "roompool", "default"];
    scene.kubectl(&[
        "patch",
        "roompool",
        "default",
        "--type=merge",
        "-p",
        r#"{"spec":{"image":"ghcr.io/barrage-live/barrage:absent"}}"#,
    ]);
    let message = scene.condition(&object, "Degraded", "True", "ImagePull");
    assert!(message.contains("barrage:absent"), "{message}");
    // Those that run go on.
    let mut viewer = scene.join("demo", 1);
    let seq = viewer.say("hello").unwrap();
    viewer.wait_fate(seq, crate::PATIENCE).unwrap();
    // Without any it keeps what it was last given.
    let right = format!(r#"{{"spec":{{"image":"{}"}}}}"#, NAMES.barrage);
    scene.kubectl(&["patch", "roompool", "default", "--type=merge", "-p", &right]);
    scene.condition(&object, "Degraded", "False", "");
    scene.condition(&object, "Progressing", "False", "");
    scene.settle();
}

#[test]
fn a_drained_node_hands_over_in_order() {
    let scene = scene();
    scene.settle();
    let load = Running::start(&scene, "demo");
    // Kafka and Redis of `dev.enabled` keep nothing when they move: the other node is drained.
    let pods = scene.get(&["pods"]);
    let has_servers = |node: &str| {
        pods["items"].as_array().unwrap().iter().any(|pod| {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            name.starts_with("barrage-dev-") && pod["spec"]["nodeName"] == node
        })
    };
    let Some(node) = ["node2", "node1"].into_iter().find(|node| !has_servers(node)) else {
        panic!("Kafka and Redis are on both nodes: pin them to one");
    };
    scene.cluster.kubectl(&["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s"]).unwrap();
    scene.settle();
    load.goes_on(&scene, 100);
    scene.cluster.kubectl(&["uncordon", node]).unwrap();
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
