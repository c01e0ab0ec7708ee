//! The StatefulSets of consumers and rankers. Work is theirs by name: one that is killed comes back under the same, and
//! the highest number is the one that goes.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::json;

use super::pod;
use crate::pool::names::{Role, metadata, names, object, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

/// Without `replicas` where somebody else scales.
pub(in crate::pool) fn stateful_set(blueprint: &Blueprint, role: Role, replicas: Option<u32>) -> Child {
    let name = names(&blueprint.name).of(role);
    let spec = object([
        ("replicas", replicas.map(|replicas| json!(replicas))),
        ("serviceName", Some(json!(name))),
        // They do not wait for each other to begin.
        ("podManagementPolicy", Some(json!("Parallel"))),
        ("updateStrategy", Some(json!({"type": "RollingUpdate"}))),
        ("revisionHistoryLimit", Some(json!(3))),
        ("selector", Some(json!({"matchLabels": selector_labels(&blueprint.name, role)}))),
        ("template", Some(pod::template(blueprint, role))),
    ]);
    Child::of::<StatefulSet>(json!({"metadata": metadata(blueprint, &name, Some(role)), "spec": spec}))
}
