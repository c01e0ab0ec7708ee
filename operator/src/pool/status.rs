//! What a pool's status says: how its pods are, whether rooms are served, and why not. Written only when it is another
//! one, and figures alone at most every ten seconds.

use barrage_crds::{RoleStatus, RoomPool, RoomPoolStatus, ServiceType, condition};
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::Condition};
use kube::Api;
use serde_json::json;

use super::{
    build::host_inside,
    names::{Role, names},
};
use crate::{
    apply,
    conditions::{Finding, merged},
    context::Context,
    events,
    problem::{Problem, Reason},
    session::{News, Session, Stage},
    status_figures::rounded,
};

const FIGURES: [&str; 3] = ["routesEpoch", "rooms", "viewers"];

#[derive(Default)]
pub(super) struct Outcome {
    /// Image of its pods.
    pub(super) image: Option<String>,
    pub(super) certificate_not_after: Option<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) pod_problems: Vec<Problem>,
    /// Roles whose pods are not all there yet, or not all of the newest kind.
    pub(super) unsettled: Vec<Role>,
    /// Whether pods wait for their work to be taken over.
    pub(super) draining: bool,
    /// Whether there is any workload.
    pub(super) exists: bool,
    /// The session with Kafka and Redis.
    pub(super) session: Option<Session>,
    roles: [RoleStatus; 3],
}

impl Outcome {
    /// The pods of a role.
    pub(super) fn role(&mut self, role: Role) -> &mut RoleStatus {
        &mut self.roles[role as usize]
    }

    fn ready(&self, role: Role) -> i32 {
        self.roles[role as usize].ready
    }

    /// The worst of what is wrong: first what the author of the spec can mend.
    fn worst(&self, news: &News) -> Option<Problem> {
        let failing = match &news.stage {
            Stage::Failing(problem) => Some(problem),
            Stage::Opening | Stage::Open => None,
        };
        self.problems.first().or(self.pod_problems.first()).or(failing).cloned()
    }
}

/// Writes the status of a pool; tells whether nothing is expected to change by itself, and how the pool is.
///
/// # Errors
/// The API server refuses.
pub(super) async fn write(ctx: &Context, pool: &RoomPool, outcome: &Outcome) -> Result<(bool, Reason), Problem> {
    let old = pool.status.clone().unwrap_or_default();
    let news = outcome.session.as_ref().map(Session::news).unwrap_or_default();
    let findings = findings(pool, outcome, &news, ctx);
    let conditions = merged(&old.conditions, &findings, pool.metadata.generation, ctx.now());
    let known = news.stage == Stage::Open;
    let count = |number: usize| i64::try_from(number).ok();
    let viewers = outcome.session.as_ref().and_then(|session| session.heard().viewers(ctx.instant()));
    let addresses = addresses(ctx, pool).await?;
    let new = RoomPoolStatus {
        observed_generation: pool.metadata.generation,
        image: outcome.image.clone().or_else(|| old.image.clone()),
        partitions: if known { Some(i64::from(news.table.partition_count())) } else { old.partitions },
        spread: if known { Some(i64::from(news.table.placement().spread())) } else { old.spread },
        routes_epoch: if known { i64::try_from(news.table.epoch).ok() } else { old.routes_epoch },
        rooms: if known { count(news.manifests.len()) } else { old.rooms },
        viewers: viewers.filter(|_| known).map(rounded).or(old.viewers),
        address: Some(addresses.http),
        web_transport_address: addresses.web_transport,
        certificate_not_after: outcome.certificate_not_after.clone().or_else(|| old.certificate_not_after.clone()),
        gateway: outcome.roles[Role::Gateway as usize].clone(),
        consumer: outcome.roles[Role::Consumer as usize].clone(),
        ranker: outcome.roles[Role::Ranker as usize].clone(),
        conditions,
    };
    events::publish(ctx, pool, &old.conditions, &new.conditions).await;
    apply::status::<RoomPool>(ctx, &pool.metadata, &json!(pool.status), &json!(new), &FIGURES).await?;
    let reason = outcome.worst(&news).map_or(findings[0].reason, |problem| problem.reason);
    Ok((is_calm(&new.conditions), reason))
}

fn is_calm(conditions: &[Condition]) -> bool {
    let is = |kind, status: &str| condition::find(conditions, kind).is_some_and(|c| c.status == status);
    is("Ready", "True") && is("Progressing", "False") && is("Degraded", "False") && is("Rebalancing", "False")
}

fn findings(pool: &RoomPool, outcome: &Outcome, news: &News, ctx: &Context) -> [Finding; 4] {
    let worst = outcome.worst(news);
    [
        ready(outcome, news, worst.as_ref()),
        progressing(pool, outcome),
        degraded(worst.as_ref()),
        rebalancing(outcome, news, ctx),
    ]
}

fn ready(outcome: &Outcome, news: &News, worst: Option<&Problem>) -> Finding {
    let gateways = outcome.ready(Role::Gateway);
    // What the operator does not know, the gateways do: they are ready when they can serve.
    let known = news.stage == Stage::Open;
    let nobody = if known && news.table.partitions.iter().any(|owner| owner.consumer.is_none()) {
        Some("no consumer has taken the log's partitions yet")
    } else if known && news.table.rankers.is_empty() {
        Some("no ranker is there yet")
    } else if gateways == 0 {
        Some("no gateway is ready yet")
    } else {
        None
    };
    match (nobody, worst) {
        (None, _) => Finding::new("Ready", true, Reason::Serving, format!("{gateways} gateways serve viewers")),
        (Some(_), Some(problem)) => Finding::of("Ready", false, problem),
        (Some(nobody), None) => {
            let what = format!("{nobody}; if this lasts, look at /readyz and the logs of the pods");
            Finding::new("Ready", false, Reason::Starting, what)
        }
    }
}

fn progressing(pool: &RoomPool, outcome: &Outcome) -> Finding {
    if pool.spec.paused {
        let what = "spec.paused is true: nothing is changed, what runs goes on";
        return Finding::new("Progressing", false, Reason::Paused, what);
    }
    if outcome.draining {
        let what = "pods that are to go wait until others have taken over their work";
        return Finding::new("Progressing", true, Reason::Starting, what);
    }
    if outcome.unsettled.is_empty() && outcome.exists {
        return Finding::new("Progressing", false, Reason::Serving, "all pods are as they should be");
    }
    let roles: Vec<_> = outcome.unsettled.iter().map(|role| role.as_str()).collect();
    let what = format!("pods are being started or replaced: {}", roles.join(", "));
    Finding::new("Progressing", true, Reason::Starting, what)
}

fn degraded(worst: Option<&Problem>) -> Finding {
    match worst {
        Some(problem) => Finding::of("Degraded", true, problem),
        None => Finding::new("Degraded", false, Reason::Serving, "nothing is known to be wrong"),
    }
}

fn rebalancing(outcome: &Outcome, news: &News, ctx: &Context) -> Finding {
    let behind = outcome.session.as_ref().is_some_and(|session| {
        let heard = session.heard();
        news.stage == Stage::Open && heard.is_settled(ctx.instant()) && !owners_know(news, &heard, ctx)
    });
    if behind || outcome.draining {
        let what = "partitions or rooms are changing hands";
        return Finding::new("Rebalancing", true, Reason::Starting, what);
    }
    Finding::new("Rebalancing", false, Reason::Serving, "all work is where it should be")
}

/// Rooms that come and go make epochs, too; only owners that are dead, or not there, are news.
fn owners_know(news: &News, heard: &crate::session::heat::Heard, ctx: &Context) -> bool {
    let alive = heard.alive(ctx.instant());
    let owners = news.table.partitions.iter();
    owners.filter_map(|owner| owner.consumer.as_ref()).all(|owner| alive.consumers.contains(owner))
}

struct Addresses {
    http: String,
    web_transport: Option<String>,
}

async fn addresses(ctx: &Context, pool: &RoomPool) -> Result<Addresses, Problem> {
    let viewers = &pool.spec.viewers;
    let host = service_host(ctx, pool).await?;
    let tls = viewers.service.tls_secret.is_some();
    let http = match &viewers.ingress {
        Some(ingress) => {
            let scheme = if ingress.tls_secret.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", ingress.host)
        }
        None if tls => format!("https://{host}"),
        None => format!("http://{host}"),
    };
    // An Ingress passes on no UDP.
    Ok(Addresses { http, web_transport: tls.then(|| format!("https://{host}")) })
}

async fn service_host(ctx: &Context, pool: &RoomPool) -> Result<String, Problem> {
    let service = &pool.spec.viewers.service;
    if let Some(host) = &service.host {
        return Ok(host.clone());
    }
    let (name, namespace) =
        (pool.metadata.name.clone().unwrap_or_default(), pool.metadata.namespace.clone().unwrap_or_default());
    let inside = host_inside(&name, &namespace);
    if service.kind != ServiceType::LoadBalancer {
        return Ok(inside);
    }
    let api: Api<Service> = Api::namespaced(ctx.client.clone(), &namespace);
    let found = api.get_opt(&names(&name).of(Role::Gateway)).await;
    let found = found.map_err(|error| Problem::of_api("read the Service of the gateways", &error))?;
    let ingress = found.and_then(|found| found.status?.load_balancer?.ingress?.into_iter().next());
    Ok(ingress.and_then(|ingress| ingress.hostname.or(ingress.ip)).unwrap_or(inside))
}
