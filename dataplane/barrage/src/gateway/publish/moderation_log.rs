//! Acts of moderation and likes on their way to the log, and how one learns that an act holds everywhere.
//!
//! An act is an entry in the slice of the user that it is about, so it goes round like a danmaku: to the store, to the
//! room's ranker, and with its next frame to every gateway. It is acknowledged when all gateways that follow the room
//! have that frame and the store has applied it: then nobody shows or gives out what it forbids.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use barrage_proto::{
    Position,
    log::{Act, Entry, Record},
};
use futures_util::future::join_all;
use prost::Message;
use thiserror::Error;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::gateway::state::{AwaitedAct, GatewayState, RoomState};
use barrage_core::{
    clock::unix_ms,
    log::{LogError, NewRecord},
    moderation::{ROOM_SHARD, RoomRules},
    room::RoomId,
    store::StoreError,
};

/// How long an act may take to every gateway and to the store: a frame takes tens of milliseconds, a request may take
/// five seconds.
const EVERYWHERE_WITHIN: Duration = Duration::from_secs(4);
/// How often the store is asked whether it has applied an act.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Likes are brought again for half of the minute in which the log knows them again.
const LIKES_TRIES: u32 = 30;
const LIKES_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An act is not known to hold everywhere.
#[derive(Debug, Error)]
pub(crate) enum ActError {
    /// It may or may not be kept.
    #[error("the log does not take it now; try again")]
    Log(#[from] LogError),
    /// It is kept and will hold, but not everybody has said so.
    #[error("it is kept, but not every gateway has said within 4 s that it holds there")]
    Gateways,
    /// As [`Self::Gateways`].
    #[error("it is kept and holds for viewers, but the store has not applied it within 4 s: history may still differ")]
    Store,
}

/// Does an act: returns its position when it holds everywhere.
pub(crate) async fn act(gateway: &GatewayState, room: &RoomState, shard: u32, act: Act) -> Result<Position, ActError> {
    // A session of its own, so that no other act is taken for a retry of this one.
    let entry = Entry { session: rand::random(), seq: 1, act: Some(act.into()), ..Entry::default() };
    let position = append(gateway, room.id(), shard, entry).await?;
    gateway.metrics.acts.inc();
    let (arrived, arrival) = oneshot::channel();
    let awaited = AwaitedAct { room: room.id().clone(), shard, position, arrived };
    let everywhere = async {
        gateway.hub.wait_for(awaited).await.map_err(|_| ActError::Gateways)?;
        arrival.await.map_err(|_| ActError::Gateways)
    };
    let (gateways, store) = tokio::join!(
        timeout(EVERYWHERE_WITHIN, everywhere),
        timeout(EVERYWHERE_WITHIN, applied(gateway, room.id(), shard, position))
    );
    gateways.map_err(|_| ActError::Gateways)??;
    store.map_err(|_| ActError::Store)?;
    Ok(position)
}

/// Waits until the store has applied an act.
async fn applied(gateway: &GatewayState, room: &RoomId, shard: u32, position: Position) {
    let includes = |rules: &RoomRules| rules.slice(shard).is_some_and(|rules| rules.through() >= Some(position));
    loop {
        match gateway.store.rules(room).await {
            Ok(rules) if includes(&rules) => return,
            Ok(_) | Err(StoreError::Storage { .. }) => {}
            Err(error) => tracing::warn!(%error, "an act waits for the store"),
        }
        sleep(ASK_EVERY).await;
    }
}

/// Appends an entry that is no danmaku.
async fn append(gateway: &GatewayState, room: &RoomId, shard: u32, entry: Entry) -> Result<Position, ActError> {
    let partition = gateway.routes.borrow().partition_of(room, shard);
    let record =
        Record { room: room.to_string(), shard, received_ms: unix_ms(), entries: vec![entry], ..Record::default() };
    let record = NewRecord { partition, payload: record.encode_to_vec().into(), trace: None };
    match gateway.log.append(vec![record]).await?.pop() {
        Some(offset) => Ok(Position { partition, offset, index: 0 }),
        None => Err(LogError::Closed.into()),
    }
}

/// Brings the likes of all rooms to the log, of all at once: none waits for another's.
pub(crate) async fn bring_likes(gateway: Arc<GatewayState>) {
    let liked = gateway.rooms().into_iter().filter_map(|room| {
        let likes = room.likes.swap(0, Ordering::Relaxed);
        (likes > 0).then(|| bring_likes_of(&gateway, room, likes))
    });
    join_all(liked).await;
}

/// What the log may not have is sent again under the same identity, so that it counts once.
async fn bring_likes_of(gateway: &GatewayState, room: Arc<RoomState>, likes: u64) {
    let entry = Entry { session: rand::random(), seq: 1, likes, ..Entry::default() };
    for _ in 0..LIKES_TRIES {
        match append(gateway, room.id(), ROOM_SHARD, entry.clone()).await {
            Ok(_) => break,
            Err(error) => tracing::debug!(room = %room.id(), %error, "likes wait"),
        }
        sleep(LIKES_AGAIN_AFTER).await;
    }
}
