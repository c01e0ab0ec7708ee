//! The load generator: who watches, who speaks, for how long, and what came of it.

pub mod args;
mod conduct;
mod endpoint;
mod interrupt;
mod outcome;
mod report;
mod script;
mod status;
mod trail;

pub use conduct::{Load, LoadError, run};
pub use endpoint::{Endpoint, EndpointError};
pub use interrupt::hush_on_interrupt;
pub use outcome::{Checked, Outcome};
pub use report::{Latency, Report};
pub use script::{Chat, Pace, Replay};
pub use status::watch_progress;
