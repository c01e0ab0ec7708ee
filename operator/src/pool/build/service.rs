//! Services: one before the gateways, and those that give consumers and rankers their names.

use barrage_crds::{ServiceType, ViewersSpec};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::pool::names::{ADMIN_PORT, LINK_PORT, Role, metadata, names, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

pub(super) fn service(blueprint: &Blueprint, role: Role) -> Child {
    let mut metadata = metadata(blueprint, &names(&blueprint.name).of(role), Some(role));
    let port = |name: &str, protocol: &str, port: u16, target: &str| json!({"name": name, "protocol": protocol, "port": port, "targetPort": target});
    let mut spec = match role {
        Role::Gateway => {
            metadata["annotations"] = json!(blueprint.spec.viewers.service.annotations);
            let viewers = &blueprint.spec.viewers;
            let mut ports = Vec::new();
            if viewers.service.tls_secret.is_some() {
                ports.extend([port("https", "TCP", 443, "https"), port("webtransport", "UDP", 443, "webtransport")]);
            }
            if serves_plain_text(viewers) {
                ports.push(port("http", "TCP", 80, "http"));
            }
            json!({"type": viewers.service.kind.as_str(), "ports": ports})
        }
        Role::Consumer => headless([port("admin", "TCP", ADMIN_PORT, "admin")]),
        Role::Ranker => headless([port("link", "UDP", LINK_PORT, "link")]),
    };
    spec["selector"] = selector_labels(&blueprint.name, role);
    Child::of::<Service>(json!({"metadata": metadata, "spec": spec}))
}

/// A load balancer is for everybody, and passes on no plain text where there is a certificate; an Ingress needs it.
fn serves_plain_text(viewers: &ViewersSpec) -> bool {
    let service = &viewers.service;
    service.tls_secret.is_none() || service.kind != ServiceType::LoadBalancer || viewers.ingress.is_some()
}

/// Names for each pod, from before it is ready: others have to reach it so that it can be.
fn headless(ports: [Value; 1]) -> Value {
    json!({"clusterIP": "None", "publishNotReadyAddresses": true, "ports": ports})
}

/// The gateways' name in the cluster.
pub(in crate::pool) fn host_inside(pool_name: &str, namespace: &str) -> String {
    format!("{}.{namespace}.svc", names(pool_name).of(Role::Gateway))
}
