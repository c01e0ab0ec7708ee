//! What a pool is made of, one kind of object a file. Pure: from a blueprint to objects.

mod account;
mod budget;
pub(super) mod gateway;
pub(super) mod ingress;
mod pod;
mod policy;
mod service;
#[cfg(test)]
mod tests;
pub(super) mod worker;

pub(super) use service::host_inside;

use super::{names::Role, validate::Blueprint};
use crate::apply::Child;

/// What is built besides the pods themselves, in the order that it is needed in.
pub(super) fn around(blueprint: &Blueprint) -> Vec<Child> {
    let mut all = Vec::new();
    for role in Role::ALL {
        all.push(account::service_account(blueprint, role));
        all.push(policy::network_policy(blueprint, role));
        all.push(budget::disruption_budget(blueprint, role));
        all.push(service::service(blueprint, role));
    }
    all
}
