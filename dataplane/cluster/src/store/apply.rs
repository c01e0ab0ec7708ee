//! Records of one slice on their way into Redis: what they come to, and what the script's answer means.
//!
//! The applied position of a slice is (partition, offset of the last record applied), and an offset of -1 where nothing is
//! applied yet. The script writes only if it finds the very offset that the caller names, so of several calls for the same
//! records, late ones included, one takes effect.

use barrage_proto::log::Record;
use redis::{RedisError, Value};

use super::{config::failed, keys::slot_of, shared::Shared};
use barrage_core::store::{Applied, SliceBatch, SliceRecord, StoreError, block, heat};
use barrage_core::{hash::FastMap, moderation};

/// How often another position may be found than the last one: others apply the same records at the same time.
const TURNS: usize = 4;

enum Answer {
    Ok,
    Lost,
    Fenced(u64),
    /// Another offset.
    At(i64),
    /// Another partition, which is impossible as long as the log stays.
    Elsewhere(u32),
    /// An earlier version wrote it, after the slice had moved to another partition.
    Moved,
}

/// Applies a batch, or finds out why not.
pub(super) async fn apply(shared: &Shared, batch: &SliceBatch) -> Result<Applied, StoreError> {
    let mut at = batch.expected.map(|expected| i64::try_from(expected.offset).unwrap_or(i64::MAX));
    for _ in 0..TURNS {
        let known = batch.records.partition_point(|record| at.is_some_and(|at| i128::from(record.offset) <= at.into()));
        let records = &batch.records[known..];
        match call(shared, batch, at, records).await? {
            Answer::Ok => {
                shared.metrics.applied_danmaku.inc_by(records.iter().map(|one| block::rows(&one.record)).sum());
                shared.metrics.skipped_records.inc_by(known as u64);
                return Ok(Applied::Whole);
            }
            Answer::Lost => {
                shared.metrics.lost.inc();
                return Ok(Applied::Lost);
            }
            Answer::Fenced(epoch) => {
                shared.metrics.fenced.inc();
                return Ok(Applied::Fenced(epoch));
            }
            Answer::At(offset) if is_behind(batch, offset) => return Ok(behind(shared)),
            Answer::At(offset) if includes(batch, offset) => return Ok(Applied::Whole),
            Answer::At(offset) => at = Some(offset),
            Answer::Elsewhere(partition) => {
                let of =
                    format!("{}:{} is in partition {partition}, not in {}", batch.room, batch.shard, batch.partition);
                return Err(failed("written", of));
            }
            Answer::Moved => {
                let of = format!(
                    "{}:{} had moved to another partition under an earlier version: go on with that version, or make a \
                     new pool",
                    batch.room, batch.shard
                );
                return Err(failed("written", of));
            }
        }
    }
    Err(failed("written", format!("{}:{} is being applied by others", batch.room, batch.shard)))
}

async fn call(
    shared: &Shared,
    batch: &SliceBatch,
    at: Option<i64>,
    records: &[SliceRecord],
) -> Result<Answer, StoreError> {
    let keys = shared.keys.slice(&batch.room, batch.shard);
    let marker = shared.keys.marker(slot_of(&keys.applied));
    let rules = match records.iter().any(|one| moderation::concerns(&one.record)) {
        true => Some(super::rules::with(shared, &keys, batch, records).await?),
        false => None,
    };
    let answer = shared
        .calls
        .script::<Vec<Value>>(
            &shared.scripts.apply,
            &[&keys.applied, &keys.rank, &keys.hist, &marker, &keys.rules],
            &arguments(batch, at, records, rules),
        )
        .await;
    let answer = answer.map_err(|error| {
        let reason = format!("{}:{}: {error}", batch.room, batch.shard);
        if is_for_good(&error) { StoreError::Refused { reason } } else { failed("written", reason) }
    })?;
    read(&answer).ok_or_else(|| failed("written", format!("the script says {answer:?}")))
}

/// Whether the script would be refused again, whatever passes: a command in it cannot be done on what is there. What
/// a node says of itself (memory, disk, role, slots, rights) passes, or somebody sees to it.
fn is_for_good(error: &RedisError) -> bool {
    match error.code() {
        Some("WRONGTYPE") => true,
        Some("ERR") => error.detail().is_some_and(|detail| detail.contains("@user_script")),
        _ => false,
    }
}

/// What the script takes, in its order.
fn arguments(
    batch: &SliceBatch,
    at: Option<i64>,
    records: &[SliceRecord],
    rules: Option<(u64, Vec<u8>)>,
) -> Vec<Vec<u8>> {
    let rows: u64 = records.iter().map(|one| block::rows(&one.record)).sum();
    let last = records.last().map_or_else(|| at.unwrap_or(-1).to_string(), |last| last.offset.to_string());
    let received_ms = records.last().map_or(0, |last| last.record.received_ms);
    let age = if batch.history_age_ms < AGE_MS_MAX { batch.history_age_ms.to_string() } else { String::new() };
    let flag = |set: bool| if set { "1" } else { "" }.to_owned();
    let texts = [
        flag(batch.rebuilding),
        batch.owner_epoch.to_string(),
        batch.partition.to_string(),
        at.map_or_else(String::new, |at| at.to_string()),
        flag(batch.expected.is_some()),
        last,
        batch.history_length.to_string(),
        age,
        rows.to_string(),
        received_ms.to_string(),
    ];
    let mut arguments: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    arguments.push(if rows > 0 { block::encode_all(records) } else { Vec::new() });
    let (version, rules) = rules.unwrap_or_default();
    let heat = super::heat::argument(&heat::steps(records));
    arguments.extend([rules, version.to_string().into_bytes(), heat]);
    for (user, points) in points(records.iter().map(|one| &*one.record)) {
        arguments.push(member(user).to_vec());
        arguments.push(points.to_string().into_bytes());
    }
    arguments
}

/// Ages from here on are for ever: a thousand years, which Redis can still count.
const AGE_MS_MAX: i64 = 1_000 * 365 * 24 * 3_600 * 1_000;

/// One a user, not a danmaku.
fn points<'a>(records: impl Iterator<Item = &'a Record>) -> FastMap<u64, u64> {
    let mut points = FastMap::default();
    for entry in records.flat_map(|record| &record.entries).filter(|entry| entry.user != 0) {
        *points.entry(entry.user).or_default() += block::points(entry);
    }
    points
}

/// A user in a ranking: members of one score come in falling order, so that the lower user ID is first.
pub(super) const fn member(user: u64) -> [u8; 8] {
    (!user).to_be_bytes()
}

/// The user of a member.
pub(super) fn user_of(member: &[u8]) -> Option<u64> {
    Some(!u64::from_be_bytes(member.try_into().ok()?))
}

/// Whether a position is below what the caller had applied.
fn is_behind(batch: &SliceBatch, offset: i64) -> bool {
    batch.expected.is_some_and(|expected| i128::from(offset) < expected.offset.into())
}

/// Whether a slice that is applied up to `offset` includes the batch.
fn includes(batch: &SliceBatch, offset: i64) -> bool {
    let last = batch.records.last().map_or(-1, |last| last.offset.into());
    last <= i128::from(offset)
}

fn behind(shared: &Shared) -> Applied {
    shared.metrics.behind.inc();
    Applied::Behind
}

fn read(answer: &[Value]) -> Option<Answer> {
    let texts: Vec<_> = answer.iter().map(text).collect::<Option<_>>()?;
    Some(match texts.as_slice() {
        ["ok"] => Answer::Ok,
        ["lost"] => Answer::Lost,
        ["fenced", epoch] => Answer::Fenced(epoch.parse().ok()?),
        ["at", offset] => Answer::At(offset.parse().ok()?),
        ["elsewhere", partition] => Answer::Elsewhere(partition.parse().ok()?),
        ["moved"] => Answer::Moved,
        _ => return None,
    })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use barrage_proto::log::{Entry, Gift};

    use super::*;

    #[test]
    fn members_of_one_score_in_falling_order_are_users_in_rising_order() {
        let mut users = [7, u64::MAX, 1, 1 << 63];
        users.sort_by_key(|user| std::cmp::Reverse(member(*user)));
        assert_eq!(users, [1, 7, 1 << 63, u64::MAX]);
        assert!(users.iter().all(|user| user_of(&member(*user)) == Some(*user)));
    }

    #[test]
    fn users_get_a_point_for_each_danmaku_and_more_for_gifts_and_nobody_for_those_that_do_not_count() {
        let mut entries = [7, 0, 9, 7].map(|user| Entry { user, ..Entry::default() }).to_vec();
        entries[2].gift = Some(Gift { value: 500, ..Gift::default() }.into());
        let record = Record { entries, ..Record::default() };
        assert_eq!(points([&record, &record].into_iter()), [(7, 4), (9, 1_002)].into_iter().collect());
    }
}
