//! What cannot be meant is refused by the API server, with what to do.

use crate::scene::{Scene, scene};

fn room(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    )
}

/// Applies something that has to be refused; what was said.
fn refusal(scene: &Scene, manifest: &str) -> String {
    match scene.cluster.apply(manifest) {
        Ok(said) => panic!("taken: {said}\n{manifest}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_rule_says_what_to_do() {
    let scene = scene();
    scene.cluster.apply_file("crds/examples/room.yaml").unwrap();
    scene.apply(&room("ruled", "{roomId: ruled-id}"));
    for (manifest, message) in [
        (room("ruled", "{roomId: other}"), "spec.roomId is immutable"),
        (room("a.dotted.name", "{}"), "this name cannot be one: set spec.roomId"),
        (room("long", "{roomId: Not_An_ID}"), "spec.roomId"),
        (room("fast", "{rateLimit: {messagesPerSecond: 0}}"), "spec.rateLimit.messagesPerSecond"),
        (room("greedy", "{viewerBudget: {danmakuPerSecond: 10001}}"), "spec.viewerBudget.danmakuPerSecond"),
        (room("misspelt", "{viewerbudget: {}}"), "viewerbudget"),
    ] {
        let said = refusal(&scene, &manifest);
        assert!(said.contains(message), "{manifest}\n{said}");
    }
    scene.cluster.kubectl(&["delete", "liveroom", "ruled", "demo"]).unwrap();
}
