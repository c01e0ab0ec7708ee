//! Where a danmaku stands in the log, which is also its ID.

use std::{fmt, num::ParseIntError, str::FromStr};

use thiserror::Error;

use crate::log::Place;

/// Position of a danmaku in a pool's log. Ordered within a slice; the text form, which alone names a danmaku, is
/// `partition-offset-index`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Partition of the pool's topic.
    pub partition: u32,
    /// Offset of the record in the partition.
    pub offset: u64,
    /// Index of the entry in the record.
    pub index: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.partition, self.offset, self.index)
    }
}

impl From<Position> for Place {
    fn from(Position { partition, offset, index }: Position) -> Self {
        Self { partition, offset, index }
    }
}

impl From<Place> for Position {
    fn from(Place { partition, offset, index }: Place) -> Self {
        Self { partition, offset, index }
    }
}

/// A text is not `partition-offset-index`.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("a danmaku's ID is partition-offset-index, three decimal numbers without sign or leading zeros")]
pub struct ParsePositionError;

impl From<ParseIntError> for ParsePositionError {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(ParsePositionError);
        let position = Self { partition: part()?.parse()?, offset: part()?.parse()?, index: part()?.parse()? };
        // Numbers parse with a sign or zeros in front, but an ID has one text, by which clients compare.
        if position.to_string() == text { Ok(position) } else { Err(ParsePositionError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip_and_refusals() {
        let position = Position { partition: 3, offset: u64::MAX, index: 7 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "1", "1-2", "1-2-3-4", "1-2-x", "-1-2-3"] {
            assert_eq!(bad.parse::<Position>(), Err(ParsePositionError), "{bad}");
        }
    }
}
