//! Who should own what, with the fewest moves: partitions evenly over consumers, the slices of a room evenly over
//! partitions. Pure; who is alive comes from [`crate::heat`], what is different then is a [`super::change::Change`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::{Moved, Owner, Table, entry::PARTITIONS_MAX};
use crate::{
    link::Peer,
    room::{RoomId, SHARDS, partition_of},
};

/// Who can be given work.
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
    /// A room that is not served.
    #[error("room {0} is not in the route table: `barrage rooms list` shows those that are")]
    NoRoom(RoomId),
    /// More partitions than a room has slices, or than there are.
    #[error("room {room} cannot be spread over {asked} partitions: allowed are 1 to {most}")]
    Spread {
        /// The room.
        room: RoomId,
        /// Partitions asked for.
        asked: u32,
        /// Most that there can be.
        most: u32,
    },
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

/// The table in which a room's slices are spread evenly over `over` partitions, its own among them; with 1 they come
/// back to it. As few slices as possible move, to partitions of as many consumers as possible.
///
/// # Errors
/// The room is not served, or `over` is 0, or more than a room has slices or the pool has partitions.
pub fn spread(table: &Table, room: &RoomId, over: u32) -> Result<Table, PlanError> {
    if !table.serves(room) {
        return Err(PlanError::NoRoom(room.clone()));
    }
    let most = SHARDS.min(table.partition_count());
    if over == 0 || over > most {
        return Err(PlanError::Spread { room: room.clone(), asked: over, most });
    }
    let mut new = Table { epoch: table.epoch + 1, ..table.clone() };
    let current: Vec<_> = (0..SHARDS).map(|shard| Some(table.home(room, shard).partition)).collect();
    let targets = partitions_for(table, room, over, &current);
    for (shard, to) in (0..).zip(shares(&current, &targets)) {
        move_slice(&mut new, room, shard, to);
    }
    Ok(new)
}

/// Gives a slice its next move, unless it lives there already. The move's epoch is the table's.
pub(super) fn move_slice(table: &mut Table, room: &RoomId, shard: u32, to: u32) {
    let home = table.home(room, shard);
    if home.partition != to {
        let moved = Moved { partition: to, from: home.partition, number: home.moved + 1, epoch: table.epoch };
        table.slices.insert((room.clone(), shard), moved);
    }
}

/// The room's own partition, then those that hold slices of it, most first, then others whose consumers have few of it.
fn partitions_for(table: &Table, room: &RoomId, over: u32, current: &[Option<u32>]) -> Vec<u32> {
    let own = partition_of(room.as_str(), table.partition_count());
    let slices = |partition: u32| current.iter().filter(|&&held| held == Some(partition)).count();
    let mut chosen = vec![own];
    let mut shared: HashMap<Option<&Peer>, u32> = HashMap::new();
    let consumer = |partition: u32| table.partitions[partition as usize].consumer.as_ref();
    *shared.entry(consumer(own)).or_default() += 1;
    while chosen.len() < over as usize {
        let free = (0..table.partition_count()).filter(|partition| !chosen.contains(partition));
        let best = free.min_by_key(|&partition| {
            let burden = shared.get(&consumer(partition)).copied().unwrap_or_default();
            (usize::MAX - slices(partition), burden, partition)
        });
        let Some(best) = best else { break };
        *shared.entry(consumer(best)).or_default() += 1;
        chosen.push(best);
    }
    chosen
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
