//! Rooms on their way to this ranker: their candidates wait until the ledger is read.

use std::time::Duration;

use tokio::{sync::mpsc, time::sleep};

use super::{Answer, checks};
use barrage_core::{
    clock::unix_ms,
    health::Health,
    link::Candidates,
    room::RoomId,
    store::{Store, StoreError},
};

/// Danmaku that wait for a room's ledger at the most: a few seconds of a busy room.
const HELD_DANMAKU_MAX: usize = 100_000;
/// How long a consumer's table and this ranker's may differ.
const STRANGER_MS_MAX: i64 = 2_000;
/// How long to wait before a read of the store that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Candidates of a room that is not here yet.
#[derive(Default)]
pub(super) struct Arriving {
    taking_over: bool,
    held: Vec<Candidates>,
    danmaku: usize,
    since_ms: Option<i64>,
}

impl Arriving {
    /// Whether its ledger is to be read now; true once.
    pub(super) const fn takes_over(&mut self) -> bool {
        !std::mem::replace(&mut self.taking_over, true)
    }

    /// Holds candidates; false when there are too many.
    pub(super) fn hold(&mut self, candidates: Candidates) -> bool {
        self.since_ms.get_or_insert_with(unix_ms);
        // A record without danmaku counts, too.
        self.danmaku += candidates.count() + 1;
        self.held.push(candidates);
        self.danmaku <= HELD_DANMAKU_MAX
    }

    /// Whether the table has not given the room to this ranker for too long.
    pub(super) fn is_stranger(&self, now_ms: i64) -> bool {
        !self.taking_over && self.since_ms.is_some_and(|since_ms| now_ms - since_ms > STRANGER_MS_MAX)
    }

    pub(super) fn into_candidates(self) -> Vec<Candidates> {
        self.held
    }
}

/// Takes a room's ledger over beside the beat. Without it a room would count and show again what it has.
pub(super) fn read_ledger(store: Store, room: RoomId, health: Health, answers: mpsc::Sender<Answer>) {
    tokio::spawn(async move {
        while !answers.is_closed() {
            let taken = async { Ok::<_, StoreError>((store.take_ledger(&room).await?, store.rules(&room).await?)) };
            match taken.await {
                Ok((ledger, rules)) => {
                    health.ok(checks::STORE);
                    // The ranker that asked is gone: the next takes a higher epoch.
                    let _ = answers.send(Answer::Ledger(room, ledger, rules)).await;
                    return;
                }
                Err(error) => {
                    health.degraded(checks::STORE, format!("{error}; rooms that begin now wait"));
                    tracing::warn!(%room, %error, "taking the room over is tried again");
                }
            }
            sleep(RETRY_AFTER).await;
        }
    });
}
