//! P99 from send to receipt at half of the highest rate that the server holds.

use std::{cell::Cell, time::Duration};

use super::{
    error::BenchError,
    rig::{Crowd, Stretch, measure, rate, server},
    table::{Row, Table, Target},
};
use crate::{
    load::{Chat, Latency, Outcome},
    server::Server,
    swarm::Format,
};

/// The lowest rate that is tried, danmaku/s.
const RATE_MIN: f64 = 1000.0;
/// Above this the load generator itself needs a core.
const RATE_MAX: f64 = 128_000.0;
/// Users who send, all alike.
const USERS: u32 = 200;
const VIEWERS: u32 = 100;
/// Default of a room.
const BUDGET: u32 = 200;
/// A rate holds when so much of it is acknowledged as it comes …
const ACKNOWLEDGED_MIN: f64 = 0.95;
/// … and when P99 stays below this, ms.
const P99_MS_MAX: u64 = 1000;
const TARGET_MS: f64 = 100.0;
/// Where the load generator is later than this, the limit may be its own.
const BEHIND_MAX: Duration = Duration::from_millis(500);

pub(super) fn run(short: bool, table: &mut Table) -> Result<(), BenchError> {
    let (probe, halvings, time) = if short {
        (Duration::from_secs(1), 1, Duration::from_secs(4))
    } else {
        (Duration::from_secs(5), 3, Duration::from_secs(20))
    };
    let server = server(None, BUDGET)?;
    // How late the load generator was at the last rate that did not hold.
    let behind = Cell::new(Duration::ZERO);
    let holds_once = |rate: f64| -> Result<bool, BenchError> {
        let (stretch, outcome) = try_rate(&server, rate, probe)?;
        let acknowledged = stretch.acknowledged as f64 / stretch.time.as_secs_f64();
        let p99 = latency(&outcome)?.p99;
        let held = acknowledged >= rate * ACKNOWLEDGED_MIN && p99 <= P99_MS_MAX;
        if !held {
            behind.set(outcome.harvest.behind);
        }
        eprintln!("  {rate:.0} msg/s: {acknowledged:.0}/s acknowledged, P99 {p99} ms: {held}");
        Ok(held)
    };
    // On a shared machine a moment's disturbance must not end the search.
    let holds = |rate: f64| Ok(holds_once(rate)? || holds_once(rate)?);
    let highest = highest(holds, halvings)?;
    let latency = latency(&try_rate(&server, highest / 2.0, time)?.1)?;
    let at_least = if highest >= RATE_MAX || behind.get() >= BEHIND_MAX { "at least " } else { "" };
    let row = Row::plain("latency: highest rate that holds", format!("{at_least}{highest:.0} msg/s"));
    let late = format!("load generator {} ms late above", behind.get().as_millis());
    table.add(if behind.get() >= BEHIND_MAX { row.against(late, "") } else { row });
    let figure = format!("latency: P99 send → receipt at {:.0} msg/s", highest / 2.0);
    let row = Row::plain(figure, format!("{} ms", latency.p99));
    let row = row.against(format!("{} ms median", latency.p50), format!("max {} ms", latency.max));
    table.add(row.target(Target::at_most(latency.p99 as f64, TARGET_MS, format!("≤ {TARGET_MS:.0} ms"))));
    Ok(())
}

/// Doubles while it holds, then halves the gap.
fn highest(holds: impl Fn(f64) -> Result<bool, BenchError>, halvings: u32) -> Result<f64, BenchError> {
    let mut held = rate(RATE_MIN);
    if !holds(held)? {
        return Err(BenchError::Meaningless(format!("not even {held:.0} danmaku/s hold")));
    }
    let mut broken = loop {
        if held >= RATE_MAX {
            return Ok(held);
        }
        if !holds(held * 2.0)? {
            break held * 2.0;
        }
        held *= 2.0;
    };
    for _ in 0..halvings {
        let middle = f64::midpoint(held, broken);
        if holds(middle)? {
            held = middle;
        } else {
            broken = middle;
        }
    }
    Ok(held)
}

fn try_rate(server: &Server, rate: f64, time: Duration) -> Result<(Stretch, Outcome), BenchError> {
    let chat = Chat::new(rate, USERS, 0.0, 1);
    let chat = chat.ok_or_else(|| BenchError::Meaningless("a chat of nobody".to_owned()))?;
    let crowd = Crowd { viewers: VIEWERS, format: Format::V2, script: Some(Box::new(chat)) };
    measure(server, crowd, time)
}

fn latency(outcome: &Outcome) -> Result<Latency, BenchError> {
    let latency = Latency::of(&outcome.harvest.latency);
    latency.ok_or_else(|| BenchError::Meaningless("no danmaku came back".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_closes_in_on_the_limit() {
        let limit = |limit: f64| move |rate: f64| Ok(rate <= limit);
        assert_eq!(highest(limit(5000.0), 0).unwrap(), 4000.0);
        assert_eq!(highest(limit(5500.0), 3).unwrap(), 5500.0);
        assert_eq!(highest(limit(1e9), 3).unwrap(), RATE_MAX);
        assert!(highest(limit(10.0), 3).is_err());
    }
}
