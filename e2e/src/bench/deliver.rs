//! Danmaku delivered per server CPU second in a room with 1,000 messages/s, where packing many into a frame is what
//! counts, against a naive server that sends each by itself.

use std::time::Duration;

use super::{
    error::BenchError,
    rig::{Crowd, baseline, crowd, measure, server},
    table::{Row, Table, Target},
};
use crate::{load::Chat, swarm::Format};

/// Danmaku per second that are sent.
const RATE: f64 = 1000.0;
/// Users who send them, all alike.
const USERS: u32 = 200;
/// Budget of the room: nothing is left out.
const BUDGET: u32 = 2000;
/// Danmaku per second of the naive server: its cost for each does not depend on how many there are.
const NAIVE_RATE: u32 = 25;
const NAIVE_BYTES: usize = 100;
const TARGET: f64 = 1_000_000.0;
const AIM: u32 = 3_000_000;

pub(super) fn run(short: bool, table: &mut Table) -> Result<(), BenchError> {
    let (viewers, time) = if short { (1000, Duration::from_secs(6)) } else { (2000, Duration::from_secs(15)) };
    let viewers = crowd(viewers);
    let naive = {
        let process = baseline("serve-naive", NAIVE_RATE, NAIVE_BYTES)?;
        let crowd = Crowd { viewers, format: Format::V1, script: None };
        let (stretch, _) = measure(&process, crowd, time)?;
        stretch.per_cpu_second(stretch.danmaku)?
    };
    let server = server(None, BUDGET)?;
    let chat = Chat::new(RATE, USERS, 0.0, 1);
    let chat = chat.ok_or_else(|| BenchError::Meaningless("a chat of nobody".to_owned()))?;
    let crowd = Crowd { viewers, format: Format::V2, script: Some(Box::new(chat)) };
    let (stretch, _) = measure(&server, crowd, time)?;
    let rate = stretch.acknowledged as f64 / stretch.time.as_secs_f64();
    if rate < RATE * 0.9 {
        return Err(BenchError::Meaningless(format!("only {rate:.0} danmaku/s were acknowledged: {stretch:?}")));
    }
    let ours = stretch.per_cpu_second(stretch.danmaku)?;
    let figure = format!("deliver: {RATE:.0} msg/s × {viewers} v2 viewers");
    let row = Row::plain(figure, format!("{ours:.0} danmaku/CPU s"));
    let row = row.against(format!("{naive:.0} naive, one each"), format!("{:.1}×", ours / naive));
    table.add(row.target(Target::at_least(ours, TARGET, format!("≥ {TARGET:.0}, aim {AIM}"))));
    let each = stretch.danmaku as f64 / stretch.messages.max(1) as f64;
    table.add(Row::plain("deliver: danmaku per message", format!("{each:.1}")));
    Ok(())
}
