//! The chart against a real API server.

use std::{collections::BTreeSet, fs};

use barrage_e2e::kubernetes::Tools;

use crate::scene::{NAMESPACE, POOL_LABEL, ROLE_LABEL, debug, scene};

#[test]
fn the_release_passes_its_own_test() {
    let scene = scene();
    scene.settle();
    let mut command = scene.cluster.program("helm");
    command.args(["test", "barrage", "--namespace", NAMESPACE, "--timeout=120s"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every set of values, against the schemas that this API server publishes.
#[test]
fn what_is_rendered_is_what_the_api_server_knows() {
    let scene = scene();
    let chart = Tools::file("charts/barrage").display().to_string();
    for values in fs::read_dir(Tools::file("charts/barrage/ci")).unwrap() {
        let values = values.unwrap().path().display().to_string();
        // Kinds of other charts are not known here.
        if values.ends_with("monitored.yaml") {
            continue;
        }
        let rendered = Tools::find()
            .unwrap()
            .helm(&["template", "barrage", &chart, "--namespace", NAMESPACE, "--values", &values])
            .unwrap();
        scene.cluster.validate(&rendered).unwrap_or_else(|error| panic!("{values}: {error}"));
    }
}

#[test]
fn a_rendered_chart_can_be_applied_without_helm() {
    let scene = scene();
    let chart = Tools::file("charts/barrage").display().to_string();
    let rendered = Tools::find()
        .unwrap()
        .helm(&["template", "other", &chart, "--namespace", "default", "--set", "dev.enabled=true", "--no-hooks"])
        .unwrap();
    scene.cluster.dry_run(&rendered).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn explain_says_what_a_field_means() {
    let scene = scene();
    for (field, said) in [
        ("liveroom.spec.viewerBudget.danmakuPerSecond", "Danmaku per second that a viewer gets at most"),
        ("roompool.spec.kafka.brokers", "host:port"),
        ("roompool.spec.gateway.replicas", "How many there are"),
    ] {
        let explained = scene.cluster.kubectl(&["explain", field]).unwrap();
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(explained.contains(said), "{explained}");
    }
}

/// Words that look like a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
    words.filter(|word| word.starts_with("barrage_")).map(ToOwned::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let scene = scene();
    scene.settle();
    // Each series is there once it has happened.
    let mut viewer = scene.join("demo", 1);
    let seq = viewer.say("hello").unwrap();
    viewer.wait_fate(seq, crate::PATIENCE).unwrap();
    let seq = viewer.say(&"too long ".repeat(1_000)).unwrap();
    viewer.wait_fate(seq, crate::PATIENCE).unwrap();
    let wanted: BTreeSet<_> = ["rules.yaml", "dashboard.json"]
        .iter()
        .flat_map(|name| metrics_in(&fs::read_to_string(Tools::file("charts/barrage/files").join(name)).unwrap()))
        .collect();
    assert!(wanted.len() >= 10, "{wanted:?}");
    scene.until("all metrics are served", |cluster| {
        let selector = format!("{POOL_LABEL}=default,{ROLE_LABEL}");
        let pods = cluster.get(&["-n", NAMESPACE, "pods", "-l", &selector]).map_err(debug)?;
        let addresses =
            pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["status"]["podIP"].as_str());
        let served: String = addresses
            .map(|address| {
                let api = barrage_e2e::http::Api::new(&format!("http://{address}:9090"));
                api.get("/metrics").map(|answer| answer.body).map_err(debug)
            })
            .collect::<Result<_, _>>()?;
        let served = metrics_in(&served);
        let absent: Vec<_> = wanted.difference(&served).collect();
        if absent.is_empty() { Ok(()) } else { Err(debug(absent)) }
    });
}
