//! `barrage-load`: viewers and senders for a room, and a report of what they saw.

use std::{process::ExitCode, sync::Arc};

use barrage_e2e::{
    files,
    load::{self, Report, args::Cli},
    swarm::Control,
};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("barrage-load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every promise was kept, and all of a recording was said.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    let (load, complaint) = cli.command.load()?;
    files::allow(u64::from(load.viewers) + load.senders_max as u64)?;
    if !complaint.is_empty() {
        eprintln!("barrage-load: {complaint}");
    }
    let control = Arc::new(Control::default());
    load::hush_on_interrupt(&control);
    let view = load::watch_progress(&control);
    let outcome = load::run(load, &control);
    drop(view);
    let report = Report::new(&outcome?, &control.progress);
    if cli.command.common().json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.is_clean() && complaint.is_empty())
}
