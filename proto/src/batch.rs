//! Rows of a [`Batch`]: what one danmaku is, whatever the columns that carry it.

use thiserror::Error;

use crate::{Position, v2::pb};
use pb::{Batch, DanmakuId, Mode, Role, Size};

/// One danmaku as viewers get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row<'a> {
    /// Where it stands in the log: its ID.
    pub position: Position,
    pub user: u64,
    /// Unix time of sending, ms, by the sender's clock.
    pub sent_ms: i64,
    pub role: Role,
    pub content: &'a str,
    pub mode: Mode,
    /// 0xRRGGBB; 0 for the viewer's own default.
    pub colour: u32,
    /// Size of the text.
    pub size: Size,
    /// What it answers, and who wrote that.
    pub reply: Option<(Position, u64)>,
    pub gift: Option<Gift<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gift<'a> {
    pub value: u64,
    pub name: &'a str,
    pub count: u32,
    /// How long it stays on screens, s; 0 when it does not.
    pub stay_s: u32,
}

/// Columns that do not make rows.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the columns of a batch have different lengths, or rows are named that are none")]
pub struct UnevenColumns;

/// A row stands in another partition than those before: start another batch with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the row stands in another partition than those before")]
pub struct OtherPartition;

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
    /// Adds a row.
    ///
    /// # Errors
    /// [`OtherPartition`].
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), OtherPartition> {
        let batch = &mut self.batch;
        if batch.user.is_empty() {
            batch.partition = row.position.partition;
        } else if batch.partition != row.position.partition {
            return Err(OtherPartition);
        }
        fill_column(&mut batch.index, row.position.index, batch.user.len());
        fill_column(&mut batch.role, row.role as i32, batch.user.len());
        fill_column(&mut batch.mode, row.mode as i32, batch.user.len());
        fill_column(&mut batch.colour, row.colour, batch.user.len());
        fill_column(&mut batch.size, row.size as i32, batch.user.len());
        // A record of the log has 1 MiB at the most, so rows fit far into 32 bits.
        let number = u32::try_from(batch.user.len()).unwrap_or(u32::MAX);
        if let Some((to, user)) = row.reply {
            batch.reply.push(pb::Reply { row: number, to: Some(to.into()), user });
        }
        if let Some(Gift { value, name, count, stay_s }) = row.gift {
            batch.gift.push(pb::Gift { row: number, value, name: name.to_owned(), count, stay_s });
        }
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
    check(batch)?;
    let mut sent_ms = 0_i64;
    let mut offset = 0_u64;
    let (mut replies, mut gifts) = (batch.reply.iter().peekable(), batch.gift.iter().peekable());
    Ok((0..batch.user.len()).map(move |i| {
        sent_ms = sent_ms.wrapping_add(batch.sent_delta_ms[i]);
        offset = offset.wrapping_add_signed(batch.offset_delta[i]);
        let index = batch.index.get(i).copied().unwrap_or_default();
        let of_row = |row: u32| row as usize == i;
        let reply = replies.next_if(|reply| of_row(reply.row));
        let gift = gifts.next_if(|gift| of_row(gift.row));
        Row {
            position: Position { partition: batch.partition, offset, index },
            user: batch.user[i],
            sent_ms,
            role: batch.role.get(i).and_then(|&role| Role::try_from(role).ok()).unwrap_or_default(),
            content: &batch.content[i],
            mode: batch.mode.get(i).and_then(|&mode| Mode::try_from(mode).ok()).unwrap_or_default(),
            colour: batch.colour.get(i).copied().unwrap_or_default(),
            size: batch.size.get(i).and_then(|&size| Size::try_from(size).ok()).unwrap_or_default(),
            reply: reply.map(|reply| (reply.to.unwrap_or_default().into(), reply.user)),
            gift: gift.map(|gift| {
                let (value, count, stay_s) = (gift.value, gift.count, gift.stay_s);
                Gift { value, name: &gift.name, count, stay_s }
            }),
        }
    }))
}

fn check(batch: &Batch) -> Result<(), UnevenColumns> {
    let count = batch.user.len();
    let full = [batch.sent_delta_ms.len(), batch.content.len(), batch.offset_delta.len()];
    let optional = [batch.index.len(), batch.role.len(), batch.mode.len(), batch.colour.len(), batch.size.len()];
    let rising = |rows: &mut dyn Iterator<Item = u32>| {
        let rows: Vec<_> = rows.collect();
        rows.windows(2).all(|pair| pair[0] < pair[1]) && rows.last().is_none_or(|&last| (last as usize) < count)
    };
    let even = full.iter().all(|&len| len == count) && optional.iter().all(|&len| len == count || len == 0);
    let sparse =
        rising(&mut batch.reply.iter().map(|reply| reply.row)) && rising(&mut batch.gift.iter().map(|gift| gift.row));
    if even && sparse { Ok(()) } else { Err(UnevenColumns) }
}

impl From<Position> for DanmakuId {
    fn from(Position { partition, offset, index, .. }: Position) -> Self {
        Self { partition, offset, index }
    }
}

impl From<DanmakuId> for Position {
    fn from(DanmakuId { partition, offset, index }: DanmakuId) -> Self {
        Self { partition, offset, index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Fields = (u64, u32, u64, i64, i32, String);

    fn row(fields: &Fields) -> Row<'_> {
        let (offset, index, user, sent_ms, role, content) = fields;
        Row {
            position: Position { partition: 5, offset: *offset, index: *index },
            user: *user,
            sent_ms: *sent_ms,
            role: Role::try_from(*role).unwrap(),
            content,
            mode: Mode::try_from(*role).unwrap(),
            colour: *index * 0xff_00ff,
            size: Size::try_from(*role % 3).unwrap(),
            reply: (*index == 1).then_some((Position { partition: 5, offset: *user, index: 9 }, *user)),
            gift: (*role == 2).then_some(Gift { value: *user, name: content, count: 3, stay_s: *index }),
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(fields in prop::collection::vec(any::<(u64, u32, u64, i64)>(), 0..20), role in 0..4_i32) {
            let fields: Vec<Fields> =
                fields.into_iter().map(|(o, i, u, t)| (o, i % 2, u, t, role, format!("{u} 弹幕"))).collect();
            let mut builder = BatchBuilder::default();
            for field in &fields {
                builder.push(&row(field)).unwrap();
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
        builder.push(&row(&fields)).unwrap();
        let mut other = row(&fields);
        other.position.partition = 6;
        assert_eq!(builder.push(&other), Err(OtherPartition));
        let mut batch = builder.build();
        let mut with_reply = batch.clone();
        with_reply.reply = [0, 0].map(|row| pb::Reply { row, ..pb::Reply::default() }).into();
        assert!(rows(&with_reply).is_err(), "twice the same row");
        with_reply.reply = vec![pb::Reply { row: 1, ..pb::Reply::default() }];
        assert!(rows(&with_reply).is_err(), "a row that is none");
        batch.user.push(9);
        assert!(rows(&batch).is_err());
    }
}
