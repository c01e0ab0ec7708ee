//! Hash maps of the hot path: keyed by what comes with each danmaku.
//!
//! The hash is seeded at random, so that nobody can prepare keys that meet, and takes a few cycles, where
//! the standard library's takes as long as the rest of what is done with a danmaku.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// A hash map with that hash.
pub type FastMap<K, V> = HashMap<K, V, RandomState>;
