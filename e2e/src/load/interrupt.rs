//! Ctrl-C: the first ends a run early with its report, the second ends the program.

use std::{sync::Arc, thread};

use crate::swarm::Control;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Says hush at the first Ctrl-C or SIGTERM-like wish of the terminal, and leaves at the second.
pub fn hush_on_interrupt(control: &Arc<Control>) {
    let control = Arc::clone(control);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Without a runtime Ctrl-C keeps its usual meaning.
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                control.hush();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(INTERRUPTED);
            }
        });
    });
}
