//! Senders' own danmaku: who sent one sees it, also when the room's frame leaves it out.
//!
//! An own danmaku waits here from its acceptance until a flush shows it (then the sender sees it with everybody) or
//! accounts for it without showing it (then it goes to the sender singly). The flush may come before the log's
//! acknowledgement that tells where the danmaku stands; either order works.

use std::{collections::HashMap, rc::Weak};

use barrage_proto::{Cursor, Position, log::Entry};

use super::{
    connection::{Version, Viewer},
    encode::{Flush, batches, message, message_of, v1_frame},
};
use barrage_core::link::Danmaku;

/// A sender's own danmaku on their way.
#[derive(Default)]
pub(super) struct Echoes {
    /// By (user, session, sequence number): sessions are the clients' choice, so they alone name nobody.
    waiting: HashMap<(u64, u64, u64), Own>,
}

const fn identity(danmaku: &Danmaku) -> (u64, u64, u64) {
    (danmaku.user, danmaku.session, danmaku.seq)
}

struct Own {
    sender: Weak<Viewer>,
    shard: u32,
    danmaku: Danmaku,
    acknowledged: bool,
}

impl Echoes {
    /// A danmaku was accepted; its position is not known yet.
    pub(super) fn accepted(&mut self, sender: Weak<Viewer>, shard: u32, danmaku: Danmaku) {
        let own = Own { sender, shard, danmaku, acknowledged: false };
        self.waiting.insert(identity(&own.danmaku), own);
    }

    /// The log does not have it.
    pub(super) fn refused(&mut self, entry: &Entry) {
        self.waiting.remove(&(entry.user, entry.session, entry.seq));
    }

    /// The log has it at `position`; a flush may have accounted for it already.
    pub(super) fn acknowledged(&mut self, entry: &Entry, position: Position, watermark: &Cursor) {
        let identity = (entry.user, entry.session, entry.seq);
        let Some(own) = self.waiting.get_mut(&identity) else { return };
        own.danmaku.position = position;
        own.acknowledged = true;
        if watermark.covers(own.shard, position)
            && let Some(own) = self.waiting.remove(&identity)
        {
            own.echo();
        }
    }

    /// A flush was written; `watermark` is the room's with it.
    pub(super) fn flushed(&mut self, flush: &Flush, watermark: &Cursor) {
        if self.waiting.is_empty() {
            return;
        }
        for shown in &flush.danmaku {
            self.waiting.remove(&identity(shown));
        }
        let accounted = |own: &Own| own.acknowledged && watermark.covers(own.shard, own.danmaku.position);
        let mut left_out: Vec<Own> = self.waiting.extract_if(|_, own| accounted(own)).map(|(_, own)| own).collect();
        left_out.sort_unstable_by_key(|own| own.danmaku.position);
        left_out.into_iter().for_each(Own::echo);
    }
}

impl Own {
    fn echo(self) {
        let Some(sender) = self.sender.upgrade() else { return };
        if sender.room.served.moderated.hides(&self.danmaku) {
            return;
        }
        sender.shard.served.metrics.echoes.inc();
        let bytes = match sender.version {
            Version::V1 => {
                let mut frame = Vec::new();
                v1_frame(&self.danmaku, &mut frame);
                message(&frame)
            }
            Version::V2 => {
                let mut batch = batches(std::iter::once(&self.danmaku)).pop().unwrap_or_default();
                batch.echo = true;
                message_of(&batch, &mut sender.shard.encoder.borrow_mut())
            }
        };
        sender.send(&bytes);
    }
}
