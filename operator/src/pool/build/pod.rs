//! The pods of all roles: one container each, which may do nothing that it does not need.

mod settings;

use serde_json::{Map, Value, json};

use crate::pool::names::{ADMIN_PORT, LINK_PORT, Role, TLS_PORT, VIEWERS_PORT, names, object, selector_labels};
use crate::pool::validate::Blueprint;
use barrage_crds::{RoleSpec, TopologySpread};

/// Nobody on any node.
const USER: u32 = 65_532;
/// Seconds until Services have heard that a gateway goes; new viewers come in until then.
const LEAVE: u32 = 3;
/// Seconds that a node may be silent; Kubernetes would wait for five minutes, and a room does not.
const NODE_SILENT: u32 = 30;
/// Seconds to finish what was accepted and to hand work over, beside the time that viewers are given.
const DRAIN: u32 = 30;

/// The template of a role's pods.
pub(super) fn template(blueprint: &Blueprint, role: Role) -> Value {
    let spec = blueprint.role(role);
    let mut labels: Map<String, Value> =
        spec.pod.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    if let Value::Object(own) = selector_labels(&blueprint.name, role) {
        labels.extend(own);
    }
    json!({
        "metadata": {"labels": labels, "annotations": spec.pod.annotations},
        "spec": pod(blueprint, role),
    })
}

fn pod(blueprint: &Blueprint, role: Role) -> Value {
    let spec = blueprint.role(role);
    let secrets = &blueprint.spec.image_pull_secrets;
    let secrets: Vec<_> = secrets.iter().map(|name| json!({"name": name})).collect();
    object([
        ("serviceAccountName", Some(json!(names(&blueprint.name).of(role)))),
        ("automountServiceAccountToken", Some(json!(false))),
        ("enableServiceLinks", Some(json!(false))),
        ("imagePullSecrets", (!secrets.is_empty()).then(|| json!(secrets))),
        ("terminationGracePeriodSeconds", Some(json!(grace(blueprint, role)))),
        ("nodeSelector", Some(json!(spec.pod.node_selector))),
        ("tolerations", Some(json!(tolerations(spec)))),
        ("priorityClassName", spec.pod.priority_class_name.as_ref().map(|class| json!(class))),
        ("topologySpreadConstraints", over_nodes(blueprint, role)),
        ("affinity", over_zones(blueprint, role)),
        ("securityContext", Some(security())),
        ("volumes", Some(json!([settings::volume(blueprint, role)]))),
        ("containers", Some(json!([container(blueprint, role)]))),
    ])
}

/// Pods leave a node that does not answer after [`NODE_SILENT`], unless the spec says otherwise.
fn tolerations(spec: &RoleSpec) -> Vec<Value> {
    let given = &spec.pod.tolerations;
    let of_nodes = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].into_iter();
    let ours = of_nodes
        .filter(|key| !given.iter().any(|one| one.key.as_deref() == Some(key)))
        .map(|key| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NODE_SILENT}));
    given.iter().map(|one| json!(one)).chain(ours).collect()
}

/// What SIGTERM needs: gateways spread their viewers' return first.
fn grace(blueprint: &Blueprint, role: Role) -> u32 {
    match role {
        Role::Gateway => LEAVE + blueprint.spec.viewers.reconnect_spread_seconds + DRAIN,
        Role::Consumer | Role::Ranker => DRAIN,
    }
}

/// As many pods on one node as on the other. Nodes that take no pods (cordoned, silent) do not count, or what they had
/// could go nowhere; nor do pods of the revision that an update replaces, or it would end with all new ones on one node.
fn over_nodes(blueprint: &Blueprint, role: Role) -> Option<Value> {
    let unsatisfiable = match blueprint.role(role).topology_spread {
        TopologySpread::Off => return None,
        TopologySpread::Prefer => "ScheduleAnyway",
        TopologySpread::Require => "DoNotSchedule",
    };
    let revision = match role {
        Role::Gateway => "pod-template-hash",
        Role::Consumer | Role::Ranker => "controller-revision-hash",
    };
    Some(json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": unsatisfiable,
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": selector_labels(&blueprint.name, role)},
        "matchLabelKeys": [revision],
    }]))
}

/// Over zones where there are any. Not by a second constraint like that of nodes: the scheduler's score leaves out
/// nodes that lack one of the constraints' labels, so without zones nothing would be spread at all.
fn over_zones(blueprint: &Blueprint, role: Role) -> Option<Value> {
    if blueprint.role(role).topology_spread == TopologySpread::Off {
        return None;
    }
    Some(json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "topology.kubernetes.io/zone",
            "labelSelector": {"matchLabels": selector_labels(&blueprint.name, role)},
        },
    }]}}))
}

fn security() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn container(blueprint: &Blueprint, role: Role) -> Value {
    let spec = blueprint.role(role);
    let lifecycle = json!({"preStop": {"sleep": {"seconds": LEAVE}}});
    object([
        ("name", Some(json!(role.as_str()))),
        ("image", Some(json!(blueprint.image))),
        // The image's entrypoint is `barrage`.
        ("args", Some(json!([role.as_str()]))),
        ("env", Some(json!(settings::environment(blueprint, role)))),
        ("ports", Some(json!(ports(blueprint, role)))),
        ("resources", Some(json!({"requests": spec.resources.requests, "limits": spec.resources.limits}))),
        // A long start is a wait for Kafka, which is no reason to start again.
        ("startupProbe", Some(probe("/livez", 1, 60))),
        ("livenessProbe", Some(probe("/livez", 10, 3))),
        ("readinessProbe", Some(probe("/readyz", 2, 2))),
        ("lifecycle", (role == Role::Gateway).then_some(lifecycle)),
        // Why a process ended is in its status then.
        ("terminationMessagePolicy", Some(json!("FallbackToLogsOnError"))),
        ("volumeMounts", Some(json!([{"name": "barrage", "mountPath": settings::FOLDER, "readOnly": true}]))),
        (
            "securityContext",
            Some(json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            })),
        ),
    ])
}

fn ports(blueprint: &Blueprint, role: Role) -> Vec<Value> {
    let port =
        |name: &str, port: u16, protocol: &str| json!({"name": name, "containerPort": port, "protocol": protocol});
    let mut ports = vec![port("admin", ADMIN_PORT, "TCP")];
    match role {
        Role::Gateway => {
            ports.push(port("http", VIEWERS_PORT, "TCP"));
            if blueprint.spec.viewers.service.tls_secret.is_some() {
                ports.extend([port("https", TLS_PORT, "TCP"), port("webtransport", TLS_PORT, "UDP")]);
            }
        }
        Role::Consumer => {}
        Role::Ranker => ports.push(port("link", LINK_PORT, "UDP")),
    }
    ports
}

fn probe(path: &str, period_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": "admin"},
        "periodSeconds": period_seconds,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    })
}
