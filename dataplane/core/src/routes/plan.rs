//! Who should own what, with the fewest moves: partitions evenly over consumers. Pure; who is alive comes from [`crate::heat`], what is different then is a [`super::change::Change`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::{Owner, Table, entry::PARTITIONS_MAX};
use crate::link::Peer;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alive {
    /// Consumers.
    pub consumers: BTreeSet<Peer>,
    /// Rankers, and where their links are reached.
    pub rankers: BTreeMap<Peer, String>,
}

/// There is no such table.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The pool does not exist yet.
    #[error("there is no route table yet: say with --partitions how many partitions the pool has, for ever")]
    NoTable,
    /// No or far too many partitions.
    #[error("{0} partitions cannot be: a pool has 1 to 100000")]
    Partitions(u32),
    /// The number of partitions decides where every room lives.
    #[error("the pool was made with {made} partitions, for ever: leave --partitions {asked} out")]
    Made {
        /// Partitions of the pool.
        made: u32,
        /// Partitions asked for.
        asked: u32,
    },
    /// Nobody to give the partitions to.
    #[error("no consumer is alive, so partitions cannot be given to any: start one, or name them with --consumers")]
    NoConsumers,
}

/// The table in which those who are alive share the work: nobody has more than ⌈partitions / consumers⌉, and as few
/// partitions as possible change hands. Rankers are those that are alive; where none is, those there were stay. With an
/// empty `table` the pool is made with `partitions`.
///
/// # Errors
/// No consumer is alive; or `partitions` is absent for a new pool or differs from what the pool was made with.
pub fn plan(table: &Table, alive: &Alive, partitions: Option<u32>) -> Result<Table, PlanError> {
    let mut new = match (table.partition_count(), partitions) {
        (0, None) => return Err(PlanError::NoTable),
        (0, Some(count)) if count == 0 || count > PARTITIONS_MAX => return Err(PlanError::Partitions(count)),
        (0, Some(count)) => Table { partitions: vec![Owner::default(); count as usize], ..table.clone() },
        (made, Some(asked)) if made != asked => return Err(PlanError::Made { made, asked }),
        _ => table.clone(),
    };
    new.epoch = table.epoch + 1;
    let consumers: Vec<Peer> = alive.consumers.iter().cloned().collect();
    if consumers.is_empty() {
        return Err(PlanError::NoConsumers);
    }
    let current: Vec<_> = new.partitions.iter().map(|owner| owner.consumer.clone()).collect();
    for (owner, consumer) in new.partitions.iter_mut().zip(shares(&current, &consumers)) {
        if owner.consumer.as_ref() != Some(&consumer) {
            *owner = Owner { consumer: Some(consumer), epoch: new.epoch };
        }
    }
    if !alive.rankers.is_empty() {
        new.rankers.clone_from(&alive.rankers);
        new.room_rankers.retain(|_, ranker| alive.rankers.contains_key(ranker));
    }
    Ok(new)
}

/// An owner for each item: shares differ by one at most, and no other even distribution keeps more items where they are.
/// `owners` must not be empty.
fn shares<T: Clone + Eq + std::hash::Hash + Ord>(current: &[Option<T>], owners: &[T]) -> Vec<T> {
    let (least, larger) = (current.len() / owners.len(), current.len() % owners.len());
    let mut held: HashMap<&T, usize> = HashMap::new();
    current.iter().flatten().for_each(|owner| *held.entry(owner).or_default() += 1);
    // The larger shares go to those who have most: each of them keeps one more.
    let mut by_held: Vec<&T> = owners.iter().collect();
    by_held.sort_by_key(|owner| std::cmp::Reverse(held.get(owner).copied().unwrap_or_default()));
    let quotas = by_held.iter().enumerate().map(|(at, &owner)| (owner, least + usize::from(at < larger)));
    let mut left: HashMap<&T, usize> = quotas.collect();
    let mut keep = |owner: &T| match left.get_mut(owner) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    };
    let kept: Vec<_> = current.iter().map(|owner| owner.clone().filter(|owner| keep(owner))).collect();
    let mut open = by_held.iter().flat_map(|&owner| std::iter::repeat_n(owner, left[owner]));
    // The shares add up to the items, so that `open` has one for each that is not kept.
    kept.into_iter().map(|kept| kept.unwrap_or_else(|| open.next().unwrap_or(&owners[0]).clone())).collect()
}

#[cfg(test)]
mod tests;
