//! PodDisruptionBudgets: how many pods of a role maintenance may take away at once.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::json;

use crate::pool::names::{Role, metadata, names, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

pub(super) fn disruption_budget(blueprint: &Blueprint, role: Role) -> Child {
    Child::of::<PodDisruptionBudget>(json!({
        "metadata": metadata(blueprint, &names(&blueprint.name).of(role), Some(role)),
        "spec": {
            "maxUnavailable": blueprint.role(role).disruption_budget.max_unavailable,
            "selector": {"matchLabels": selector_labels(&blueprint.name, role)},
            // A pod that does not work holds up no maintenance.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }))
}
