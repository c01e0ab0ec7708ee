//! The Ingress before the gateways.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::json;

use crate::pool::names::{Role, metadata, names, object};
use crate::{apply::Child, pool::validate::Blueprint};

/// By its name, to be taken away.
pub(in crate::pool) fn unwanted(blueprint: &Blueprint) -> Child {
    let name = names(&blueprint.name).of(Role::Gateway);
    Child::of::<Ingress>(json!({"metadata": metadata(blueprint, &name, Some(Role::Gateway))}))
}

/// `None` where the pool has none.
pub(in crate::pool) fn ingress(blueprint: &Blueprint) -> Option<Child> {
    let wanted = blueprint.spec.viewers.ingress.as_ref()?;
    let name = names(&blueprint.name).of(Role::Gateway);
    let mut metadata = metadata(blueprint, &name, Some(Role::Gateway));
    metadata["annotations"] = json!(wanted.annotations);
    let backend = json!({"service": {"name": name, "port": {"name": "http"}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let tls = wanted.tls_secret.as_ref().map(|secret| json!([{"hosts": [wanted.host], "secretName": secret}]));
    let spec = object([
        ("ingressClassName", wanted.class_name.as_ref().map(|class| json!(class))),
        ("tls", tls),
        ("rules", Some(json!([{"host": wanted.host, "http": {"paths": [path]}}]))),
    ]);
    Some(Child::of::<Ingress>(json!({"metadata": metadata, "spec": spec})))
}
