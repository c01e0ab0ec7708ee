//! Senders' own danmaku: who sent one sees it, also when the room's frame leaves it out.
//!
//! An own danmaku waits here from its acceptance until a flush shows it (then the sender sees it with everybody) or
//! accounts for it without showing it (then it goes to the sender singly). The flush may come before the log's
//! acknowledgement that tells where the danmaku stands; either order works.

use std::{collections::HashMap, rc::Weak};

use barrage_proto::{Cursor, Position, log::Entry, v2::Encoder};
use bytes::Bytes;

use crate::gateway::encode::{Flush, Version, batches, message, message_of, v1_frame};
use barrage_core::link::Danmaku;

/// A sender's own danmaku on their way.
pub(super) struct Echoes<V> {
    /// By (user, session, sequence number): sessions are the clients' choice, so they alone name nobody.
    waiting: HashMap<(u64, u64, u64), Own<V>>,
}

impl<V> Default for Echoes<V> {
    fn default() -> Self {
        Self { waiting: HashMap::new() }
    }
}

const fn identity(danmaku: &Danmaku) -> (u64, u64, u64) {
    (danmaku.user, danmaku.session, danmaku.seq)
}

/// A danmaku that its sender is to see.
pub(super) struct Own<V> {
    pub(super) sender: Weak<V>,
    shard: u32,
    pub(super) danmaku: Danmaku,
    acknowledged: bool,
}

impl<V> Echoes<V> {
    /// A danmaku was accepted; its position is not known yet.
    pub(super) fn accepted(&mut self, sender: Weak<V>, shard: u32, danmaku: Danmaku) {
        let own = Own { sender, shard, danmaku, acknowledged: false };
        self.waiting.insert(identity(&own.danmaku), own);
    }

    /// The log does not have it.
    pub(super) fn refused(&mut self, entry: &Entry) {
        self.waiting.remove(&(entry.user, entry.session, entry.seq));
    }

    /// The log has it at `position`; gives it when a flush has accounted for it already.
    pub(super) fn acknowledged(&mut self, entry: &Entry, position: Position, watermark: &Cursor) -> Option<Own<V>> {
        let identity = (entry.user, entry.session, entry.seq);
        let own = self.waiting.get_mut(&identity)?;
        own.danmaku.position = position;
        own.acknowledged = true;
        if !watermark.covers(own.shard, position) {
            return None;
        }
        self.waiting.remove(&identity)
    }

    /// A flush was written; `watermark` is the room's with it. Gives those that it left out, in order.
    pub(super) fn flushed(&mut self, flush: &Flush, watermark: &Cursor) -> Vec<Own<V>> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        for shown in &flush.danmaku {
            self.waiting.remove(&identity(shown));
        }
        let accounted = |own: &Own<V>| own.acknowledged && watermark.covers(own.shard, own.danmaku.position);
        let mut left_out: Vec<_> = self.waiting.extract_if(|_, own| accounted(own)).map(|(_, own)| own).collect();
        left_out.sort_unstable_by_key(|own| own.danmaku.position);
        left_out
    }
}

impl<V> Own<V> {
    /// The message that shows it to its sender alone.
    pub(super) fn message(&self, version: Version, encoder: &mut Encoder) -> Bytes {
        match version {
            Version::V1 => {
                let mut frame = Vec::new();
                v1_frame(&self.danmaku, &mut frame);
                message(&frame)
            }
            Version::V2 => {
                let mut batch = batches(std::iter::once(&self.danmaku)).pop().unwrap_or_default();
                batch.echo = true;
                message_of(&batch, encoder)
            }
        }
    }
}
