//! Rust code generated from the `.proto` files, committed so that a build needs no Protobuf compiler; the test
//! `tests/generated.rs` generates it again and compares, so it stays as it was generated.

/// `barrage.v2`: payloads of wire protocol version 2.
#[allow(missing_docs, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/barrage.v2.rs"]
pub mod v2;

/// `barrage.log.v1`: records of the log.
#[allow(missing_docs, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/barrage.log.v1.rs"]
pub mod log_v1;

/// `barrage.link.v1`: what the roles say to each other.
#[allow(missing_docs, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/barrage.link.v1.rs"]
pub mod link_v1;

/// `barrage.routes.v1`: the route table.
#[allow(missing_docs, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/barrage.routes.v1.rs"]
pub mod routes_v1;

/// `barrage.heat.v1`: what every process says of its work.
#[allow(missing_docs, clippy::pedantic)]
#[rustfmt::skip]
#[path = "generated/barrage.heat.v1.rs"]
pub mod heat_v1;
