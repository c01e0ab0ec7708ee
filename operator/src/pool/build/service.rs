//! Services: one before the gateways, and those that give consumers and rankers their names.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{ADMIN_PORT, LINK_PORT, Role, metadata, names, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

pub(super) fn service(blueprint: &Blueprint, role: Role) -> Child {
    let mut metadata = metadata(blueprint, &names(&blueprint.name).of(role), Some(role));
    let port = |name: &str, protocol: &str, port: u16, target: &str| json!({"name": name, "protocol": protocol, "port": port, "targetPort": target});
    let mut spec = match role {
        Role::Gateway => {
            metadata["annotations"] = json!(blueprint.spec.viewers.service.annotations);
            let ports = [port("http", "TCP", 80, "http")];
            json!({"type": blueprint.spec.viewers.service.kind.as_str(), "ports": ports})
        }
        Role::Consumer => headless([port("admin", "TCP", ADMIN_PORT, "admin")]),
        Role::Ranker => headless([port("link", "UDP", LINK_PORT, "link")]),
    };
    spec["selector"] = selector_labels(&blueprint.name, role);
    Child::of::<Service>(json!({"metadata": metadata, "spec": spec}))
}

/// Names for each pod, from before it is ready: others have to reach it so that it can be.
fn headless(ports: [Value; 1]) -> Value {
    json!({"clusterIP": "None", "publishNotReadyAddresses": true, "ports": ports})
}

/// Where viewers connect from inside of the cluster.
pub(in crate::pool) fn address_inside(blueprint_name: &str, namespace: &str) -> String {
    format!("http://{}.{namespace}.svc", names(blueprint_name).of(Role::Gateway))
}
