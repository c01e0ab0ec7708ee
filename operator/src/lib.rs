//! The operator: it makes Kubernetes, Kafka and Redis be as `RoomPool`s and `LiveRoom`s say, and says in their statuses
//! how it goes. Pods need it for nothing while nothing changes.
//!
//! [`pool`] and [`room`] are the two controllers, each a story: dereference, validate, build, apply, status. [`session`]
//! is the way to a pool's Kafka and Redis. [`run`] is the process.

pub mod apply;
pub mod conditions;
pub mod config_pool;
pub mod context;
pub mod election;
pub mod events;
pub mod metrics;
pub mod options;
pub mod pool;
pub mod problem;
pub mod room;
pub mod run;
pub mod session;
pub mod sessions;
pub mod status_figures;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unreadable;
