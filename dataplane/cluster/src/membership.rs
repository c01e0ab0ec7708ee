//! Who is alive and how hot its rooms are: what each process says of itself once a second on the pool's heat topic
//! ([`heartbeat`]), and who listens there ([`follow()`], [`alive`]).

mod follow;
pub mod heartbeat;
mod members;
mod metrics;

pub use follow::follow;
pub use heartbeat::{Beat, ProcessIdentity};
pub use members::{Member, alive};
pub use metrics::Metrics;

/// The name of a pool's heat topic.
#[must_use]
pub fn topic_of(pool: &str) -> String {
    format!("{pool}.heat")
}
