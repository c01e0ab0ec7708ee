//! How long danmaku of a room take: counts in a few ranges, of which one percentile is said.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Upper ends of the ranges, ms: close together around the 100 ms that are promised. What is above is in the last.
const UP_TO_MS: [u32; 15] = [5, 10, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000];

/// Counts by range.
#[derive(Debug, Default)]
pub(super) struct Latency([AtomicU32; UP_TO_MS.len()]);

impl Latency {
    /// One danmaku took so long.
    pub(super) fn took(&self, ms: u32) {
        let range = UP_TO_MS.partition_point(|&up_to| up_to < ms).min(UP_TO_MS.len() - 1);
        self.0[range].fetch_add(1, Relaxed);
    }

    /// The end of the range that holds the 99th percentile since the last time; 0 when nothing was counted.
    pub(super) fn take_p99(&self) -> u32 {
        let counts: [u64; UP_TO_MS.len()] = std::array::from_fn(|range| self.0[range].swap(0, Relaxed).into());
        let all: u64 = counts.iter().sum();
        // As many may take longer as a hundredth of all, rounded down.
        let mut above = all / 100;
        for (count, up_to) in counts.iter().zip(UP_TO_MS).rev() {
            if *count > above {
                return up_to;
            }
            above -= count;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_may_take_longer() {
        let latency = Latency::default();
        assert_eq!(latency.take_p99(), 0);
        (0..99).for_each(|_| latency.took(17));
        latency.took(4_000);
        assert_eq!(latency.take_p99(), 20);
        assert_eq!(latency.take_p99(), 0, "taken once");
        (0..98).for_each(|_| latency.took(100));
        (0..2).for_each(|_| latency.took(60_000));
        assert_eq!(latency.take_p99(), 5_000);
        latency.took(101);
        assert_eq!(latency.take_p99(), 150);
    }
}
