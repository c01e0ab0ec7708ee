//! Every object is one that Kubernetes knows all fields of, and pods may do nothing that they need not.

use barrage_crds::RoomPool;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{PodSpec, PodTemplateSpec, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::*;
use crate::{
    options::Options,
    pool::{dereference::Found, validate::validate},
    session::{
        Target,
        target::{KafkaTarget, RedisTarget},
    },
};

/// A pool with everything set that can be.
fn blueprint() -> Blueprint {
    let pool: RoomPool = serde_json::from_value(json!({
        "apiVersion": "barrage.live/v1alpha1", "kind": "RoomPool",
        "metadata": {"name": "default", "namespace": "live", "uid": "uid-1"},
        "spec": {
            "imagePullSecrets": ["registry"],
            "kafka": {
                "brokers": ["kafka-0:9093", "kafka-1:9093"],
                "tls": {"ca": {"secret": "kafka-ca", "key": "ca.crt"}, "certificateSecret": "kafka-client"},
                "sasl": {"username": "barrage", "password": {"secret": "kafka-user", "key": "password"}},
            },
            "redis": {
                "nodes": ["redis-0:6379"], "tls": {},
                "auth": {"username": "barrage", "password": {"secret": "redis-user", "key": "password"}},
            },
            "viewers": {
                "allowedOrigins": ["https://example.org"], "reconnectSpreadSeconds": 20,
                "ingress": {"host": "live.example.org", "className": "nginx", "tlsSecret": "live-tls", "annotations": {"a": "b"}},
                "service": {"type": "LoadBalancer", "tlsSecret": "viewers-tls", "annotations": {"c": "d"}},
            },
            "gateway": {"autoscaling": {"engine": "External"}, "topologySpread": "Require", "pod": {
                "labels": {"team": "live"}, "annotations": {"e": "f"}, "nodeSelector": {"pool": "edge"},
                "tolerations": [{"key": "edge", "operator": "Exists"}], "priorityClassName": "high",
            }},
        },
    }))
    .unwrap();
    let target = Target {
        pool_id: "default".to_owned(),
        partitions: 12,
        spread: 1,
        kafka: KafkaTarget { brokers: Vec::new(), trial: false, tls: None, sasl: None },
        redis: RedisTarget { nodes: Vec::new(), trial: false, tls: None, auth: None },
    };
    let found = Found { target: Ok(target), warnings: Vec::new(), rival: None };
    let options = Options {
        namespaces: Vec::new(),
        image: "barrage:1".to_owned(),
        default_pool: None,
        pools_file: None,
        lease_namespace: String::new(),
        lease: String::new(),
        name: String::new(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
        log_format: crate::options::LogFormat::Text,
        log_level: String::new(),
    };
    validate(&pool, &found, &options).unwrap()
}

fn everything() -> Vec<Child> {
    let blueprint = blueprint();
    let mut all = around(&blueprint);
    all.push(gateway::deployment(&blueprint));
    all.push(worker::stateful_set(&blueprint, Role::Consumer, Some(2)));
    all.push(worker::stateful_set(&blueprint, Role::Ranker, Some(2)));
    all.extend(ingress::ingress(&blueprint));
    all
}

/// What serde does not know, it drops: then less comes back.
fn known<K: DeserializeOwned + Serialize>(child: &Child) {
    let typed: K = serde_json::from_value(child.object.clone()).unwrap_or_else(|e| panic!("{}: {e}", child.kind()));
    let again = serde_json::to_value(typed).unwrap();
    lacks(&child.object, &again, child.kind());
}

fn lacks(wanted: &Value, found: &Value, path: &str) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (name, value) in wanted {
                let path = format!("{path}.{name}");
                lacks(value, found.get(name).unwrap_or_else(|| panic!("{path} is no field of Kubernetes")), &path);
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            assert_eq!(wanted.len(), found.len(), "{path}");
            wanted.iter().zip(found).for_each(|(wanted, found)| lacks(wanted, found, &format!("{path}[]")));
        }
        _ => assert_eq!(wanted, found, "{path}"),
    }
}

#[test]
fn kubernetes_knows_every_field() {
    let all = everything();
    assert_eq!(all.len(), 4 * 3 + 3 + 1);
    for child in &all {
        match child.kind() {
            "ServiceAccount" => known::<ServiceAccount>(child),
            "NetworkPolicy" => known::<NetworkPolicy>(child),
            "PodDisruptionBudget" => known::<PodDisruptionBudget>(child),
            "Service" => known::<Service>(child),
            "Deployment" => known::<Deployment>(child),
            "StatefulSet" => known::<StatefulSet>(child),
            "Ingress" => known::<Ingress>(child),
            other => panic!("{other} is looked at by nobody"),
        }
        assert_eq!(child.object["metadata"]["ownerReferences"][0]["uid"], "uid-1", "{}", child.kind());
        assert_eq!(child.object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "barrage-operator");
    }
}

fn pods() -> Vec<PodSpec> {
    let templates = everything().into_iter().filter(|child| child.object["spec"]["template"].is_object());
    let template = |child: Child| serde_json::from_value::<PodTemplateSpec>(child.object["spec"]["template"].clone());
    templates.map(|child| template(child).unwrap().spec.unwrap()).collect()
}

#[test]
fn pods_may_do_no_more_than_they_need() {
    let pods = pods();
    assert_eq!(pods.len(), 3);
    for pod in pods {
        let security = pod.security_context.unwrap();
        assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65_532)));
        assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
        assert_eq!(pod.automount_service_account_token, Some(false));
        let container = &pod.containers[0];
        let of_container = container.security_context.as_ref().unwrap();
        assert_eq!(of_container.read_only_root_filesystem, Some(true));
        assert_eq!(of_container.allow_privilege_escalation, Some(false));
        assert_eq!(of_container.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
        assert!(container.startup_probe.is_some() && container.liveness_probe.is_some());
        assert!(container.resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("memory"));
        assert!(
            pod.topology_spread_constraints.is_some_and(|spread| spread[0].topology_key == "kubernetes.io/hostname")
        );
        assert!(pod.affinity.unwrap().pod_anti_affinity.is_some());
    }
}

#[test]
fn a_gateway_has_time_to_send_its_viewers_away_and_somebody_else_counts_gateways() {
    let all = everything();
    let gateways = all.iter().find(|child| child.kind() == "Deployment").unwrap();
    assert_eq!(gateways.object["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 3 + 20 + 30);
    assert!(gateways.object["spec"].get("replicas").is_none());
    let worker = all.iter().find(|child| child.kind() == "StatefulSet").unwrap();
    assert_eq!(worker.object["spec"]["replicas"], 2);
}

#[test]
fn settings_are_those_of_the_roles_and_no_secret_is_among_them() {
    let known = barrage_cluster::settings::reference();
    for pod in pods() {
        for variable in pod.containers[0].env.iter().flatten() {
            let name = &variable.name;
            let setting = name.trim_start_matches("BARRAGE_").to_lowercase().replace('_', "-");
            // `kafka-ca-file` stands as `ca-file` in the section `kafka`.
            let short = setting.split_once('-').map_or(setting.as_str(), |(_, short)| short);
            assert!(known.contains(&setting) || known.contains(short), "{name} is no setting");
            assert!(!name.contains("PASSWORD") || name.ends_with("_FILE"), "{name}");
        }
    }
    let ranker = pods().into_iter().find(|pod| pod.containers[0].name == "ranker").unwrap();
    let advertised =
        ranker.containers[0].env.iter().flatten().find(|env| env.name == "BARRAGE_LINK_ADVERTISE").unwrap();
    assert_eq!(advertised.value.as_deref(), Some("$(BARRAGE_NAME).default-ranker.live.svc:7800"));
}

/// `PROTOCOL PORT` of what is open.
fn open(ports: &Value) -> Vec<String> {
    let ports = ports.as_array().into_iter().flatten();
    ports.map(|port| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"])).collect()
}

#[test]
fn viewers_come_by_tcp_and_udp_where_there_is_a_certificate() {
    let ports_of = |viewers: Value| {
        let mut blueprint = blueprint();
        blueprint.spec.viewers = serde_json::from_value(viewers).unwrap();
        let policy = policy::network_policy(&blueprint, Role::Gateway);
        let service = service::service(&blueprint, Role::Gateway);
        (open(&service.object["spec"]["ports"]), open(&policy.object["spec"]["ingress"][1]["ports"]))
    };
    let (both, tls, plain) = (["TCP 443", "UDP 443", "TCP 80"], ["TCP 443", "UDP 443"], ["TCP 80"]);
    let pods = ["TCP 8080", "TCP 8443", "UDP 8443"];
    let service = |kind: &str| json!({"type": kind, "tlsSecret": "live-tls"});
    assert_eq!(
        ports_of(json!({"service": {"type": "LoadBalancer"}})),
        (plain.map(Into::into).into(), vec!["TCP 8080".into()])
    );
    assert_eq!(
        ports_of(json!({"service": service("ClusterIP")})),
        (both.map(Into::into).into(), pods.map(Into::into).into())
    );
    assert_eq!(ports_of(json!({"service": service("LoadBalancer")})).0, tls);
    let with_ingress = json!({"service": service("LoadBalancer"), "ingress": {"host": "live.example.org"}});
    assert_eq!(ports_of(with_ingress).0, both);
}

#[test]
fn only_gateways_see_token_keys_and_viewers_certificate_token_keys_and_nobody_sees_the_authority() {
    for pod in pods() {
        let text = serde_json::to_string(&pod.volumes).unwrap();
        for secret in ["default-token-keys", "viewers-tls"] {
            assert_eq!(text.contains(secret), pod.containers[0].name == "gateway", "{secret}");
        }
        assert!(text.contains("default-links") && !text.contains("link-authority"), "{text}");
    }
}
