//! Values that cannot be meant are refused, with what to do.

use crate::{render, values};

fn refusal(name: &str, set: &[&str]) -> String {
    match render(&values(name), set) {
        Ok(rendered) => panic!("{set:?} was taken:\n{rendered}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_pool_without_brokers_says_how_to_go_on() {
    let said = refusal("dev", &["dev.enabled=false"]);
    for way in ["pool.spec.kafka.brokers", "dev.enabled=true", "pool.enabled=false"] {
        assert!(said.contains(way), "{said}");
    }
}

#[test]
fn a_misspelt_value_is_not_passed_over() {
    for (set, named) in
        [("dev.enable=true", "enable"), ("operator.replica=2", "replica"), ("watchNamespace={shows}", "watchNamespace")]
    {
        let said = refusal("dev", &[set]);
        assert!(said.contains(named) && said.contains("dditional"), "{said}");
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (set, named) in [
        ("operator.replicas=0", "operator"),
        ("operator.replicas=many", "operator"),
        ("pool.name=Default", "pool"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("watchNamespaces={Shows}", "watchNamespaces"),
        ("monitoring.podMonitor.interval=15", "interval"),
        ("keda.prometheusAddress=prometheus:9090", "prometheusAddress"),
    ] {
        let said = refusal("dev", &[set]);
        assert!(said.contains(named), "{set}: {said}");
    }
}
