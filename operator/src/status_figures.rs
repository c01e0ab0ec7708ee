//! Figures of a status: rounded, so that they are written only when they have moved.

use barrage_crds::HeatTier;

/// From so much on a room is warm, and hot: danmaku/s and viewers.
const WARM: (u64, u64) = (10, 100);
const HOT: (u64, u64) = (1_000, 10_000);

/// Two digits exact.
#[must_use]
pub fn rounded(figure: u64) -> i64 {
    let digits = figure.checked_ilog10().unwrap_or_default();
    let step = 10_u64.pow(digits.saturating_sub(1));
    let rounded = (figure / step).saturating_add(u64::from(figure % step * 2 >= step && step > 1)).saturating_mul(step);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[must_use]
pub const fn tier(messages_per_second: u64, viewers: u64) -> HeatTier {
    if messages_per_second >= HOT.0 || viewers >= HOT.1 {
        HeatTier::Hot
    } else if messages_per_second >= WARM.0 || viewers >= WARM.1 {
        HeatTier::Warm
    } else {
        HeatTier::Cold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_stay() {
        let cases = [(0, 0), (7, 7), (99, 99), (104, 100), (105, 110), (994, 990), (995, 1000), (12_345, 12_000)];
        for (figure, shown) in cases {
            assert_eq!(rounded(figure), shown, "{figure}");
        }
        assert_eq!(rounded(u64::MAX), i64::MAX);
    }

    #[test]
    fn either_messages_or_viewers_make_a_room_hot() {
        assert_eq!([tier(9, 99), tier(10, 0), tier(0, 100)], [HeatTier::Cold, HeatTier::Warm, HeatTier::Warm]);
        assert_eq!([tier(1_000, 0), tier(0, 10_000)], [HeatTier::Hot, HeatTier::Hot]);
    }
}
