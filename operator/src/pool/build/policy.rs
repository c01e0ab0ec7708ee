//! NetworkPolicies: who may reach a role's pods. Viewers reach gateways, the pool's own pods reach rankers, and whoever
//! scrapes metrics reaches that port; nobody reaches anything else. Where pods go is not restricted: Kafka and Redis may
//! be anywhere.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::pool::names::{ADMIN_PORT, LINK_PORT, Role, TLS_PORT, VIEWERS_PORT, metadata, names, selector_labels};
use crate::{apply::Child, pool::validate::Blueprint};

pub(super) fn network_policy(blueprint: &Blueprint, role: Role) -> Child {
    let mut ingress = vec![json!({"ports": [port("TCP", ADMIN_PORT)]})];
    match role {
        Role::Gateway => {
            let mut ports = vec![port("TCP", VIEWERS_PORT)];
            if blueprint.spec.viewers.service.tls_secret.is_some() {
                ports.extend([port("TCP", TLS_PORT), port("UDP", TLS_PORT)]);
            }
            ingress.push(json!({"ports": ports}));
        }
        Role::Consumer => {}
        Role::Ranker => {
            let peer = |role| json!({"podSelector": {"matchLabels": selector_labels(&blueprint.name, role)}});
            let from = [peer(Role::Gateway), peer(Role::Consumer)];
            ingress.push(json!({"from": from, "ports": [port("UDP", LINK_PORT)]}));
        }
    }
    Child::of::<NetworkPolicy>(json!({
        "metadata": metadata(blueprint, &names(&blueprint.name).of(role), Some(role)),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(&blueprint.name, role)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }))
}

fn port(protocol: &str, port: u16) -> Value {
    json!({"protocol": protocol, "port": port})
}
