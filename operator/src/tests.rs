//! Both controllers against a world in memory: what they make, that they write nothing when nothing is to be done, and
//! that one which is killed after any write leaves nothing that the next does not put right.

mod bad;
mod killed;
mod pools;
mod rooms;

use serde_json::json;

use crate::testing::{Fuse, Operator, World};

/// A pool `default` and a room `demo`, served.
async fn served() -> (World, Operator) {
    let world = World::default();
    world.pool("default", json!({}));
    world.room("demo", json!({}));
    let mut operator = world.operator(Fuse::never());
    operator.settle().await;
    (world, operator)
}
