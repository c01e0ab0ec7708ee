//! What crosses processes: the means of the end-to-end tests (a server of one's own, clients of both versions, a
//! checker, a whole cluster with faults, a Kubernetes cluster), the load generator `barrage-load`, and the benchmarks.

pub mod bench;
pub mod chaos;
pub mod checker;
pub mod client;
pub mod cluster;
pub mod collector;
mod decimal;
pub mod files;
pub mod http;
pub mod kubernetes;
pub mod load;
pub mod moderator;
pub mod process;
pub mod replay;
pub mod server;
pub mod session;
pub mod swarm;
pub mod text;
pub mod token;
pub mod websocket;
