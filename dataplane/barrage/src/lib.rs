//! Barrage's data plane: gateway, consumer and ranker, dev mode, which runs all of them in one process on an embedded log
//! and store, and the roles of a cluster. `ARCHITECTURE.md` at the root of the repository is the map.

pub mod consumer;
pub mod dev;
pub mod embedded;
pub mod gateway;
pub mod ranker;
#[cfg(feature = "cluster")]
pub mod roles;
