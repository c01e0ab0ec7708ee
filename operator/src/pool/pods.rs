//! How the pods of a pool are: how many are ready, and what keeps the others from it.

use barrage_crds::{RoleStatus, RoomPool};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ContainerStatus, Pod},
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{
    names::{Role, names, selector},
    status::Outcome,
    validate::Blueprint,
};
use crate::{
    context::Context,
    problem::{Problem, Reason},
};

/// Reasons for which a container waits that are about its image.
const IMAGE: [&str; 5] =
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ErrImageInspectFailed"];

/// The workload of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Workload {
    wanted: i32,
    existing: i32,
    ready: i32,
    /// Of the newest template.
    updated: i32,
    /// Whether the controller of workloads has seen the newest spec.
    seen: bool,
}

impl Workload {
    const fn is_settled(&self) -> bool {
        self.seen && self.existing == self.wanted && self.updated == self.wanted && self.ready == self.wanted
    }
}

/// Counts the pods of all roles, and looks at those that are not ready.
///
/// # Errors
/// The API server refuses.
pub(super) async fn look(ctx: &Context, blueprint: &Blueprint, outcome: &mut Outcome) -> Result<(), Problem> {
    counted(ctx, &blueprint.namespace, &blueprint.name, outcome).await
}

/// The same for a pool of which nothing is built now.
///
/// # Errors
/// The API server refuses.
pub(super) async fn count(ctx: &Context, pool: &RoomPool, outcome: &mut Outcome) -> Result<(), Problem> {
    counted(ctx, &pool.namespace().unwrap_or_default(), &pool.name_any(), outcome).await
}

/// How many pods of a role its workload has; `None` without one.
///
/// # Errors
/// The API server refuses.
pub(super) async fn replicas(ctx: &Context, blueprint: &Blueprint, role: Role) -> Result<Option<u32>, Problem> {
    let found = workload(ctx, &blueprint.namespace, &blueprint.name, role).await?;
    Ok(found.map(|workload| u32::try_from(workload.wanted).unwrap_or_default()))
}

async fn counted(ctx: &Context, namespace: &str, pool: &str, outcome: &mut Outcome) -> Result<(), Problem> {
    for role in Role::ALL {
        let found = workload(ctx, namespace, pool, role).await?;
        let exists = found.is_some();
        let workload = found.unwrap_or_default();
        let selector = selector(pool, role);
        if exists && !workload.is_settled() {
            outcome.unsettled.push(role);
            outcome.pod_problems.extend(problems(ctx, namespace, &selector).await?);
        }
        *outcome.role(role) = RoleStatus { replicas: workload.existing, ready: workload.ready, selector };
        outcome.exists |= exists;
    }
    Ok(())
}

async fn workload(ctx: &Context, namespace: &str, pool: &str, role: Role) -> Result<Option<Workload>, Problem> {
    let name = names(pool).of(role);
    let refused = |error: kube::Error| {
        ctx.metrics.api_error("get", &error);
        Problem::of_api(&format!("read the workload {name}"), &error)
    };
    if role == Role::Gateway {
        let api: Api<Deployment> = Api::namespaced(ctx.client.clone(), namespace);
        return Ok(api.get_opt(&name).await.map_err(refused)?.map(|live| of_deployment(&live)));
    }
    let api: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), namespace);
    Ok(api.get_opt(&name).await.map_err(refused)?.map(|live| of_stateful_set(&live)))
}

fn of_deployment(live: &Deployment) -> Workload {
    let status = live.status.clone().unwrap_or_default();
    Workload {
        wanted: live.spec.replicas.unwrap_or(1),
        existing: status.replicas.unwrap_or_default(),
        ready: status.ready_replicas.unwrap_or_default(),
        updated: status.updated_replicas.unwrap_or_default(),
        seen: status.observed_generation >= live.metadata.generation,
    }
}

fn of_stateful_set(live: &StatefulSet) -> Workload {
    let status = live.status.clone().unwrap_or_default();
    Workload {
        wanted: live.spec.replicas.unwrap_or(1),
        existing: status.replicas,
        ready: status.ready_replicas.unwrap_or_default(),
        // Of the newest template; while no other is being rolled out there is no such count.
        updated: if status.update_revision == status.current_revision {
            status.replicas
        } else {
            status.updated_replicas.unwrap_or_default()
        },
        seen: status.observed_generation >= live.metadata.generation,
    }
}

/// What keeps pods from being ready; one problem, the worst.
async fn problems(ctx: &Context, namespace: &str, selector: &str) -> Result<Option<Problem>, Problem> {
    let api: Api<Pod> = Api::namespaced(ctx.client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(selector)).await.map_err(|error| {
        ctx.metrics.api_error("list", &error);
        Problem::of_api("list pods", &error)
    })?;
    let found = pods.items.iter().filter_map(of_pod);
    Ok(found.min_by_key(|problem| if problem.reason == Reason::ImagePull { 0 } else { 1 }))
}

fn of_pod(pod: &Pod) -> Option<Problem> {
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    let unplaced = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(unplaced) = unplaced {
        let why = unplaced.message.as_deref().unwrap_or_default();
        let what = format!("pod {name} finds no node: {why}. Add nodes, or ask for less in spec.*.resources");
        return Some(Problem::new(Reason::PodsFailing, what));
    }
    let found = status.container_statuses.iter().flatten().find_map(|container| of_container(&name, container));
    found.or_else(|| of_node(&name, pod))
}

/// When a node is silent, its pods are taken for not ready, while what it last said of their containers stays.
fn of_node(name: &str, pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let unready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "False");
    let mut containers = status.container_statuses.iter().flatten().peekable();
    if !unready || containers.peek().is_none() || !containers.all(|container| container.ready) {
        return None;
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    let what = format!(
        "pod {name} is on node {node}, which does not answer: others do its work until the node is back. If it is gone \
         for good, `kubectl delete node {node}`, and the pod is started elsewhere"
    );
    Some(Problem::new(Reason::NodeSilent, what))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Problem> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    if IMAGE.contains(&reason) {
        let image = &container.image;
        let what = format!(
            "pod {pod} cannot get the image {image} ({reason}): correct spec.image, or name a Secret for its registry in \
             spec.imagePullSecrets"
        );
        return Some(Problem::new(Reason::ImagePull, what));
    }
    if ["ContainerCreating", "PodInitializing"].contains(&reason) {
        return None;
    }
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let said = last.and_then(|last| last.message.as_deref()).map(last_line).unwrap_or_default();
    let why = waiting.message.as_deref().filter(|_| said.is_empty()).unwrap_or(said);
    Some(Problem::new(
        Reason::PodsFailing,
        format!("pod {pod} does not run ({reason}): {why}. `kubectl logs {pod} --previous` shows more"),
    ))
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().next_back().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(status: Value) -> Option<(Reason, String)> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "g-0"}, "status": status})).unwrap();
        of_pod(&pod).map(|problem| (problem.reason, problem.message))
    }

    fn waiting(reason: &str) -> Value {
        json!({"containerStatuses": [{
            "name": "gateway", "image": "barrage:9", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": reason, "message": "back-off"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "a line\nbarrage: kafka.brokers is wrong\n"}},
        }]})
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_named() {
        let (reason, message) = of(waiting("ImagePullBackOff")).unwrap();
        assert!(reason == Reason::ImagePull && message.contains("barrage:9") && message.contains("spec.image"));
        let (reason, message) = of(waiting("CrashLoopBackOff")).unwrap();
        assert!(reason == Reason::PodsFailing && message.contains("barrage: kafka.brokers is wrong"), "{message}");
        assert_eq!(of(waiting("ContainerCreating")), None);
        let unplaced = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"},
        ]});
        assert!(of(unplaced).unwrap().1.contains("0/2 nodes are available"));
        let running = |ready: bool| {
            json!({
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{
                    "name": "gateway", "image": "", "imageID": "", "ready": ready, "restartCount": 0,
                    "state": {"running": {}},
                }],
            })
        };
        assert_eq!(of(running(false)), None);
        assert_eq!(of(running(true)).unwrap().0, Reason::NodeSilent);
    }
}
