//! The load generator: who watches, who speaks, for how long, and what came of it.

pub mod args;
mod endpoint;
mod interrupt;
mod outcome;
mod report;
mod runner;
mod script;
mod status;
mod trail;

pub use endpoint::{Endpoint, EndpointError};
pub use interrupt::hush_on_interrupt;
pub use outcome::{Checked, Outcome};
pub use report::{Latency, Report};
pub use runner::{Load, LoadError, run};
pub use script::{Chat, Pace, Replay};
pub use status::watch_progress;
