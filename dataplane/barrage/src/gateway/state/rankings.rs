//! Rankings as the HTTP API shows them: the best of a room are read at once, and serve all who ask within a second, for
//! whichever page.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use tokio::{sync::Semaphore, time::timeout};

use barrage_core::{
    room::RoomId,
    store::{
        Store, StoreError,
        ranking::{Ranking, Scored},
    },
};

const SHARED_FOR: Duration = Duration::from_secs(1);
/// What is kept of all rooms: the best 10,000 of 200 rooms.
const KEPT_BYTES_MAX: u64 = 32 << 20;
/// Rooms that are read at the same time; further ones wait, so long at the most.
const READS_MAX: usize = 4;
const TURN_WITHIN: Duration = Duration::from_secs(3);

pub(crate) struct Rankings {
    kept: Cache<RoomId, Arc<[Scored]>>,
    reads: Semaphore,
}

impl Default for Rankings {
    fn default() -> Self {
        let bytes = |room: &RoomId, best: &Arc<[Scored]>| {
            u32::try_from(room.as_str().len() + size_of_val::<[Scored]>(best)).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().time_to_live(SHARED_FOR).max_capacity(KEPT_BYTES_MAX).weigher(bytes).build();
        Self { kept, reads: Semaphore::new(READS_MAX) }
    }
}

impl Rankings {
    /// The best `top` users of a room, as they were at most a second ago.
    pub(crate) async fn best(&self, store: &Store, room: &RoomId, top: u32) -> Result<Arc<[Scored]>, Arc<StoreError>> {
        self.shared(room, store.ranking(room, top)).await
    }

    async fn shared(
        &self,
        room: &RoomId,
        read: impl Future<Output = Result<Ranking, StoreError>>,
    ) -> Result<Arc<[Scored]>, Arc<StoreError>> {
        let in_turn = async {
            let Ok(_turn) = timeout(TURN_WITHIN, self.reads.acquire()).await else {
                let reason = format!("{READS_MAX} rankings are being read, and take longer than {TURN_WITHIN:?}");
                return Err(StoreError::Storage { doing: "read", reason });
            };
            Ok(read.await?.scores.into())
        };
        self.kept.try_get_with_by_ref(room, in_turn).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_share_one_read_and_rooms_take_turns() {
        let (rankings, reads, at_once, most) =
            (Rankings::default(), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let read = |user| {
            let (reads, at_once, most) = (&reads, &at_once, &most);
            async move {
                reads.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(at_once.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                at_once.fetch_sub(1, Ordering::Relaxed);
                Ok(Ranking { scores: vec![Scored { user, score: 1 }], ..Ranking::default() })
            }
        };
        let rooms: Vec<RoomId> = (0..20).map(|room| RoomId::from(format!("room-{room}").as_str())).collect();
        let asked = (0..200).map(|ask| rankings.shared(&rooms[ask % 20], read(ask as u64 % 20)));
        for (ask, best) in join_all(asked).await.into_iter().enumerate() {
            assert_eq!(best.unwrap()[0].user, ask as u64 % 20);
        }
        assert_eq!((reads.into_inner(), most.into_inner()), (20, READS_MAX));
    }

    #[tokio::test]
    async fn a_read_that_failed_is_not_kept() {
        let (rankings, room) = (Rankings::default(), RoomId::from("demo"));
        let failed = StoreError::Storage { doing: "read", reason: "gone".to_owned() };
        assert!(rankings.shared(&room, async { Err(failed) }).await.is_err());
        assert!(rankings.shared(&room, async { Ok(Ranking::default()) }).await.unwrap().is_empty());
    }
}
