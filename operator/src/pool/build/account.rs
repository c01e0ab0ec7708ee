//! ServiceAccounts: pods need nothing of the API server, so theirs have no token.

use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::json;

use crate::pool::names::{Role, metadata, names};
use crate::{apply::Child, pool::validate::Blueprint};

pub(super) fn service_account(blueprint: &Blueprint, role: Role) -> Child {
    Child::of::<ServiceAccount>(json!({
        "metadata": metadata(blueprint, &names(&blueprint.name).of(role), Some(role)),
        "automountServiceAccountToken": false,
    }))
}
