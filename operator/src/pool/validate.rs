//! From a pool and what it refers to, to a blueprint that needs no second look. Pure.

use barrage_core::{room::Placement, routes::Table};
use barrage_crds::{Engine, RoleSpec, RoomPool, RoomPoolSpec, SecretKeyRef};
use serde_json::{Value, json};

use super::{
    dereference::Found,
    names::{Role, names},
};
use crate::{
    options::Options,
    problem::{Problem, Reason},
    session::{
        Target,
        plan::{Expected, Pods},
    },
};

#[derive(Clone)]
pub(crate) struct Blueprint {
    /// Name of the pool; begins the names of all that is built.
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Owner of all that is built.
    pub(crate) owner: Value,
    /// Image of all pods.
    pub(crate) image: String,
    pub(crate) spec: RoomPoolSpec,
    /// The keys that tokens are verified with.
    pub(crate) keys: SecretKeyRef,
    pub(crate) target: Target,
    pub(crate) expected: Expected,
}

impl Blueprint {
    #[must_use]
    pub(crate) const fn role(&self, role: Role) -> &RoleSpec {
        match role {
            Role::Gateway => &self.spec.gateway,
            Role::Consumer => &self.spec.consumer,
            Role::Ranker => &self.spec.ranker,
        }
    }

    /// How many there should be; `None` when somebody else says so.
    #[must_use]
    pub(crate) fn replicas(&self, role: Role) -> Option<u32> {
        let spec = self.role(role);
        (spec.autoscaling.engine == Engine::None).then_some(spec.replicas)
    }
}

/// The blueprint of a pool.
///
/// # Errors
/// Why there can be none, and what to do about it.
pub(crate) fn validate(pool: &RoomPool, found: &Found, options: &Options) -> Result<Blueprint, Problem> {
    if let Some(rival) = &found.rival {
        let id = pool.pool_id();
        return Err(Problem::new(
            Reason::Conflict,
            format!(
                "RoomPool {rival} has the pool ID {id:?} at the same brokers and is older: give this one another spec.poolId"
            ),
        ));
    }
    let target = found.target.clone()?;
    Placement::new(target.partitions, target.spread)
        .map_err(|error| Problem::new(Reason::Invalid, format!("spec.kafka.spread: {error}")))?;
    let name = pool.metadata.name.clone().unwrap_or_default();
    let pods = |role: Role, spec: &RoleSpec| Pods {
        prefix: format!("{}-", names(&name).of(role)),
        count: (spec.autoscaling.engine == Engine::None).then_some(spec.replicas),
    };
    let own_keys = || SecretKeyRef { secret: names(&name).token_keys(), key: "keys.json".to_owned() };
    Ok(Blueprint {
        namespace: pool.metadata.namespace.clone().unwrap_or_default(),
        owner: json!({
            "apiVersion": "barrage.live/v1alpha1",
            "kind": "RoomPool",
            "name": name,
            "uid": pool.metadata.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }),
        image: image(pool, options),
        keys: pool.spec.tokens.keys.clone().unwrap_or_else(own_keys),
        expected: Expected {
            paused: pool.spec.paused,
            consumers: pods(Role::Consumer, &pool.spec.consumer),
            rankers: pods(Role::Ranker, &pool.spec.ranker),
        },
        target,
        spec: pool.spec.clone(),
        name,
    })
}

/// What the spec says otherwise than the pool was made, which stays as it is for ever.
pub(crate) fn made_otherwise(spec: &RoomPoolSpec, made: &Table) -> Option<Problem> {
    let (asked, spread) = (spec.kafka.spread?, made.placement().spread());
    (made.epoch > 0 && asked != spread).then(|| {
        Problem::new(
            Reason::Conflict,
            format!(
                "spec.kafka.spread is {asked}, but the pool was made with {spread}, which stays: rooms are served with that. \
                 Leave the field out; for another spread, create another RoomPool with another poolId"
            ),
        )
    })
}

/// The one that was there first stays, so that an operator with another default restarts nothing.
fn image(pool: &RoomPool, options: &Options) -> String {
    let kept = pool.status.as_ref().and_then(|status| status.image.clone());
    pool.spec.image.clone().or(kept).unwrap_or_else(|| options.image.clone())
}
