//! Barrage's data plane: gateway, consumer and ranker, the log and the store between them, and dev mode, which runs
//! all of them in one process. `ARCHITECTURE.md` at the root of the repository is the map.

pub mod admin;
mod age;
mod backlog;
mod blocking;
pub mod certificate;
pub mod clock;
pub mod consumer;
pub mod dev;
pub mod forget;
pub mod gateway;
mod hash;
pub mod health;
pub mod heat;
mod http_client;
pub mod kafka;
pub mod limit;
pub mod link;
pub mod log;
pub mod moderation;
pub mod ranker;
pub mod roles;
pub mod room;
pub mod routes;
pub mod settings;
pub mod store;
pub mod token;
pub mod trace;
mod trouble;
pub mod words;
