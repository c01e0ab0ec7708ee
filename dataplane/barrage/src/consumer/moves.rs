//! Slices that move between partitions, at their old owner and at their new one.
//!
//! The old owner gathers the gateways' ends of a move and closes it ([`closer`]). The new one cannot judge what repeats
//! an original of the old partition until it knows what stands there, up to the closing ([`windows`]): until then the
//! slice waits ([`holding`]) and all others go on. [`judge`] decides for every reader of a partition alike, by nothing
//! but the log.

mod closer;
mod departures;
mod holding;
mod judge;
mod search;
mod windows;

use barrage_proto::log::{Mark, Record, mark};
use prost::Message;

use super::poll::Slice;
use barrage_core::{clock::unix_ms, log::NewRecord};

pub use closer::Gateways;
pub(super) use closer::close;
pub(super) use holding::Holding;
pub(super) use judge::{Judge, Verdict};
pub(super) use windows::{Arrivals, Wait, find_windows, owner_epoch};

/// The mark that closes a slice's move out of `partition`. `from` is where the slice was before it came there.
fn closing((room, shard): &Slice, number: u32, partition: u32, from: Option<u32>) -> NewRecord {
    let mark = Mark { kind: mark::Kind::Closed.into(), r#move: number, member: String::new(), from };
    let record = Record {
        room: room.to_string(),
        shard: *shard,
        received_ms: unix_ms(),
        moved: number.saturating_sub(1),
        mark: Some(mark),
        ..Record::default()
    };
    NewRecord { partition, payload: record.encode_to_vec().into(), trace: None }
}
