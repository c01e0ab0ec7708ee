//! Objects that are stored, but that this operator does not understand. They are told so, and hold nobody up.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, core::error_boundary::InvalidObject, runtime::controller::Action};
use serde_json::json;

use crate::{
    apply,
    conditions::{Finding, merged},
    context::{Context, Looked},
    problem::{Problem, Reason},
};

/// Nothing but an edit changes it.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Says in the object's status that it is not understood.
///
/// # Errors
/// The API server refuses.
pub(crate) async fn tell<K>(ctx: &Context, invalid: &InvalidObject) -> Looked
where
    K: Resource<DynamicType = ()>,
{
    let what =
        format!("this operator does not understand the object: {}. Write it again as the CRD has it", invalid.error);
    let problem = Problem::new(Reason::Invalid, what);
    let old = apply::stored_status::<K>(ctx, &invalid.metadata).await?;
    let before: Vec<Condition> = serde_json::from_value(old["conditions"].clone()).unwrap_or_default();
    let findings = [Finding::of("Ready", false, &problem)];
    let conditions = merged(&before, &findings, invalid.metadata.generation, ctx.now());
    if before.iter().any(|condition| conditions.contains(condition)) {
        return Ok((Action::requeue(LOOK_AGAIN), Reason::Invalid));
    }
    // The rest stays: what is applied without a field takes the field away.
    let mut new = if old.is_object() { old.clone() } else { json!({}) };
    new["conditions"] = json!(conditions);
    apply::status::<K>(ctx, &invalid.metadata, &old, &new, &[]).await?;
    Ok((Action::requeue(LOOK_AGAIN), Reason::Invalid))
}
