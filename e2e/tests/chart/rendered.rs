//! What is rendered.

use std::{fs, process::Command};

use barrage_e2e::kubernetes::Tools;

use crate::{Objects, chart, field, pools, render, text, value_sets, values};

#[test]
fn helm_finds_no_fault() {
    let tools = Tools::find().unwrap();
    let chart = chart().display().to_string();
    for values in value_sets() {
        let values = values.display().to_string();
        tools.helm(&["lint", "--strict", &chart, "--values", &values]).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Exceptions stand in the templates, as annotations with their reason beside them.
#[test]
fn kube_score_finds_nothing() {
    let tools = Tools::find().unwrap();
    for values in value_sets() {
        let rendered = render(&values, &[]).unwrap();
        let score = tools.check("kube-score", &["score", "--output-format", "ci", "-"], &rendered);
        let findings = score.unwrap_or_else(|error| panic!("{}: {error}", values.display()));
        let findings: Vec<_> =
            findings.lines().filter(|line| !line.starts_with("[OK]") && !line.starts_with("[SKIPPED]")).collect();
        assert_eq!(findings, Vec::<&str>::new(), "{}", values.display());
    }
}

#[test]
fn a_pool_to_try_things_out_says_so() {
    let objects = Objects::of("dev", &[]);
    let text_of_pools = objects.pools();
    let pools = pools(&text_of_pools);
    for server in ["kafka", "redis"] {
        assert_eq!(
            field(&pools[0], &["spec", server, "trial"]).and_then(saphyr::Yaml::as_bool),
            Some(true),
            "{server}"
        );
    }
    for one in pools.iter().chain(&objects.of_kind("StatefulSet")) {
        let warning = field(one, &["metadata", "annotations", "barrage.live/not-for-production"]);
        assert!(warning.is_some(), "{}", text(&one["metadata"]["name"]));
    }
}

#[test]
fn a_pool_of_ones_own_is_what_was_said() {
    let objects = Objects::of("production", &[]);
    assert_eq!(objects.of_kind("StatefulSet").len(), 0);
    let text_of_pools = objects.pools();
    let spec = &pools(&text_of_pools)[0]["spec"];
    assert_eq!(text(&spec["kafka"]["sasl"]["username"]), "barrage");
    assert_eq!(spec["gateway"]["replicas"].as_integer(), Some(4));
    assert!(field(spec, &["kafka", "trial"]).is_none());
    // Rooms of any namespace may run in the pool that is for all.
    assert_eq!(text(&spec["roomsFrom"]), "All");
}

#[test]
fn with_keda_the_operator_leaves_the_number_of_gateways_alone() {
    let objects = Objects::of("monitored", &[]);
    let text_of_pools = objects.pools();
    assert_eq!(text(&pools(&text_of_pools)[0]["spec"]["gateway"]["autoscaling"]["engine"]), "External");
    assert_eq!(text(&objects.of_kind("ScaledObject")[0]["spec"]["scaleTargetRef"]["name"]), "default-gateway");
}

#[test]
fn rooms_outlive_the_release_unless_it_is_said() {
    let keep = ["metadata", "annotations", "helm.sh/resource-policy"];
    let published = fs::read_dir(Tools::file("crds/yaml")).unwrap().count();
    for (name, kept) in [("dev", Some("keep")), ("watched", None)] {
        let objects = Objects::of(name, &[]);
        let crds = objects.of_kind("CustomResourceDefinition");
        assert_eq!(crds.len(), published);
        for crd in &crds {
            assert_eq!(field(crd, &keep).map(text), kept, "{name}");
        }
    }
    assert_eq!(Objects::of("dev", &["crds.enabled=false"]).of_kind("CustomResourceDefinition").len(), 0);
}

/// Names are made of the release's, so that two releases do not meet.
#[test]
fn two_releases_share_no_names() {
    let names = |release: &str| {
        let mut command = Tools::find().unwrap().program("helm");
        let (chart, values) = (chart(), values("dev"));
        command
            .args(["template", release])
            .arg(chart)
            .arg("--values")
            .arg(values)
            .args(["--set", "pool.enabled=false,crds.enabled=false"]);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let names: Vec<_> = text.lines().filter(|line| line.starts_with("  name: ")).map(ToOwned::to_owned).collect();
        assert!(!names.is_empty());
        names
    };
    let other = names("second");
    assert!(names("first").iter().all(|name| !other.contains(name)));
}

#[test]
fn the_rules_are_ones_that_prometheus_takes() {
    // Where it is installed; the tests of the cluster check that every metric in them exists.
    let Ok(output) = Command::new("promtool").args(["check", "rules"]).arg(chart().join("files/rules.yaml")).output()
    else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
