//! What the objects of a pool are called and labelled, and which ports its pods have.

use serde_json::{Map, Value, json};

use super::validate::Blueprint;

pub(super) const VIEWERS_PORT: u16 = 8080;
/// Where they connect over TLS, and by QUIC.
pub(super) const TLS_PORT: u16 = 8443;
/// Health and metrics.
pub(super) const ADMIN_PORT: u16 = 9090;
/// Links of rankers, UDP.
pub(super) const LINK_PORT: u16 = 7800;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Holds viewers' connections.
    Gateway,
    /// Brings the log to the store.
    Consumer,
    /// Decides what viewers are shown.
    Ranker,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Consumer, Self::Ranker];

    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Consumer => "consumer",
            Self::Ranker => "ranker",
        }
    }
}

/// Names of what belongs to a pool.
pub(crate) struct Names<'p>(&'p str);

/// Names of what belongs to the pool of this name.
#[must_use]
pub(crate) const fn names(pool: &str) -> Names<'_> {
    Names(pool)
}

impl Names<'_> {
    /// A role's workload, Service, account and so on.
    #[must_use]
    pub(crate) fn of(&self, role: Role) -> String {
        format!("{}-{}", self.0, role.as_str())
    }

    /// The Secret of the token keys that the operator makes.
    #[must_use]
    pub(crate) fn token_keys(&self) -> String {
        format!("{}-token-keys", self.0)
    }

    /// The Secret of the authority of the links, which no pod sees.
    #[must_use]
    pub(crate) fn link_authority(&self) -> String {
        format!("{}-link-authority", self.0)
    }

    /// The Secret of the certificate of the links.
    #[must_use]
    pub(crate) fn links(&self) -> String {
        format!("{}-links", self.0)
    }
}

/// Labels that select a role's pods, for ever.
pub(super) fn selector_labels(pool: &str, role: Role) -> Value {
    json!({
        "app.kubernetes.io/name": "barrage",
        "app.kubernetes.io/instance": pool,
        "app.kubernetes.io/component": role.as_str(),
    })
}

/// The same as text.
#[must_use]
pub(crate) fn selector(pool: &str, role: Role) -> String {
    format!(
        "app.kubernetes.io/name=barrage,app.kubernetes.io/instance={pool},app.kubernetes.io/component={}",
        role.as_str()
    )
}

/// Name, labels and owner of an object.
pub(super) fn metadata(blueprint: &Blueprint, name: &str, role: Option<Role>) -> Value {
    let mut labels = match role {
        Some(role) => selector_labels(&blueprint.name, role),
        None => json!({"app.kubernetes.io/name": "barrage", "app.kubernetes.io/instance": blueprint.name}),
    };
    labels["app.kubernetes.io/managed-by"] = json!("barrage-operator");
    json!({
        "name": name,
        "namespace": blueprint.namespace,
        "labels": labels,
        "ownerReferences": [blueprint.owner],
    })
}

/// An object of those fields that are there.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}
