//! What a room's viewers are shown of a tick's candidates, under the room's budget.
//!
//! Within the budget: everything. Over it: gifts, hosts, moderators and ranked users first; repeats of a text on screen, or of
//! one shown in this tick, are merged into it; of the rest a sample is shown that no sender can steer.

use std::collections::BTreeMap;

use barrage_proto::{Position, log::Entry, v2::pb::Role};

use super::recent::RecentTexts;
use barrage_core::{hash::FastMap, link::role_of};

/// The budget may be saved up for this share of a second, so that a short burst in a calm room is shown whole.
const BURST_SHARE: f64 = 0.25;

/// How many danmaku may be shown: a token bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    per_ms: f64,
    depth: f64,
    tokens: f64,
    filled_ms: i64,
}

impl Allowance {
    pub(super) fn new(per_second: u32, now_ms: i64) -> Self {
        let depth = (f64::from(per_second) * BURST_SHARE).max(1.0);
        Self { per_ms: f64::from(per_second) / 1000.0, depth, tokens: depth, filled_ms: now_ms }
    }

    /// From now on another rate; what was saved up stays, as far as it fits.
    pub(super) fn set(&mut self, per_second: u32) {
        let Self { per_ms, depth, .. } = Self::new(per_second, self.filled_ms);
        (self.per_ms, self.depth) = (per_ms, depth);
    }

    /// Whole danmaku that may be shown now.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn available(&mut self, now_ms: i64) -> usize {
        let passed_ms = (now_ms - self.filled_ms).max(0);
        self.filled_ms = now_ms.max(self.filled_ms);
        self.tokens = (self.tokens + passed_ms as f64 * self.per_ms).min(self.depth);
        self.tokens as usize
    }

    #[allow(clippy::cast_precision_loss)]
    fn spend(&mut self, shown: usize) {
        self.tokens -= shown as f64;
    }
}

/// A danmaku that may be shown: where it stands, and what it says. Most are not shown, so it is no [`Danmaku`] yet.
///
/// [`Danmaku`]: barrage_core::link::Danmaku
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate<'r> {
    pub(super) position: Position,
    pub(super) received_ms: i64,
    pub(super) entry: &'r Entry,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Selection<'r> {
    /// In the order of the candidates.
    pub(super) shown: Vec<Candidate<'r>>,
    /// Shown danmaku, of this tick or before, with their new totals.
    pub(super) merges: Vec<(Position, u32)>,
    /// Candidates merged into those.
    pub(super) merged: u32,
    /// Candidates left out.
    pub(super) sampled_out: u32,
}

/// Candidates of one text in one tick.
struct Group {
    /// Index of the candidate that would be shown: the one of the highest rank, the first of those.
    chosen: usize,
    rank: u8,
    size: u32,
}

/// Selects among `candidates`, which come in the order to show them.
pub(super) fn select<'r>(
    candidates: Vec<Candidate<'r>>,
    allowance: &mut Allowance,
    recent: &mut RecentTexts,
    is_ranked: impl Fn(u64) -> bool,
    now_ms: i64,
) -> Selection<'r> {
    let available = allowance.available(now_ms);
    let mut selection = Selection::default();
    if candidates.len() <= available {
        for one in &candidates {
            recent.show(&one.entry.content, one.position, 1, now_ms);
        }
        selection.shown = candidates;
    } else {
        let groups = group(&candidates, recent, &mut selection, is_ranked, now_ms);
        selection.shown = choose(&candidates, groups, available, recent, &mut selection, now_ms);
    }
    allowance.spend(selection.shown.len());
    selection
}

/// Merges what can be merged into texts on screen; groups the rest by text.
fn group(
    candidates: &[Candidate<'_>],
    recent: &mut RecentTexts,
    selection: &mut Selection<'_>,
    is_ranked: impl Fn(u64) -> bool,
    now_ms: i64,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_text: FastMap<&[u8], usize> = FastMap::default();
    let mut merges: BTreeMap<Position, u32> = BTreeMap::new();
    for (index, &Candidate { entry, .. }) in candidates.iter().enumerate() {
        let rank = rank(entry, &is_ranked);
        if entry.gift.is_some() {
            // Stands for itself, whatever its text.
            groups.push(Group { chosen: index, rank, size: 1 });
            continue;
        }
        if rank == 0
            && let Some(stand) = recent.find(&entry.content, now_ms)
        {
            stand.total += 1;
            merges.insert(stand.position, stand.total);
            selection.merged += 1;
            continue;
        }
        let group = *by_text.entry(&entry.content).or_insert_with(|| {
            groups.push(Group { chosen: index, rank, size: 0 });
            groups.len() - 1
        });
        let group = &mut groups[group];
        group.size += 1;
        if rank > group.rank {
            (group.chosen, group.rank) = (index, rank);
        }
    }
    selection.merges = merges.into_iter().collect();
    groups
}

/// The best groups that the budget has room for, each by its chosen candidate, in the order of the candidates.
fn choose<'r>(
    candidates: &[Candidate<'r>],
    mut groups: Vec<Group>,
    available: usize,
    recent: &mut RecentTexts,
    selection: &mut Selection<'r>,
    now_ms: i64,
) -> Vec<Candidate<'r>> {
    let key = |group: &Group| {
        let lot = lot(&candidates[group.chosen].position);
        (std::cmp::Reverse((group.rank, group.size)), lot)
    };
    groups.sort_by_cached_key(key);
    let left_out = groups.split_off(available.min(groups.len()));
    for group in left_out {
        leave_out(candidates[group.chosen].entry, group.size, recent, selection, now_ms);
    }
    groups.sort_by_key(|group| group.chosen);
    for group in &groups {
        let Candidate { position, entry, .. } = candidates[group.chosen];
        recent.show(&entry.content, position, group.size, now_ms);
        if group.size > 1 {
            selection.merges.push((position, group.size));
            selection.merged += group.size - 1;
        }
    }
    groups.iter().map(|group| candidates[group.chosen]).collect()
}

/// What has no room and is on screen already counts up there, whoever says it; the rest is left out.
fn leave_out(entry: &Entry, size: u32, recent: &mut RecentTexts, selection: &mut Selection<'_>, now_ms: i64) {
    let stand = recent.find(&entry.content, now_ms).filter(|_| entry.gift.is_none());
    let Some(stand) = stand else {
        selection.sampled_out += size;
        return;
    };
    stand.total += size;
    selection.merged += size;
    match selection.merges.iter_mut().find(|(position, _)| *position == stand.position) {
        Some((_, total)) => *total = stand.total,
        None => selection.merges.push((stand.position, stand.total)),
    }
}

fn rank(entry: &Entry, is_ranked: impl Fn(u64) -> bool) -> u8 {
    if entry.gift.is_some() {
        return 4;
    }
    match role_of(entry) {
        Role::Host | Role::Service => 3,
        Role::Moderator => 2,
        Role::Viewer => u8::from(is_ranked(entry.user)),
    }
}

/// A lot that the sender cannot choose: the log assigned the position.
const fn lot(position: &Position) -> u64 {
    let value = (position.offset << 16 ^ position.index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (value ^ value >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[cfg(test)]
mod tests;
