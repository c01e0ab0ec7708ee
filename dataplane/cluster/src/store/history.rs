//! Pages of the history from Redis: streams of blocks, read at replicas, which may be behind.
//!
//! A block's ID is `0-<offset after its last record>`. A page claims to include what was read, not what a master has:
//! so it is right in itself, however far behind a replica is. Only what reads on *downwards* from a position is asked of
//! masters: a replica that does not have that position yet would leave a hole below it.

use std::sync::Arc;

use barrage_proto::{Cursor, Position};
use redis::{Cmd, cmd};
use tokio::task::JoinSet;

use super::{config::failed, rules, shared::Shared};
use barrage_core::store::{
    StoreError, block,
    history::{self, Direction, HistoryItem, HistoryPage, make_monotonic},
};
use barrage_core::{
    moderation::Rules,
    room::{RoomId, SHARDS},
};

/// Blocks asked for at first; a block has a danmaku in a quiet room, and hundreds in a loud one.
const BLOCKS: usize = 16;

/// A stream's entries: ID and fields.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

struct Part {
    shard: u32,
    items: Vec<HistoryItem>,
    /// The last record that was there.
    end: Option<Position>,
}

pub(super) async fn page(
    shared: &Arc<Shared>,
    room: &RoomId,
    direction: Direction,
    from: Cursor,
    limit: usize,
) -> Result<HistoryPage, StoreError> {
    let mut tasks = JoinSet::new();
    for shard in 0..SHARDS {
        let (shared, keys, bound) = (Arc::clone(shared), shared.keys.slice(room, shard), from.position(shard));
        tasks.spawn(async move {
            // Before the danmaku: what is removed while these are read may still be in them, what was removed is not.
            let rules = rules::of_key(&shared, &keys.rules).await?;
            let read = Read { shared: &shared, key: &keys.hist, shard, limit, rules };
            match direction {
                Direction::After => read.after(bound).await,
                Direction::Before => read.before(bound).await,
            }
        });
    }
    let (mut applied, mut items) = (Cursor::default(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let part = done.map_err(|error| failed("read", error.to_string())).flatten()?;
        // A slice whose history is gone keeps its place in the cursors.
        if let Some(end) = part.end.max(from.position(part.shard)) {
            applied.advance(part.shard, end);
        }
        items.extend(part.items);
    }
    Ok(history::page(direction, &from, limit, applied, items))
}

/// One slice to read.
pub(super) struct Read<'a> {
    pub(super) shared: &'a Shared,
    pub(super) key: &'a str,
    pub(super) shard: u32,
    pub(super) limit: usize,
    pub(super) rules: Rules,
}

impl Read<'_> {
    /// The oldest behind `covered`, one more than the limit if there are so many.
    async fn after(&self, covered: Option<Position>) -> Result<Part, StoreError> {
        let first = covered.map_or_else(|| "-".to_owned(), block_of);
        let mut part = Part { shard: self.shard, items: Vec::new(), end: None };
        let mut count = BLOCKS;
        loop {
            let entries: Entries = self.ask(range("XRANGE", self.key, &first, "+", count), false).await?;
            let (items, end) = self.read(&entries)?;
            part.items = items;
            part.items.retain(|item| Some(item.position) > covered);
            part.end = end;
            if entries.len() < count {
                break;
            }
            if part.items.len() > self.limit {
                let newest: Entries = self.ask(range("XREVRANGE", self.key, "+", "-", 1), false).await?;
                part.end = part.end.max(self.read(&newest)?.1);
                break;
            }
            count *= 2;
        }
        make_monotonic(&mut part.items);
        part.items.truncate(self.limit + 1);
        Ok(part)
    }

    /// The newest before `bound`, one more than the limit if there are so many.
    async fn before(&self, bound: Option<Position>) -> Result<Part, StoreError> {
        let last = match bound {
            Some(bound) => self.block_at(bound).await?,
            None => "+".to_owned(),
        };
        let mut part = Part { shard: self.shard, items: Vec::new(), end: None };
        let mut count = BLOCKS;
        loop {
            // From the end again, not on from the last: another replica might answer, and lack what lies between.
            let mut entries: Entries =
                self.ask(range("XREVRANGE", self.key, &last, "-", count), bound.is_some()).await?;
            entries.reverse();
            (part.items, part.end) = self.read(&entries)?;
            part.items.retain(|item| bound.is_none_or(|bound| item.position < bound));
            if entries.len() < count || part.items.len() > self.limit {
                break;
            }
            count *= 2;
        }
        make_monotonic(&mut part.items);
        part.items.drain(..part.items.len().saturating_sub(self.limit + 1));
        Ok(part)
    }

    /// ID of the block that has a position, or of the next one.
    async fn block_at(&self, position: Position) -> Result<String, StoreError> {
        let first = block_of(position);
        let found: Entries = self.ask(range("XRANGE", self.key, &first, "+", 1), true).await?;
        Ok(found.into_iter().next().map_or(first, |(id, _)| id))
    }

    pub(super) async fn last(&self) -> Result<Option<Position>, StoreError> {
        let newest: Entries = self.ask(range("XREVRANGE", self.key, "+", "-", 1), true).await?;
        Ok(newest.first().and_then(|(id, fields)| Some(parse(id, fields)?.0)))
    }

    /// Where the first block that reaches a position ends, and when its last record was received.
    pub(super) async fn end_from(&self, position: Position) -> Result<Option<(Position, i64)>, StoreError> {
        let found: Entries = self.ask(range("XRANGE", self.key, &block_of(position), "+", 1), true).await?;
        let Some((id, fields)) = found.first() else { return Ok(None) };
        Ok(parse(id, fields).and_then(|(end, _)| Some((end, received_ms(fields)?))))
    }

    /// What may be seen of the block that has a position, or of the next one.
    pub(super) async fn block_of(&self, position: Position) -> Result<Vec<HistoryItem>, StoreError> {
        let found: Entries = self.ask(range("XRANGE", self.key, &block_of(position), "+", 1), true).await?;
        Ok(self.read(&found)?.0)
    }

    async fn ask(&self, command: Cmd, at_master: bool) -> Result<Entries, StoreError> {
        let entries = match at_master {
            true => self.shared.calls.send_to_master(self.key, command).await,
            false => self.shared.calls.read(self.key, command).await,
        };
        entries.map_err(|error| failed("read", format!("{}: {error}", self.key)))
    }

    /// The danmaku of entries, and where the last of them ends.
    fn read(&self, entries: &Entries) -> Result<(Vec<HistoryItem>, Option<Position>), StoreError> {
        let (mut items, mut end) = (Vec::new(), None);
        for (id, fields) in entries {
            let damaged = || failed("read", format!("{}: block {id} is damaged", self.key));
            let (last, block) = parse(id, fields).ok_or_else(damaged)?;
            for record in block::decode_all(block).map_err(|_| damaged())? {
                let of_record = block::items(record, self.shard, last.partition);
                items.extend(of_record.filter(|item| item.is_visible(&self.rules)));
            }
            end = Some(last);
        }
        Ok((items, end))
    }
}

/// The last record of a block, and the block.
fn parse<'a>(id: &str, fields: &'a [Vec<u8>]) -> Option<(Position, &'a [u8])> {
    let field = |name: &[u8]| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &*pair[1]);
    let end = id.strip_prefix("0-")?;
    let partition = std::str::from_utf8(field(b"p")?).ok()?.parse().ok()?;
    let offset = end.parse::<u64>().ok()?.checked_sub(1)?;
    Some((Position { partition, offset, index: u32::MAX }, field(b"b")?))
}

fn received_ms(fields: &[Vec<u8>]) -> Option<i64> {
    let field = fields.chunks_exact(2).find(|pair| pair[0] == b"t").map(|pair| &*pair[1])?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// The lowest ID that the block of a position can have.
fn block_of(position: Position) -> String {
    format!("0-{}", position.offset.saturating_add(1))
}

fn range(name: &str, key: &str, from: &str, to: &str, count: usize) -> Cmd {
    cmd(name).arg(key).arg(from).arg(to).arg("COUNT").arg(count).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_from_any_position_in_it() {
        let fields = ["n", "2", "t", "9", "p", "5", "b", "x"].map(|text| text.as_bytes().to_vec());
        let (last, block) = parse("0-8", &fields).unwrap();
        assert_eq!(last, Position { partition: 5, offset: 7, index: u32::MAX });
        assert_eq!(block, b"x");
        assert_eq!(block_of(last), "0-8");
        assert_eq!(block_of(Position { offset: 0, ..last }), "0-1", "no block is below");
    }
}
