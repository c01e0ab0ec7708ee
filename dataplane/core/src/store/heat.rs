//! How much was said when: danmaku counted by steps of time, the newest steps of a slice.
//!
//! Counted where records are applied, so it is a function of the log like everything else here. A step has a place in a
//! ring, so what is kept is bounded without anybody cleaning up.

use std::collections::BTreeMap;

use super::{SliceRecord, block};

/// Length of a step, ms.
pub const STEP_MS: i64 = 10_000;
/// Steps that are kept: six hours.
pub const STEPS_KEPT: i64 = 6 * 3_600 * 1_000 / STEP_MS;

/// Danmaku by the number of their step, which is their receipt time divided by [`STEP_MS`].
pub type Steps = BTreeMap<i64, u64>;

/// What records add.
pub fn steps(records: &[SliceRecord]) -> Steps {
    let mut steps = Steps::new();
    for SliceRecord { record, .. } in records {
        let danmaku = block::rows(record);
        if danmaku > 0 {
            *steps.entry(record.received_ms.div_euclid(STEP_MS)).or_default() += danmaku;
        }
    }
    steps
}

/// Lets go of steps that are older than what is kept behind the newest.
pub fn keep_newest(steps: &mut Steps) {
    if let Some(&newest) = steps.keys().next_back() {
        *steps = steps.split_off(&(newest - STEPS_KEPT + 1));
    }
}

#[cfg(test)]
mod tests {
    use barrage_proto::log::{Entry, Record};

    use super::*;

    #[test]
    fn danmaku_are_counted_in_the_step_of_their_record_and_old_steps_go() {
        let record = |received_ms, users: &[u64]| SliceRecord {
            offset: 0,
            record: Record {
                received_ms,
                entries: users.iter().map(|&user| Entry { user, ..Entry::default() }).collect(),
                ..Record::default()
            }
            .into(),
        };
        let mut counted =
            steps(&[record(9_999, &[1, 0, 2]), record(10_000, &[1]), record(3, &[5]), record(STEP_MS * 9, &[0])]);
        assert_eq!(counted, [(0, 3), (1, 1)].into());
        counted.insert(STEPS_KEPT, 1);
        keep_newest(&mut counted);
        assert_eq!(counted, [(1, 1), (STEPS_KEPT, 1)].into());
    }
}
