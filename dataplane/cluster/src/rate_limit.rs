//! The rate limit of a room's users, shared by all gateways: one script call for a slice and flush.
//!
//! It guards against whoever sends through many gateways at once. Each gateway has a bucket of its own before it, which is
//! alone when Redis does not answer at once: a limit that cannot be asked is no reason to refuse anybody.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use redis::{RedisError, cmd};
use tokio::{sync::OnceCell, time::timeout};

use crate::store::{Calls, Keys, RedisStore, Script};
use barrage_core::{
    rate_limit::{Allowed, SharedRateLimit},
    room::RoomId,
};

/// A later answer says nothing any more.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Asks; clones share it.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

struct Shared {
    calls: Calls,
    keys: Keys,
    own: Script,
    cell: Script,
    /// Whether the nodes have redis-cell; asked once.
    has_cell: OnceCell<bool>,
    refused: Counter,
    unanswered: Counter,
}

impl Limiter {
    /// A limit that is kept in the pool's Redis.
    #[must_use]
    pub fn new(store: &RedisStore, registry: &mut Registry) -> Self {
        let (calls, keys) = store.parts();
        let (refused, unanswered) = (Counter::default(), Counter::default());
        registry.register("limit_refused", "Danmaku over the limit that gateways share", refused.clone());
        let help = "Questions for the shared limit that Redis did not answer in time; all was allowed";
        registry.register("limit_unanswered", help, unanswered.clone());
        let own = Script::new(include_str!("rate_limit/take.lua"));
        let cell = Script::new(include_str!("rate_limit/throttle.lua"));
        Self { shared: Arc::new(Shared { calls, keys, own, cell, has_cell: OnceCell::new(), refused, unanswered }) }
    }
}

#[async_trait]
impl SharedRateLimit for Limiter {
    async fn take(&self, room: &RoomId, shard: u32, wishes: &[(u64, u32)], rate: u32, burst: u32) -> Vec<Allowed> {
        if wishes.is_empty() {
            return Vec::new();
        }
        let asked = timeout(ANSWERS_WITHIN, self.shared.ask(room, shard, wishes, rate.max(1), burst.max(1))).await;
        match asked {
            Ok(Ok(answers)) if answers.len() == wishes.len() => {
                let refused = wishes.iter().zip(&answers).map(|((_, wish), got)| wish.saturating_sub(got.count));
                self.shared.refused.inc_by(refused.map(u64::from).sum());
                answers
            }
            _ => {
                self.shared.unanswered.inc();
                wishes.iter().map(|&(_, count)| Allowed { count, wait_ms: 0 }).collect()
            }
        }
    }
}

impl Shared {
    async fn ask(
        &self,
        room: &RoomId,
        shard: u32,
        wishes: &[(u64, u32)],
        rate: u32,
        burst: u32,
    ) -> Result<Vec<Allowed>, RedisError> {
        let keys: Vec<_> = wishes.iter().map(|&(user, _)| self.keys.limit(room, shard, user)).collect();
        let has_cell = *self.has_cell.get_or_try_init(|| self.probe(&keys[0])).await?;
        let (script, first) = if has_cell { (&self.cell, rate) } else { (&self.own, 1_000_000 / rate) };
        let mut arguments = vec![first.max(1), burst];
        arguments.extend(wishes.iter().map(|&(_, count)| count));
        let answers: Vec<u32> = self.calls.script(script, &keys, &arguments).await?;
        Ok(answers.chunks_exact(2).map(|answer| Allowed { count: answer[0], wait_ms: answer[1] }).collect())
    }

    /// Whether Redis has the module; the master of `key`, one of those asked about next, answers for all.
    async fn probe(&self, key: &str) -> Result<bool, RedisError> {
        let asked = cmd("COMMAND").arg("INFO").arg("CL.THROTTLE").to_owned();
        let known: Vec<redis::Value> = self.calls.send_to_master(key, asked).await?;
        Ok(known.iter().any(|command| !matches!(command, redis::Value::Nil)))
    }
}
