//! A world for tests without a cluster: an API server in memory that keeps to server-side apply as far as the operator
//! relies on it, a broker that keeps route tables, and operators that can be cut off after any write.

mod api_server;
mod broker;
mod fuse;
mod merge;
mod world;

pub(crate) use api_server::ApiServer;
pub(crate) use broker::Broker;
pub(crate) use fuse::Fuse;
pub(crate) use world::{Operator, World};
