//! Rows of a [`Batch`]: what one danmaku is, whatever the columns that carry it.

use thiserror::Error;

use crate::{Position, v2::pb};
use pb::{Batch, Role};

/// One danmaku as viewers get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Where it stands in the log: its ID.
    pub position: Position,
    /// Who sent it.
    pub user: u64,
    /// Unix time of sending, ms, by the sender's clock.
    pub sent_ms: i64,
    /// What the sender is in the room.
    pub role: Role,
    /// The text.
    pub content: &'a str,
}

/// Columns that do not make rows.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the columns of a batch have different lengths")]
pub struct UnevenColumns;

/// Fills the columns of a batch row by row.
///
/// All rows of a batch share a partition; [`BatchBuilder::push`] says when another batch is due.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: Batch,
    last_ms: i64,
    last_offset: u64,
}

impl BatchBuilder {
    /// Adds a row; gives it back if it stands in another partition than the rows before.
    ///
    /// # Errors
    /// The row itself: start another batch with it.
    pub fn push<'a>(&mut self, row: Row<'a>) -> Result<(), Row<'a>> {
        let batch = &mut self.batch;
        if batch.user.is_empty() {
            batch.partition = row.position.partition;
        } else if batch.partition != row.position.partition {
            return Err(row);
        }
        fill_column(&mut batch.index, row.position.index, batch.user.len());
        fill_column(&mut batch.role, row.role as i32, batch.user.len());
        batch.sent_delta_ms.push(row.sent_ms.wrapping_sub(self.last_ms));
        batch.user.push(row.user);
        batch.content.push(row.content.to_owned());
        batch.offset_delta.push(row.position.offset.wrapping_sub(self.last_offset).cast_signed());
        self.last_ms = row.sent_ms;
        self.last_offset = row.position.offset;
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.user.len()
    }

    /// Whether there is no row yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.user.is_empty()
    }

    /// The batch, with only its columns filled.
    #[must_use]
    pub fn build(self) -> Batch {
        self.batch
    }
}

/// A column that is all 0 stays empty; the first other value fills it up to its row.
fn fill_column<T: Default + Clone + PartialEq>(column: &mut Vec<T>, value: T, row: usize) {
    if column.is_empty() && value == T::default() {
        return;
    }
    column.resize(row, T::default());
    column.push(value);
}

/// The rows of a received batch.
///
/// # Errors
/// [`UnevenColumns`]: a peer's mistake.
pub fn rows(batch: &Batch) -> Result<impl Iterator<Item = Row<'_>>, UnevenColumns> {
    let count = batch.user.len();
    let full = [batch.sent_delta_ms.len(), batch.content.len(), batch.offset_delta.len()];
    let optional = [batch.index.len(), batch.role.len()];
    if full.iter().any(|&len| len != count) || optional.iter().any(|&len| len != count && len != 0) {
        return Err(UnevenColumns);
    }
    let mut sent_ms = 0_i64;
    let mut offset = 0_u64;
    Ok((0..count).map(move |i| {
        sent_ms = sent_ms.wrapping_add(batch.sent_delta_ms[i]);
        offset = offset.wrapping_add_signed(batch.offset_delta[i]);
        let index = batch.index.get(i).copied().unwrap_or_default();
        Row {
            position: Position { moved: 0, partition: batch.partition, offset, index },
            user: batch.user[i],
            sent_ms,
            role: batch.role.get(i).and_then(|&role| Role::try_from(role).ok()).unwrap_or_default(),
            content: &batch.content[i],
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Fields = (u64, u32, u64, i64, i32, String);

    fn row(fields: &Fields) -> Row<'_> {
        let (offset, index, user, sent_ms, role, content) = fields;
        Row {
            position: Position { moved: 0, partition: 5, offset: *offset, index: *index },
            user: *user,
            sent_ms: *sent_ms,
            role: Role::try_from(*role).unwrap(),
            content,
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(fields in prop::collection::vec(any::<(u64, u32, u64, i64)>(), 0..20), role in 0..4_i32) {
            let fields: Vec<Fields> =
                fields.into_iter().map(|(o, i, u, t)| (o, i % 2, u, t, role, format!("{u} 弹幕"))).collect();
            let mut builder = BatchBuilder::default();
            for field in &fields {
                builder.push(row(field)).unwrap();
            }
            let batch = builder.build();
            let expected: Vec<_> = fields.iter().map(row).collect();
            prop_assert_eq!(rows(&batch).unwrap().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn another_partition_is_given_back_and_uneven_columns_are_refused() {
        let fields = (1, 0, 2, 3, 0, String::from("x"));
        let mut builder = BatchBuilder::default();
        builder.push(row(&fields)).unwrap();
        let mut other = row(&fields);
        other.position.partition = 6;
        assert_eq!(builder.push(other), Err(other));
        let mut batch = builder.build();
        batch.user.push(9);
        assert!(rows(&batch).is_err());
    }
}
