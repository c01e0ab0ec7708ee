//! What is done with rooms.

use std::time::Instant;

use barrage_e2e::{
    client::{ClientError, Event},
    http::HttpError,
    kubernetes::Kubernetes,
    session::Fate,
};
use serde_json::Value;

use crate::{
    PATIENCE,
    scene::{NAMES, NAMESPACE, OPERATOR_USER, Scene, debug, scene},
};

/// A pod that talks and listens, inside the cluster.
fn talk(name: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  restartPolicy: Never
  containers:
  - name: load
    image: {image}
    command: [barrage-load, chat, --rate, "10", --users, "2", --viewers, "2", --duration, 3s, --json]
    args: [--url, ws://default-gateway:80, --data, /keys, --room, demo]
    volumeMounts: [{{name: keys, mountPath: /keys}}]
  volumes: [{{name: keys, secret: {{secretName: default-token-keys}}}}]
"#,
        image = NAMES.barrage
    )
}

#[test]
fn a_viewer_in_a_pod_sees_what_another_says() {
    let scene = scene();
    scene.apply(&talk("talk"));
    let (ended_well, said) = scene.ended("talk");
    assert!(ended_well, "{said}");
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(report["acknowledged"].as_u64() > Some(10), "{said}");
    // Each was shown to its sender, the other user and the two who only watch; the last one may be on its way still.
    let shown = report["acknowledged"].as_u64().map(|kept| 4 * (kept - 1));
    assert!(report["received"].as_u64() >= shown, "{said}");
    assert_eq!([report["findings"].as_u64(), report["missed"].as_u64()], [Some(0); 2], "{said}");
    scene.kubectl(&["delete", "pod", "talk"]);
}

#[test]
fn a_row_says_how_a_room_is() {
    let scene = scene();
    let _viewers = [scene.join("demo", 1), scene.join("demo", 2)];
    let header = scene.kubectl(&["get", "liverooms", "-n", "default"]);
    let columns: Vec<_> = header.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "ROOM", "HEAT", "VIEWERS", "MSG/S", "LAG", "P99", "READY", "AGE"]);
    scene.until("the row counts the viewers", |cluster| {
        let room = cluster.get(&["liveroom", "demo"]).map_err(debug)?;
        let status = &room["status"];
        let viewers = status["viewers"].as_u64() >= Some(2);
        if viewers && status["heat"] == "Cold" && status["roomId"] == "demo" { Ok(()) } else { Err(status.to_string()) }
    });
}

#[test]
fn an_edit_reaches_every_gateway() {
    let scene = scene();
    let gateways = scene.gateway_apis("demo");
    assert_eq!(gateways.len(), 2);
    let patch = r#"{"spec":{"viewerBudget":{"danmakuPerSecond":123}}}"#;
    scene.cluster.kubectl(&["patch", "liveroom", "demo", "--type=merge", "-p", patch]).unwrap();
    let patched = Instant::now();
    for gateway in &gateways {
        scene.until("the gateway holds the room to its new budget", |_| {
            let room = gateway.room("demo").map_err(debug)?;
            if room.viewer_budget == 123 { Ok(()) } else { Err(debug(room)) }
        });
    }
    eprintln!("an edit took {:?} to reach all gateways", patched.elapsed());
    scene.cluster.apply_file("crds/examples/room.yaml").unwrap();
}

fn room(name: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {name}, namespace: default}}\nspec: {{}}\n---\n"
    )
}

#[test]
fn a_deleted_room_is_closed() {
    let scene = scene();
    scene.apply(&room("farewell"));
    scene.condition(&["liveroom", "farewell"], "Ready", "True", "");
    let mut viewer = scene.join("farewell", 1);
    let mut other = scene.join("demo", 1);
    scene.cluster.kubectl(&["delete", "liveroom", "farewell"]).unwrap();
    let closed = viewer.wait_for("its end", PATIENCE, |_: &Event| None::<()>).unwrap_err();
    assert!(matches!(&closed, ClientError::Closed { code: 1000, reason } if reason == "room closed"), "{closed:?}");
    scene.until("the room is not found", |_| match scene.api("farewell").room("farewell") {
        Err(HttpError::Status { status: 404, .. }) => Ok(()),
        other => Err(debug(other)),
    });
    // Nobody else noticed.
    let seq = other.say("still here").unwrap();
    assert!(matches!(other.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
}

#[test]
fn what_was_said_goes_with_a_room_that_wants_it() {
    let scene = scene();
    let manifest = room("passing").replace("spec: {}", "spec: {deletionPolicy: Delete}");
    // The second one is said in a room that has the name of the first, and nothing else of it.
    for (user, text) in [(1, "first"), (2, "second")] {
        scene.apply(&manifest);
        scene.condition(&["liveroom", "passing"], "Ready", "True", "");
        let mut viewer = scene.join("passing", user);
        let seq = viewer.say(text).unwrap();
        assert!(matches!(viewer.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
        // The leaderboard that viewers are sent is of this room from the first moment.
        let board = |event: &Event| match event {
            Event::Snapshot(board) => Some(board.user.clone()).filter(|users| !users.is_empty()),
            Event::Delta(board) => Some(board.user.clone()),
            _ => None,
        };
        assert_eq!(viewer.wait_for("the leaderboard", PATIENCE, board).unwrap(), [user]);
        let api = scene.api("passing");
        scene.until("history and ranking are those of this room", |_| {
            let history = api.whole_history("passing").map_err(debug)?;
            let ranking = api.whole_ranking("passing").map_err(debug)?;
            let said: Vec<_> = history.iter().map(|kept| kept.content.as_str()).collect();
            let ranked: Vec<_> = ranking.iter().map(|place| (place.user, place.score)).collect();
            if said == [text] && ranked == [(user, 1)] { Ok(()) } else { Err(format!("{said:?}, {ranked:?}")) }
        });
        scene.cluster.kubectl(&["delete", "liveroom", "passing", "--timeout=60s"]).unwrap();
    }
}

/// Resident memory of the operator's pods, that of the leader: the largest. By what kubelets say.
fn operator_bytes(scene: &Scene) -> u64 {
    let of_node = |node: &str| -> Option<u64> {
        let summary =
            scene.cluster.kubectl(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/stats/summary")]).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let pods = summary["pods"].as_array()?.iter();
        let containers = pods.flat_map(|pod| pod["containers"].as_array().into_iter().flatten());
        let operators = containers.filter(|container| container["name"] == "operator");
        operators.filter_map(|operator| operator["memory"]["rssBytes"].as_u64()).max()
    };
    ["node1", "node2"].into_iter().filter_map(of_node).max().unwrap()
}

/// Rooms of the test of many.
const MANY: usize = 1_000;

#[test]
fn a_thousand_rooms_share_the_pool() {
    let scene = scene();
    let pods = scene.pods("app.kubernetes.io/managed-by=barrage-operator");
    let mark = scene.cluster.audit_mark().unwrap();
    let began = Instant::now();
    scene.apply(&(0..MANY).map(|number| room(&format!("many-{number}"))).collect::<String>());
    let ready = |cluster: &Kubernetes| -> Result<usize, String> {
        let rooms = cluster.get(&["liverooms"]).map_err(debug)?;
        let is_ready = |room: &&Value| {
            let conditions = room["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        Ok(rooms["items"].as_array().into_iter().flatten().filter(is_ready).count())
    };
    scene.until("all rooms are ready", |cluster| match ready(cluster)? {
        count if count >= MANY => Ok(()),
        count => Err(format!("{count} are")),
    });
    let took = began.elapsed();
    let requests = scene.cluster.requests_since(mark, OPERATOR_USER).unwrap();
    let writes = requests.iter().filter(|request| request.writes()).count();
    eprintln!(
        "{MANY} rooms were ready after {took:?}: {} requests of the operator, {writes} of them writes; it has {} MiB",
        requests.len(),
        operator_bytes(&scene) >> 20
    );
    // Its finalizer, its status as it comes to be served, events; and what was going on besides.
    assert!(writes <= 6 * MANY, "{writes}");
    assert_eq!(scene.pods("app.kubernetes.io/managed-by=barrage-operator"), pods);
    let mut viewer = scene.join("many-999", 1);
    let seq = viewer.say("hello").unwrap();
    assert!(matches!(viewer.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
    scene
        .cluster
        .kubectl(&["delete", "liverooms", "-l", "!keep", "--field-selector", "metadata.name!=demo", "--wait=false"])
        .unwrap();
    scene.until("the rooms are gone", |cluster| {
        let rooms = cluster.get(&["liverooms"]).map_err(debug)?;
        let left = rooms["items"].as_array().map_or(0, Vec::len);
        if left == 1 { Ok(()) } else { Err(format!("{left} are left")) }
    });
}
