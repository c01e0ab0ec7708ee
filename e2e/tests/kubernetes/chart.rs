//! The chart against a real API server.

use std::fs;

use barrage_e2e::kubernetes::Tools;

use crate::scene::{NAMESPACE, scene};

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
        ("liveroom.spec.roomId", "unique in its pool"),
    ] {
        let explained = scene.cluster.kubectl(&["explain", field]).unwrap();
        let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(explained.contains(said), "{explained}");
    }
}
