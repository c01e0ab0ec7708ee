//! `/v1/rooms/{room}/moderation/sanctions` and `…/audit`: what holds, and who did what.

use axum::{Json, extract::State, routing::get};
use barrage_proto::{
    Position,
    log::{self, act::Kind, sanction},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    danmaku::role_name,
    description::{Described, Operation},
    request::{Api, Moderator, Parameters, check_limit, hundred},
};
use crate::gateway::problem::Problem;
use barrage_core::clock::unix_ms;

pub(super) fn describe(described: Described) -> Described {
    described
        .route("/v1/rooms/{room}/moderation/sanctions", |schemas| {
            Operation::new::<Sanctions>(schemas, "get", get(sanctions), "Who is muted or banned").of_moderators()
        })
        .route("/v1/rooms/{room}/moderation/audit", |schemas| {
            let audit = Operation::new::<Audit>(schemas, "get", get(audit), "Who did what, the newest first");
            audit.of_moderators().query::<AuditPage>(schemas)
        })
}

/// Who may not do what.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Sanctioned {
    user_id: String,
    /// `muted` or `banned`.
    kind: &'static str,
    /// Absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    reason: String,
}

/// Everybody who may not do something.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sanctions {
    sanctions: Vec<Sanctioned>,
}

/// Who is muted or banned now.
pub(super) async fn sanctions(State(gateway): Api, Moderator(room, _): Moderator) -> Result<Json<Sanctions>, Problem> {
    let rules = gateway.store.rules(room.id()).await?;
    let sanctioned = rules.sanctions(unix_ms()).map(|(user, sanction)| Sanctioned {
        user_id: user.to_string(),
        kind: kind_name(sanction.kind),
        until_ms: (sanction.until_ms != 0).then_some(sanction.until_ms),
        reason: sanction.reason.clone(),
    });
    let mut sanctions: Vec<_> = sanctioned.collect();
    sanctions.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    Ok(Json(Sanctions { sanctions }))
}

const fn kind_name(kind: sanction::Kind) -> &'static str {
    match kind {
        sanction::Kind::None => "none",
        sanction::Kind::Muted => "muted",
        sanction::Kind::Banned => "banned",
    }
}

/// How many acts.
#[derive(Deserialize, JsonSchema)]
pub(super) struct AuditPage {
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    limit: usize,
}

/// What somebody did.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Audited {
    at_ms: i64,
    actor_id: String,
    role: &'static str,
    /// `mute`, `ban`, `lift`, `remove`, `removeAll`, `pin`, `unpin` or `settings`.
    act: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    danmaku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What was pinned or set, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Audit {
    /// The newest first.
    acts: Vec<Audited>,
}

/// Who did what.
pub(super) async fn audit(
    State(gateway): Api,
    Moderator(room, _): Moderator,
    Parameters(page): Parameters<AuditPage>,
) -> Result<Json<Audit>, Problem> {
    check_limit(page.limit)?;
    let rules = gateway.store.rules(room.id()).await?;
    Ok(Json(Audit { acts: rules.audit(page.limit).into_iter().filter_map(audited).collect() }))
}

fn audited(one: &log::Audited) -> Option<Audited> {
    let act = one.act.as_ref()?;
    let said = Audited {
        at_ms: one.at_ms,
        actor_id: act.actor.to_string(),
        role: role_name(act.role),
        reason: (!act.reason.is_empty()).then(|| act.reason.clone()),
        ..Audited::default()
    };
    Some(match act.kind.as_ref()? {
        Kind::Sanction(sanction) => Audited {
            act: match sanction.kind() {
                sanction::Kind::None => "lift",
                sanction::Kind::Muted => "mute",
                sanction::Kind::Banned => "ban",
            },
            user_id: Some(sanction.user.to_string()),
            until_ms: (sanction.until_ms != 0).then_some(sanction.until_ms),
            ..said
        },
        Kind::Remove(place) => Audited { act: "remove", danmaku: Some(Position::from(*place).to_string()), ..said },
        Kind::RemoveUser(user) => Audited { act: "removeAll", user_id: Some(user.to_string()), ..said },
        Kind::Pin(pin) if pin.content.is_empty() => Audited { act: "unpin", ..said },
        Kind::Pin(pin) => Audited { act: "pin", detail: Some(pin.content.clone()), ..said },
        Kind::Settings(settings) => Audited { act: "settings", detail: Some(in_words(settings)), ..said },
    })
}

fn in_words(settings: &log::Settings) -> String {
    let parts = [
        settings.slow_mode_s.map(|seconds| format!("slowModeSeconds: {seconds}")),
        settings.moderators_only.map(|only| format!("moderatorsOnly: {only}")),
        Some(settings.block_words.len()).filter(|&n| n > 0).map(|n| format!("blockWords: {n}")),
        Some(settings.allow_words.len()).filter(|&n| n > 0).map(|n| format!("allowWords: {n}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
