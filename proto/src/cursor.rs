//! A viewer's resume cursor: up to where, in each slice of a room, it has been served.

use std::collections::BTreeMap;

use prost::Message;
use thiserror::Error;

use crate::{Position, generated::v2 as pb};

/// More slices than a room can have; bounds what a hostile cursor makes us hold.
const SLICES_MAX: usize = 1024;

/// The last danmaku of each slice (by shard) of one room that is covered. Empty covers nothing.
///
/// `index` is that of the last entry covered; [`u32::MAX`] says the whole record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    slices: BTreeMap<u32, Position>,
}

/// Bytes are not a cursor that a server of this system gave out.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum CursorError {
    /// Not the message that a cursor is.
    #[error("not a cursor; give back the bytes of a frame's cursor field as they came, or none")]
    Malformed,
    /// More slices than a room can have.
    #[error("a cursor of {found} slices; a room has at most {SLICES_MAX}")]
    TooManySlices {
        /// Slices there are.
        found: usize,
    },
}

impl Cursor {
    /// Marks everything up to and with `position` as covered; never goes back.
    pub fn advance(&mut self, shard: u32, position: Position) {
        let covered = self.slices.entry(shard).or_insert(position);
        *covered = (*covered).max(position);
    }

    /// Takes the later position of each slice.
    pub fn merge(&mut self, other: &Self) {
        for (shard, position) in other.iter() {
            self.advance(shard, position);
        }
    }

    /// Whether a danmaku of `shard` at `position` is covered.
    #[must_use]
    pub fn covers(&self, shard: u32, position: Position) -> bool {
        self.slices.get(&shard).is_some_and(|covered| *covered >= position)
    }

    /// Whether everything that `other` covers is covered.
    #[must_use]
    pub fn covers_all(&self, other: &Self) -> bool {
        other.iter().all(|(shard, position)| self.covers(shard, position))
    }

    /// The last position covered in a slice.
    #[must_use]
    pub fn position(&self, shard: u32) -> Option<Position> {
        self.slices.get(&shard).copied()
    }

    /// Shards with the last position covered, by shard.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Position)> + '_ {
        self.slices.iter().map(|(&shard, &position)| (shard, position))
    }

    /// Whether nothing is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// The bytes that a client is given.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let slices = self.iter().map(|(shard, position)| pb::SlicePosition {
            shard,
            partition: position.partition,
            offset: position.offset,
            rows: position.index.wrapping_add(1),
        });
        pb::Cursor { slices: slices.collect() }.encode_to_vec()
    }

    /// Reads the bytes that a client gives back.
    ///
    /// # Errors
    /// [`CursorError`]; the bytes are a client's and may be anything.
    pub fn decode(bytes: &[u8]) -> Result<Self, CursorError> {
        let message = pb::Cursor::decode(bytes).map_err(|_| CursorError::Malformed)?;
        let found = message.slices.len();
        if found > SLICES_MAX {
            return Err(CursorError::TooManySlices { found });
        }
        let mut cursor = Self::default();
        for slice in message.slices {
            let index = slice.rows.wrapping_sub(1);
            let pb::SlicePosition { shard, partition, offset, .. } = slice;
            cursor.advance(shard, Position { partition, offset, index });
        }
        Ok(cursor)
    }
}

impl FromIterator<(u32, Position)> for Cursor {
    fn from_iter<I: IntoIterator<Item = (u32, Position)>>(positions: I) -> Self {
        let mut cursor = Self::default();
        for (shard, position) in positions {
            cursor.advance(shard, position);
        }
        cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: u64, index: u32) -> Position {
        Position { partition: 2, offset, index }
    }

    #[test]
    fn bytes_round_trip_with_whole_and_partial_records() {
        let cursor: Cursor = [(0, position(7, 0)), (5, position(9, u32::MAX))].into_iter().collect();
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
    }

    #[test]
    fn covers_up_to_its_position_and_never_goes_back() {
        let mut cursor = Cursor::default();
        cursor.advance(1, position(7, 3));
        cursor.advance(1, position(6, 9));
        assert!(cursor.covers(1, position(7, 3)));
        assert!(!cursor.covers(1, position(7, 4)));
        assert!(!cursor.covers(0, position(0, 0)));
    }

    #[test]
    fn hostile_bytes_are_refused() {
        assert_eq!(Cursor::decode(&[0xff; 9]), Err(CursorError::Malformed));
        let many = pb::Cursor { slices: vec![pb::SlicePosition::default(); SLICES_MAX + 1] };
        assert_eq!(Cursor::decode(&many.encode_to_vec()), Err(CursorError::TooManySlices { found: SLICES_MAX + 1 }));
    }
}
