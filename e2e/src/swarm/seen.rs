//! Which of the last messages a viewer has got: one bit each.

/// Messages that are remembered: ten seconds of a room that sends a hundred a second.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The last [`WINDOW`] messages by number, in 136 bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    bits: [u64; WORDS],
    newest: u64,
}

impl Seen {
    /// Marks a message; returns whether it was marked before. Numbers start at 1.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if number > self.newest {
            let skipped = (self.newest + 1).max(number.saturating_sub(WINDOW - 1))..=number;
            skipped.for_each(|number| {
                let (word, bit) = place(number);
                self.bits[word] &= !bit;
            });
            self.newest = number;
        }
        let before = self.contains(number);
        if number + WINDOW > self.newest {
            let (word, bit) = place(number);
            self.bits[word] |= bit;
        }
        before
    }

    /// Whether a message is marked; false for one that is too old to know.
    pub(super) fn contains(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        number <= self.newest && number + WINDOW > self.newest && self.bits[word] & bit != 0
    }
}

fn place(number: u64) -> (usize, u64) {
    let slot = number % WINDOW;
    (usize::try_from(slot / 64).unwrap_or_default(), 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_within_the_window_and_forgets_behind_it() {
        let mut seen = Seen::default();
        assert!(!seen.insert(1));
        assert!(seen.insert(1));
        assert!(!seen.insert(3) && !seen.contains(2));
        assert!(!seen.insert(2) && seen.contains(2), "late, and still marked");
        assert!(!seen.insert(WINDOW + 1));
        assert!(!seen.contains(1), "its bit is the newest one's now");
        assert!(seen.contains(2));
        assert!(!seen.insert(10 * WINDOW));
        assert!(!seen.contains(3) && !seen.contains(WINDOW + 1));
        assert!(!seen.insert(4), "too old to know");
    }

    #[test]
    fn a_jump_clears_what_it_passes() {
        let mut seen = Seen::default();
        (1..=WINDOW).for_each(|number| assert!(!seen.insert(number)));
        assert!(!seen.insert(WINDOW + 500));
        assert!((WINDOW + 1..WINDOW + 500).all(|number| !seen.contains(number)));
        assert!((501..=WINDOW).all(|number| seen.contains(number)));
    }
}
