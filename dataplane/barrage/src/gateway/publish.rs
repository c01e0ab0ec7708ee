//! The way to the log: what viewers sent, acts of moderators, and likes.

mod append;
mod intake;
mod load_injector;
pub(crate) mod moderation_log;
mod outbox;
mod review_queue;
mod sender;
#[cfg(test)]
mod tests;

pub(crate) use append::{publish_all, run};
pub(crate) use intake::Intake;
pub use load_injector::Injector;
pub(crate) use sender::{Sender, SenderId};
