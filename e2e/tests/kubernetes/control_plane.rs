//! The operator and the API server come and go: the data plane does not notice, and nothing is written that need not be.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::Running,
    scene::{NAMES, NAMESPACE, OPERATOR, OPERATOR_USER, Scene, debug, scene},
};

/// How long the operator is watched doing nothing.
fn idle() -> Duration {
    Duration::from_secs(if std::env::var_os("SOAK").is_some() { 300 } else { 60 })
}

/// What other tests did to a pool stands in its figures within 30 s; longer than that on a busy machine.
const AFTERMATH: Duration = Duration::from_secs(120);
/// Between two looks at what was written.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long there is nobody in control, minutes.
fn minutes_alone() -> u64 {
    if std::env::var_os("SOAK").is_some() { 10 } else { 1 }
}

/// Danmaku that have to come through in each of them, at 20/s.
const A_MINUTE: u64 = 1_200;

const PODS: &str = "app.kubernetes.io/managed-by=barrage-operator";

#[test]
fn an_idle_operator_writes_only_its_lease() {
    let scene = scene();
    scene.settle();
    let statuses = || [scene.get(&["roompool", "default"]), scene.cluster.get(&["liveroom", "demo"]).unwrap()];
    let (began, before) = (Instant::now(), statuses());
    let (mut since, mut mark) = (began, scene.cluster.audit_mark().unwrap());
    // The subject is what happens while time passes: from the last write on that may be of what was done before.
    let writes = loop {
        thread::sleep(LOOK_AGAIN);
        let (now, next) = (Instant::now(), scene.cluster.audit_mark().unwrap());
        let writes = writes_since(&scene, mark);
        let only_its_lease = writes.keys().all(|write| write.contains(" leases "));
        if !only_its_lease && began.elapsed() < AFTERMATH {
            (since, mark) = (now, next);
            continue;
        }
        assert!(only_its_lease, "{writes:?}\nbefore: {before:#?}\nafter: {:#?}", statuses());
        if since.elapsed() >= idle() {
            break writes;
        }
    };
    eprintln!("in {:?} an idle operator writes {writes:?}", since.elapsed());
    // It leads, so it renews.
    assert!(!writes.is_empty());
}

/// What the operator wrote since a mark, and how often.
fn writes_since(scene: &Scene, mark: usize) -> BTreeMap<String, usize> {
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    let requests = scene.cluster.requests_since(mark, OPERATOR_USER).unwrap();
    for write in requests.iter().filter(|request| request.writes()) {
        *writes.entry(format!("{} {} {}", write.verb, write.resource, write.name)).or_default() += 1;
    }
    writes
}

#[test]
fn without_operator_and_api_server_viewers_notice_nothing() {
    let scene = scene();
    scene.settle();
    let pods = scene.pods(PODS);
    let load = Running::start(&scene, "demo");
    scene.kubectl(&["scale", OPERATOR, "--replicas=0"]);
    scene.until("the operator is gone", |cluster| {
        let pods =
            cluster.get(&["-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/component=operator"]).map_err(debug)?;
        if pods["items"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err("it is there".to_owned()) }
    });
    scene.cluster.stop_api_server().unwrap();
    assert!(scene.cluster.kubectl(&["get", "nodes"]).is_err());
    for _ in 0..minutes_alone() {
        load.goes_on(&scene, A_MINUTE);
    }
    scene.cluster.start_api_server().unwrap();
    scene.kubectl(&["scale", OPERATOR, "--replicas=2"]);
    scene.kubectl(&["rollout", "status", OPERATOR, "--timeout=120s"]);
    scene.settle();
    load.goes_on(&scene, 50);
    let report = load.end();
    assert_eq!((report.disconnects, report.refused, report.lost), (0, 0, Some(0)), "{report:?}");
    assert_eq!(scene.pods(PODS), pods);
}

#[test]
fn an_upgrade_of_the_operator_restarts_no_pod() {
    let scene = scene();
    scene.settle();
    let (pods, operators) = (scene.pods(PODS), scene.pods("app.kubernetes.io/component=operator"));
    let newer = barrage_e2e::kubernetes::Images::again("ghcr.io/barrage-live/barrage:0.1.1").unwrap();
    scene.cluster.load(&[newer]).unwrap();
    scene.install(&["image.tag=0.1.1"]).unwrap();
    scene.settle();
    // Another operator has taken over, and looked at everything.
    assert_ne!(scene.pods("app.kubernetes.io/component=operator"), operators);
    scene.apply(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {name: later, namespace: default}\nspec: {}\n",
    );
    scene.condition(&["liveroom", "later"], "Ready", "True", "");
    assert_eq!(scene.pods(PODS), pods);
    scene.cluster.kubectl(&["delete", "liveroom", "later"]).unwrap();
    scene.install(&[]).unwrap();
}

#[test]
fn operators_that_are_killed_bring_it_to_the_same_end() {
    let scene = scene();
    scene.settle();
    let rooms = |from: usize| -> String {
        let room = |n| {
            format!(
                "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: killed-{n}, namespace: default}}\nspec: {{}}\n---\n"
            )
        };
        (from..from + 10).map(room).collect()
    };
    for round in 0..3 {
        scene.apply(&rooms(round * 10));
        scene.kubectl(&["delete", "pods", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force"]);
    }
    for number in 0..30 {
        scene.condition(&["liveroom", &format!("killed-{number}")], "Ready", "True", "");
    }
    let names: Vec<_> = (0..30).map(|number| format!("liveroom/killed-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    scene.cluster.kubectl(&[&["delete"], names.as_slice()].concat()).unwrap();
    scene.settle();
}

/// Another operator that takes itself for the leader, because it knows another Lease.
fn rival() -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: rival, namespace: {NAMESPACE}}}
spec:
  restartPolicy: Never
  serviceAccountName: barrage-operator
  containers:
  - name: operator
    image: {image}
    command: [barrage-operator, run, --lease, rival, --image, "{image}", --default-pool, {NAMESPACE}/default]
    env:
    - {{name: POD_NAME, value: rival}}
    - {{name: POD_NAMESPACE, value: {NAMESPACE}}}
    volumeMounts: [{{name: tmp, mountPath: /tmp}}]
  volumes: [{{name: tmp, emptyDir: {{}}}}]
"#,
        image = NAMES.barrage
    )
}

#[test]
fn of_two_operators_that_lead_one_is_fenced_and_ends() {
    let scene = scene();
    scene.settle();
    let pods = scene.pods(PODS);
    scene.apply(&rival());
    let mut rooms = 0;
    // Who is fenced learns of it as it writes, so both are given something to write.
    scene.until("the rival has ended", |cluster| {
        rooms += 1;
        scene.apply(&format!(
            "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: split-{rooms}, namespace: default}}\nspec: {{}}\n"
        ));
        thread::sleep(Duration::from_secs(1));
        let pod = cluster.get(&["-n", NAMESPACE, "pod", "rival"]).map_err(debug)?;
        match pod["status"]["phase"].as_str() {
            Some("Failed") => Ok(()),
            phase => Err(format!("{phase:?} after {rooms} rooms")),
        }
    });
    let said = scene.kubectl(&["logs", "rival"]);
    assert!(said.contains("this operator must not go on"), "{said}");
    for number in 1..=rooms {
        scene.condition(&["liveroom", &format!("split-{number}")], "Ready", "True", "");
    }
    assert_eq!(scene.pods(PODS), pods);
    scene.kubectl(&["delete", "pod/rival", "lease/rival"]);
    let names: Vec<_> = (1..=rooms).map(|number| format!("liveroom/split-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    scene.cluster.kubectl(&[&["delete"], names.as_slice()].concat()).unwrap();
}
