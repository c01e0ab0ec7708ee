//! What is down, lost, wrong or hostile: what a pool does about it, and that all of it is exact afterwards.

mod bad_input;
mod loss;
mod rows;
mod scene;
mod security;
mod settings;
mod table;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::block_in_place};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// Runs what waits from a test that blocks.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(future))
}

/// Waits until there is no complaint.
pub(crate) fn until(what: &str, look: impl FnMut() -> Result<(), String>) {
    eventually(look).unwrap_or_else(|complaint| panic!("{what}: not within {PATIENCE:?}: {complaint}"));
}

/// Waits until there is no complaint; the last one if there always is.
pub(crate) fn eventually(mut look: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Err(complaint) if Instant::now() >= deadline => return Err(complaint),
            Err(_) => std::thread::sleep(POLL),
            Ok(()) => return Ok(()),
        }
    }
}
