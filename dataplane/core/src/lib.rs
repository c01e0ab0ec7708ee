//! What all stages and the operator share: rooms, routes, tokens, moderation, the links between stages, and what a log and
//! a store have to do. Knows no Kafka, no Redis, no SQLite and no Kubernetes.

pub mod admin;
pub mod age;
pub mod blocking;
pub mod certificate;
pub mod clock;
pub mod hash;
pub mod health;
pub mod heat;
pub mod host;
pub mod http_client;
pub mod last_error;
pub mod link;
pub mod log;
pub mod moderation;
pub mod rate_limit;
pub mod room;
pub mod routes;
pub mod store;
pub mod token;
pub mod trace;
pub mod words;
