//! The Ingress before the gateways.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;

use super::{Role, metadata, names, object};
use crate::{apply::Child, pool::validate::Blueprint};

/// As it should be; where the pool has none, what would be one is the error.
pub(in crate::pool) fn ingress(blueprint: &Blueprint) -> Result<Child, Child> {
    let name = names(&blueprint.name).of(Role::Gateway);
    let mut metadata = metadata(blueprint, &name, Some(Role::Gateway));
    let Some(wanted) = &blueprint.spec.viewers.ingress else {
        return Err(Child::of::<Ingress>(json!({"metadata": metadata})));
    };
    metadata["annotations"] = json!(wanted.annotations);
    let backend = json!({"service": {"name": name, "port": {"name": "http"}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let tls = wanted.tls_secret.as_ref().map(|secret| json!([{"hosts": [wanted.host], "secretName": secret}]));
    let spec = object([
        ("ingressClassName", wanted.class_name.as_ref().map(|class| json!(class))),
        ("tls", tls),
        ("rules", Some(json!([{"host": wanted.host, "http": {"paths": [path]}}]))),
    ]);
    Ok(Child::of::<Ingress>(json!({"metadata": metadata, "spec": spec})))
}
