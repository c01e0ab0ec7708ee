//! The rate limit of a room's users that gateways share.

use async_trait::async_trait;

use crate::room::RoomId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Danmaku that the user may send now.
    pub count: u32,
    /// Until one more is allowed, ms; 0 when all were.
    pub wait_ms: u32,
}

#[async_trait]
pub trait SharedRateLimit: Send + Sync {
    /// Takes what users of a slice wish to send, as far as their limit goes: `rate` danmaku a second sustained, `burst`
    /// at once, both at least 1. One answer for each wish (user, danmaku), in order; all are allowed if the limit does
    /// not answer at once.
    async fn take(&self, room: &RoomId, shard: u32, wishes: &[(u64, u32)], rate: u32, burst: u32) -> Vec<Allowed>;
}
