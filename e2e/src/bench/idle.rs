//! Resident memory per idle connection.

use std::{thread, time::Duration};

use super::{
    error::BenchError,
    rig::{Crowd, Serving, baseline, crowd, during, server},
    table::{Row, Table, Target},
};
use crate::swarm::Format;

/// What the leanest peer needs, bytes.
const TARGET: f64 = 2056.0;
const AIM: u32 = 1500;
/// Connections that come and go before, so that what is allocated once is not counted.
const WARM_UP: u32 = 500;
/// Until what connecting needed is given back.
const REST: Duration = Duration::from_secs(3);

pub(super) fn run(short: bool, table: &mut Table) -> Result<(), BenchError> {
    let connections = crowd(if short { 4000 } else { 10_000 });
    let naive = bytes_each(&baseline("serve-naive", 0, 100)?, Format::V1, connections)?;
    for (format, name) in [(Format::V1, "v1"), (Format::V2, "v2")] {
        let ours = bytes_each(&server(None, 200)?, format, connections)?;
        let figure = format!("idle: {connections} {name} connections, user space");
        let row = Row::plain(figure, format!("{ours:.0} B each"));
        let row = row.against(format!("{naive:.0} B naive"), format!("{:.2}", ours / naive));
        table.add(row.target(Target::at_most(ours, TARGET, format!("≤ {TARGET:.0} B, aim {AIM}"))));
    }
    Ok(())
}

fn bytes_each(serving: &impl Serving, format: Format, connections: u32) -> Result<f64, BenchError> {
    resident(serving, format, WARM_UP)?;
    thread::sleep(REST);
    let before = serving.used()?.rss_bytes;
    let after = resident(serving, format, connections)?;
    Ok(after.saturating_sub(before) as f64 / f64::from(connections))
}

/// Resident bytes while so many are connected.
fn resident(serving: &impl Serving, format: Format, connections: u32) -> Result<u64, BenchError> {
    let crowd = Crowd { viewers: connections, format, script: None };
    let (bytes, _) = during(serving, crowd, |_| {
        thread::sleep(REST);
        Ok(serving.used()?.rss_bytes)
    })?;
    Ok(bytes)
}
