//! Kafka and Redis of `dev.enabled`, and the image, as pods.

use crate::scene::{NAMES, NAMESPACE, Scene, scene};

/// A pod that runs one command of the image, with the rights that the chart's pods have.
fn pod(name: &str, arguments: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  restartPolicy: Never
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: command
    image: {image}
    args: [{arguments}]
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {{drop: [ALL]}}
"#,
        image = NAMES.barrage
    )
}

/// Runs it; whether it succeeded, and what it said.
fn run(scene: &Scene, name: &str, arguments: &str) -> (bool, String) {
    scene.apply(&pod(name, arguments));
    let ended = scene.ended(name);
    scene.kubectl(&["delete", "pod", name]);
    ended
}

fn are_ready(scene: &Scene) {
    for server in ["statefulset/barrage-dev-kafka", "statefulset/barrage-dev-redis"] {
        scene.kubectl(&["rollout", "status", server, "--timeout=120s"]);
    }
}

#[test]
fn a_restarted_container_of_theirs_has_what_it_had() {
    let scene = scene();
    are_ready(&scene);
    let redis = |arguments: &[&str]| scene.kubectl(&[&["exec", "barrage-dev-redis-0", "--"], arguments].concat());
    redis(&["redis-cli", "set", "kept", "yes"]);
    let restarts = |scene: &Scene| {
        let pod = scene.get(&["pod", "barrage-dev-redis-0"]);
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap()
    };
    let before = restarts(&scene);
    // It writes its log of changes on the way out.
    let _cut_off =
        scene.cluster.kubectl(&["-n", NAMESPACE, "exec", "barrage-dev-redis-0", "--", "redis-cli", "shutdown"]);
    scene.until(
        "the container is started again",
        |_| if restarts(&scene) > before { Ok(()) } else { Err(String::new()) },
    );
    are_ready(&scene);
    assert_eq!(redis(&["redis-cli", "get", "kept"]).trim(), "yes");
}

#[test]
fn a_probe_says_what_is_not_ready() {
    let scene = scene();
    let (found, said) = run(&scene, "probe", "probe, 'http://nobody.barrage.svc/readyz'");
    assert!(!found && said.contains("nobody.barrage.svc"), "{said}");
}
