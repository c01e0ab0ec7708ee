//! Barrage's data plane: gateway, consumer and ranker, the log and the store between them, and dev mode, which runs
//! all of them in one process. `ARCHITECTURE.md` at the root of the repository is the map.

#![allow(dead_code, rustdoc::broken_intra_doc_links)]
mod blocking;
pub mod clock;
pub mod limit;
pub mod link;
pub mod log;
pub mod room;
pub mod routes;
pub mod store;
mod trouble;
