//! Pages of a room's history, whatever keeps it: blocks of danmaku by slice, read in one order.
//!
//! The order is gateway receipt time, made monotonic within a slice, then shard and position; a cursor holds where
//! each slice stands, so that paging on from it gives each danmaku exactly once whatever arrives meanwhile.

use std::collections::BTreeMap;

use barrage_proto::{Cursor, Position, log::Entry, v2::pb::Role};

use crate::moderation::Rules;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest danmaku that the cursor does not cover.
    After,
    /// The newest danmaku before the cursor's positions; slices that it lacks are read from their end.
    Before,
}

/// One danmaku of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    /// Its slice's shard.
    pub shard: u32,
    pub position: Position,
    /// Gateway receipt time, Unix ms.
    pub received_ms: i64,
    pub entry: Entry,
}

impl HistoryItem {
    /// Whether moderation lets it be seen.
    pub fn is_visible(&self, rules: &Rules) -> bool {
        let role = Role::try_from(self.entry.role.cast_signed()).unwrap_or_default();
        !rules.hides(self.position, self.entry.user, role, self.received_ms)
    }
}

/// Danmaku, oldest first.
#[derive(Debug, Clone, Default)]
pub struct HistoryPage {
    pub items: Vec<HistoryItem>,
    pub before: Cursor,
    pub after: Cursor,
    /// Whether there is more in the direction asked for.
    pub more: bool,
    /// The last record of each slice that the history includes.
    pub applied: Cursor,
}

/// The page that `items` make: for each slice of `applied`, those beyond `from`, one more than `limit` if there are so
/// many.
pub fn page(
    direction: Direction,
    from: &Cursor,
    limit: usize,
    applied: Cursor,
    mut items: Vec<HistoryItem>,
) -> HistoryPage {
    items.sort_by_key(|item| (item.received_ms, item.shard, item.position));
    let more = items.len() > limit;
    match direction {
        Direction::After => items.truncate(limit),
        Direction::Before => drop(items.drain(..items.len().saturating_sub(limit))),
    }
    let (before, after) = cursors(direction, from, &applied, &items);
    HistoryPage { items, before, after, more, applied }
}

/// Several gateways write one slice, each with its own clock: log order wins within a slice.
pub fn make_monotonic(items: &mut [HistoryItem]) {
    let mut latest = i64::MIN;
    for item in items {
        latest = latest.max(item.received_ms);
        item.received_ms = latest;
    }
}

/// The cursors around a page: where the page before it ends (its first positions), and what it leaves covered.
fn cursors(direction: Direction, from: &Cursor, applied: &Cursor, items: &[HistoryItem]) -> (Cursor, Cursor) {
    let bound = |(shard, end): (u32, Position)| {
        let bound = match (direction, from.position(shard)) {
            (Direction::After, Some(covered)) => just_after(covered),
            (Direction::After, None) => Position { offset: 0, index: 0, ..end },
            (Direction::Before, Some(bound)) => bound,
            (Direction::Before, None) => just_after(end),
        };
        (shard, bound)
    };
    let mut before: BTreeMap<u32, Position> = applied.iter().map(bound).collect();
    let mut after = match direction {
        Direction::After => from.clone(),
        Direction::Before => before.iter().filter_map(|(&shard, &end)| Some((shard, just_before(end)?))).collect(),
    };
    for item in items.iter().rev() {
        before.insert(item.shard, item.position);
        after.advance(item.shard, item.position);
    }
    (before.into_iter().collect(), after)
}

/// The first position that a covered one leaves uncovered.
const fn just_after(covered: Position) -> Position {
    match covered.index.checked_add(1) {
        Some(index) => Position { index, ..covered },
        None => Position { offset: covered.offset + 1, index: 0, ..covered },
    }
}

/// The last position below one, if there is one.
fn just_before(position: Position) -> Option<Position> {
    if let Some(index) = position.index.checked_sub(1) {
        return Some(Position { index, ..position });
    }
    Some(Position { offset: position.offset.checked_sub(1)?, index: u32::MAX, ..position })
}
