//! The room's newest danmaku: those that can be answered, and named by an ID alone.

use std::collections::{HashMap, VecDeque};

use barrage_proto::Position;

use barrage_core::link::Danmaku;

/// Danmaku that are remembered: ten seconds of what viewers are shown at the most.
const RECENT_MAX: usize = 2_000;

#[derive(Default)]
pub(super) struct Recent {
    by_id: HashMap<(u32, u64, u32), Danmaku>,
    in_order: VecDeque<(u32, u64, u32)>,
}

const fn key(position: Position) -> (u32, u64, u32) {
    (position.partition, position.offset, position.index)
}

impl Recent {
    pub(super) fn add(&mut self, danmaku: Danmaku) {
        let key = key(danmaku.position);
        if self.by_id.insert(key, danmaku).is_none() {
            self.in_order.push_back(key);
        }
        if self.in_order.len() > RECENT_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// By its ID.
    pub(super) fn find(&self, id: Position) -> Option<Danmaku> {
        self.by_id.get(&key(id)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_by_their_id_alone() {
        let mut recent = Recent::default();
        let at = |offset| Position { partition: 1, offset, index: 0 };
        for offset in 0..=RECENT_MAX as u64 {
            recent.add(Danmaku { position: at(offset), ..Danmaku::default() });
        }
        assert_eq!(recent.find(at(1)).map(|found| found.position), Some(at(1)));
        assert_eq!(recent.find(at(0)), None, "the oldest is forgotten");
        assert_eq!((recent.by_id.len(), recent.in_order.len()), (RECENT_MAX, RECENT_MAX));
    }
}
