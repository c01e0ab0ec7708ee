//! The Deployment of the gateways. Any gateway serves any room, so they need no names; a new one is there before an old
//! one sends its viewers away.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::pod;
use crate::pool::names::{Role, metadata, names, object, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

/// Of all gateways; more at once would send too many viewers to too few.
const SURGE: &str = "25%";
/// Seconds; as long as a new one may take to be placed and to start.
const PROGRESS_DEADLINE: u32 = 600;

/// Without `replicas` where somebody else scales: two managers never write one field.
pub(in crate::pool) fn deployment(blueprint: &Blueprint) -> Child {
    let role = Role::Gateway;
    let spec = object([
        ("replicas", blueprint.replicas(role).map(|replicas| json!(replicas))),
        ("selector", Some(json!({"matchLabels": selector_labels(&blueprint.name, role)}))),
        ("strategy", Some(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": SURGE, "maxUnavailable": 0}}))),
        ("progressDeadlineSeconds", Some(json!(PROGRESS_DEADLINE))),
        ("revisionHistoryLimit", Some(json!(3))),
        ("template", Some(pod::template(blueprint, role))),
    ]);
    Child::of::<Deployment>(json!({
        "metadata": metadata(blueprint, &names(&blueprint.name).of(role), Some(role)),
        "spec": spec,
    }))
}
