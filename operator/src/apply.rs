//! Brings objects to the API server by server-side apply, under one name, and only when they are not yet as they should
//! be: a second look at an unchanged object writes nothing.

mod diff;

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::{
    context::Context,
    metrics::Metrics,
    problem::{Problem, Reason},
};
use diff::{fingerprint, holds};

/// Under this name the operator owns fields.
pub const MANAGER: &str = "barrage-operator";
/// Annotation with the fingerprint of what was applied last. A field that is no longer wanted is missed by nobody who only
/// looks whether all that is wanted is there.
pub const APPLIED: &str = "barrage.live/applied";

/// An object to apply.
#[derive(Debug, Clone)]
pub struct Child {
    resource: ApiResource,
    /// As JSON, without `apiVersion` and `kind`.
    pub object: Value,
}

impl Child {
    /// An object of kind `K`.
    #[must_use]
    pub fn of<K: Resource<DynamicType = ()>>(object: Value) -> Self {
        Self { resource: ApiResource::erase::<K>(&()), object }
    }

    #[must_use]
    pub fn kind(&self) -> &str {
        &self.resource.kind
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// Whose it is: the UID of its first owner.
    fn owner(&self) -> Option<&str> {
        self.object["metadata"]["ownerReferences"][0]["uid"].as_str()
    }

    fn doing(&self, verb: &str) -> String {
        format!("{verb} {} {}", self.kind(), self.name())
    }

    fn wanted(&self) -> Value {
        let mut wanted = self.object.clone();
        let print = fingerprint(&wanted);
        wanted["apiVersion"] = json!(self.resource.api_version);
        wanted["kind"] = json!(self.resource.kind);
        wanted["metadata"]["annotations"][APPLIED] = json!(print);
        wanted
    }
}

/// Makes the object as it should be; gives it as it is then.
///
/// # Errors
/// The API server refuses, or an object of this name belongs to somebody else.
pub async fn apply(ctx: &Context, child: &Child) -> Result<Value, Problem> {
    let api = api(&ctx.client, child);
    let mut wanted = child.wanted();
    if let Some(live) = live(ctx, &api, child).await? {
        let live = value(&live);
        refuse_foreign(child, &live)?;
        keep_replicas(&mut wanted, &live);
        if holds(&live, &wanted) {
            return Ok(live);
        }
    }
    tracing::info!(kind = child.kind(), namespace = child.namespace(), name = child.name(), "applying");
    let applied = patch(&ctx.metrics, &api, child.name(), &wanted).await;
    applied.map(|object| value(&object)).map_err(|error| Problem::of_api(&child.doing("apply"), &error))
}

async fn live(ctx: &Context, api: &Api<DynamicObject>, child: &Child) -> Result<Option<DynamicObject>, Problem> {
    api.get_opt(child.name()).await.map_err(|error| {
        ctx.metrics.api_error("get", &error);
        Problem::of_api(&child.doing("read"), &error)
    })
}

/// A number of replicas that nobody but the operator owns would fall to 1 if it gave it up: whoever is to scale from now
/// on takes it over by writing it.
fn keep_replicas(wanted: &mut Value, live: &Value) {
    let replicas = &live["spec"]["replicas"];
    if !wanted["spec"].is_object() || !wanted["spec"]["replicas"].is_null() || !replicas.is_number() {
        return;
    }
    let owns = |entry: &&Value| entry["fieldsV1"]["f:spec"]["f:replicas"].is_object();
    let owners = live["metadata"]["managedFields"].as_array().into_iter().flatten().filter(owns);
    if owners.clone().count() > 0 && owners.into_iter().all(|entry| entry["manager"] == MANAGER) {
        wanted["spec"]["replicas"] = replicas.clone();
    }
}

/// What somebody else made under this name stays as it is.
fn refuse_foreign(child: &Child, live: &Value) -> Result<(), Problem> {
    let owners = live["metadata"]["ownerReferences"].as_array();
    let ours = owners.into_iter().flatten().any(|owner| owner["uid"].as_str() == child.owner());
    if ours {
        return Ok(());
    }
    Err(Problem::new(
        Reason::Conflict,
        format!(
            "{} {} is there already and belongs to somebody else: delete or rename it, or give this object another name",
            child.kind(),
            child.name()
        ),
    ))
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn api(client: &Client, child: &Child) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), child.namespace(), &child.resource)
}

async fn patch(
    metrics: &Metrics,
    api: &Api<DynamicObject>,
    name: &str,
    wanted: &Value,
) -> Result<DynamicObject, kube::Error> {
    metrics.wrote("apply");
    let applied = api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(wanted)).await;
    applied.inspect_err(|error| metrics.api_error("apply", error))
}

/// Makes an object that nobody may have made before: where it is there already, it stays as it is.
///
/// # Errors
/// The API server refuses.
pub async fn create(ctx: &Context, child: &Child) -> Result<(), Problem> {
    let wanted = serde_json::from_value::<DynamicObject>(child.wanted());
    let wanted = wanted.map_err(|error| Problem::new(Reason::Invalid, error.to_string()))?;
    ctx.metrics.wrote("create");
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match api(&ctx.client, child).create(&params, &wanted).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => {
            ctx.metrics.api_error("create", &error);
            Err(Problem::of_api(&child.doing("create"), &error))
        }
    }
}

/// Takes away an object that is no longer wanted; what somebody else made under its name stays.
///
/// # Errors
/// The API server refuses.
pub async fn remove(ctx: &Context, child: &Child) -> Result<(), Problem> {
    let api = api(&ctx.client, child);
    let Some(live) = live(ctx, &api, child).await?.filter(|live| refuse_foreign(child, &value(live)).is_ok()) else {
        return Ok(());
    };
    tracing::info!(kind = child.kind(), namespace = child.namespace(), name = child.name(), "removing");
    ctx.metrics.wrote("delete");
    let preconditions = Some(Preconditions { uid: live.metadata.uid, resource_version: None });
    match api.delete(child.name(), &DeleteParams { preconditions, ..DeleteParams::background() }).await {
        Ok(_) => Ok(()),
        // It went meanwhile.
        Err(kube::Error::Api(gone)) if [404, 409].contains(&gone.code) => Ok(()),
        Err(error) => {
            ctx.metrics.api_error("delete", &error);
            Err(Problem::of_api(&child.doing("delete"), &error))
        }
    }
}

/// Reads a Secret; `None` when there is none.
///
/// # Errors
/// The API server refuses.
pub async fn secret(ctx: &Context, namespace: &str, name: &str) -> Result<Option<Secret>, Problem> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    api.get_opt(name).await.map_err(|error| {
        ctx.metrics.api_error("get", &error);
        Problem::of_api(&format!("read Secret {name} in namespace {namespace}"), &error)
    })
}

/// Which finalizers of ours an object has: all of these, and no other.
///
/// # Errors
/// The API server refuses.
pub async fn finalizers<K>(ctx: &Context, object: &K, finalizers: &[&str]) -> Result<(), Problem>
where
    K: Resource<DynamicType = ()>,
{
    let meta = object.meta();
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    // With its UID, so that nothing is made anew of an object that went meanwhile.
    let wanted = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": namespace, "uid": meta.uid, "finalizers": finalizers},
    });
    let api = Api::namespaced_with(ctx.client.clone(), &namespace, &ApiResource::erase::<K>(&()));
    match patch(&ctx.metrics, &api, &name, &wanted).await {
        Ok(_) => Ok(()),
        // It is gone already.
        Err(kube::Error::Api(status)) if finalizers.is_empty() && [404, 409].contains(&status.code) => Ok(()),
        Err(error) => Err(Problem::of_api(&format!("set the finalizers of {name}"), &error)),
    }
}

/// The status of an object that is not understood, as it is stored.
///
/// # Errors
/// The API server refuses.
pub async fn stored_status<K>(ctx: &Context, meta: &ObjectMeta) -> Result<Value, Problem>
where
    K: Resource<DynamicType = ()>,
{
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &namespace, &ApiResource::erase::<K>(&()));
    let found = api.get_opt(&name).await.map_err(|error| Problem::of_api(&format!("read {name}"), &error))?;
    Ok(found.map(|mut object| object.data["status"].take()).unwrap_or_default())
}

/// Writes the status of an object, if it is another one. Where only these `figures` differ, it is written at most every
/// ten seconds.
///
/// # Errors
/// The API server refuses.
pub async fn status<K>(
    ctx: &Context,
    meta: &ObjectMeta,
    old: &Value,
    new: &Value,
    figures: &[&str],
) -> Result<bool, Problem>
where
    K: Resource<DynamicType = ()>,
{
    if old == new {
        return Ok(false);
    }
    let mut but_for_figures = new.clone();
    for figure in figures {
        but_for_figures[*figure] = old[*figure].clone();
    }
    let uid = meta.uid.clone().unwrap_or_default();
    if without_nulls(&but_for_figures) == *old && !ctx.figures.is_due(&uid, ctx.instant()) {
        return Ok(false);
    }
    let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone().unwrap_or_default());
    let wanted = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": namespace, "uid": meta.uid},
        "status": new,
    });
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.client.clone(), &namespace, &ApiResource::erase::<K>(&()));
    ctx.metrics.wrote("status");
    match api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await {
        Ok(_) => Ok(true),
        // It was deleted meanwhile.
        Err(kube::Error::Api(gone)) if [404, 409].contains(&gone.code) => Ok(false),
        Err(error) => {
            ctx.metrics.api_error("status", &error);
            Err(Problem::of_api(&format!("write the status of {name}"), &error))
        }
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_scales_takes_the_number_over_and_until_then_it_stays() {
        let live = |managers: &[&str]| {
            let entry = |manager: &&str| json!({"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}});
            let fields: Vec<_> = managers.iter().map(entry).collect();
            json!({"metadata": {"managedFields": fields}, "spec": {"replicas": 20}})
        };
        let kept = |wanted: Value, managers: &[&str]| {
            let mut wanted = wanted;
            keep_replicas(&mut wanted, &live(managers));
            wanted["spec"]["replicas"].clone()
        };
        assert_eq!(kept(json!({"spec": {}}), &[MANAGER]), 20);
        for others in [&["keda"][..], &[MANAGER, "keda"], &[]] {
            assert_eq!(kept(json!({"spec": {}}), others), Value::Null, "{others:?}");
        }
        assert_eq!(kept(json!({"spec": {"replicas": 3}}), &[MANAGER]), 3);
        let mut service = json!({"metadata": {}});
        keep_replicas(&mut service, &live(&[MANAGER]));
        assert_eq!(service, json!({"metadata": {}}));
    }
}
