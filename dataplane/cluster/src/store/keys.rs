//! Names of keys. Those of a slice share a hash tag, so one script call can use them all; those of a hash slot have a tag
//! that falls into it.

use std::sync::Arc;

use barrage_core::room::RoomId;

/// Hash slots of a Redis Cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Names the keys of a pool; clones share the table.
#[derive(Clone)]
pub(crate) struct Keys {
    pool: Arc<str>,
    /// By hash slot, the number whose tag falls into it.
    numbers: Arc<[u32]>,
}

/// The keys of a slice.
pub(super) struct SliceKeys {
    pub(super) applied: String,
    pub(super) rank: String,
    pub(super) hist: String,
    pub(super) rules: String,
}

impl Keys {
    /// Finds a tag for each hash slot, by trying: about 16,384 × ln 16,384 = 160,000 numbers.
    pub(super) fn new(pool: &str) -> Self {
        let mut numbers = vec![None; usize::from(SLOTS)];
        let mut missing = SLOTS;
        let mut number = 0;
        while missing > 0 {
            let entry = &mut numbers[usize::from(slot_of(&tag(pool, number)))];
            if entry.is_none() {
                *entry = Some(number);
                missing -= 1;
            }
            number += 1;
        }
        Self { pool: pool.into(), numbers: numbers.into_iter().flatten().collect() }
    }

    pub(super) fn slice(&self, room: &RoomId, shard: u32) -> SliceKeys {
        let tag = self.tag(room, shard);
        let key = |name: &str| format!("{tag}:{name}");
        SliceKeys { applied: key("applied"), rank: key("rank"), hist: key("hist"), rules: key("mod") }
    }

    /// A room's ledger, under the name that it had in the first pools; it lives beside its first slice.
    pub(super) fn ledger(&self, room: &RoomId) -> String {
        format!("{}:books", self.tag(room, 0))
    }

    pub(crate) fn limit(&self, room: &RoomId, shard: u32, user: u64) -> String {
        format!("{}:limit:{user}", self.tag(room, shard))
    }

    /// Says that a hash slot was there when the pool was created, and what became of it.
    pub(super) fn marker(&self, slot: u16) -> String {
        format!("{}:marker", tag(&self.pool, self.numbers[usize::from(slot % SLOTS)]))
    }

    /// Where a confirmation of the master of a hash slot stands.
    pub(super) fn confirmation(&self, slot: u16) -> String {
        format!("{}:confirm", tag(&self.pool, self.numbers[usize::from(slot % SLOTS)]))
    }

    fn tag(&self, room: &RoomId, shard: u32) -> String {
        format!("{{{}/{room}:{shard}}}", self.pool)
    }
}

/// The hash slot of a key (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(key, |(tag, _)| tag);
    let tag = if tag.is_empty() { key } else { tag };
    let crc = tag.bytes().fold(0_u16, |crc, byte| crc << 8 ^ CRC16[usize::from(crc.to_be_bytes()[0] ^ byte)]);
    crc % SLOTS
}

/// CRC-16/XMODEM of each byte: polynomial 0x1021, no reflection, starts at 0.
const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256_u16 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

/// No room's ID has a `#`.
fn tag(pool: &str, number: u32) -> String {
    format!("{{{pool}/#{number}}}")
}

#[cfg(test)]
mod tests {
    use redis::cluster_routing::{Route, SlotAddr};

    use super::*;

    #[test]
    fn hash_slots_are_those_of_redis() {
        for key in ["", "x", "123456789", "{default/demo:3}:rank", "a{}b", "a{b", "}{c}d"] {
            let route = Route::new(slot_of(key), SlotAddr::Master);
            assert_eq!(route, Route::with_key(key, SlotAddr::Master), "{key}");
        }
    }

    #[test]
    fn every_hash_slot_has_a_marker_of_its_own() {
        let keys = Keys::new("default");
        for slot in 0..SLOTS {
            assert_eq!(slot_of(&keys.marker(slot)), slot);
            assert_eq!(slot_of(&keys.confirmation(slot)), slot);
        }
    }

    #[test]
    fn keys_of_a_slice_share_a_slot_that_depends_on_the_shard() {
        let keys = Keys::new("default");
        let room = RoomId::from("demo");
        let SliceKeys { applied, rank, hist, rules } = keys.slice(&room, 3);
        assert_eq!(applied, "{default/demo:3}:applied");
        assert!([&rank, &hist, &rules, &keys.limit(&room, 3, 7)].iter().all(|key| slot_of(key) == slot_of(&applied)));
        assert_ne!(slot_of(&keys.slice(&room, 4).rank), slot_of(&rank));
    }
}
