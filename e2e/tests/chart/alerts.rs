//! The chart's alerts are rules that Prometheus takes, and each fires when it should: `alerts.yaml` tries them.

use std::fs;

use barrage_e2e::kubernetes::Tools;

const TRIALS: &str = "e2e/tests/chart/alerts.yaml";

const RULES: &str = "charts/barrage/files/rules.yaml";

fn promtool(arguments: &[&str], file: &str) {
    let mut command = Tools::find().unwrap().program("promtool");
    let output = command.args(arguments).arg(Tools::file(file)).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn alerts_are_rules_of_prometheus() {
    promtool(&["check", "rules", "--lint-fatal"], RULES);
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    promtool(&["test", "rules"], TRIALS);
    let [rules, trials] = [RULES, TRIALS].map(|name| fs::read_to_string(Tools::file(name)).unwrap());
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(trials.contains(&format!("alertname=\"{name}\", alertstate=\"firing\", ")), "{name} is not tried");
    }
}
