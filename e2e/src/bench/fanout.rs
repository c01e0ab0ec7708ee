//! Frames per server CPU second: one small danmaku to thousands of viewers, again and again, against a bare loop that
//! does nothing else, and against a naive server.

use std::time::Duration;

use super::{
    error::BenchError,
    median::median,
    rig::{Crowd, Stretch, baseline, crowd, measure, server},
    table::{Row, Table, Target},
};
use crate::swarm::{Format, Said, Script};

/// Danmaku per second: so far apart that each is a flush of its own.
const RATE: u32 = 10;
/// Bytes of a message's payload.
const BYTES: usize = 100;
/// Share of the bare loop's frames that has to be reached.
const TARGET: f64 = 0.90;
const AIM: f64 = 0.95;

struct Size {
    viewers: u32,
    time: Duration,
    rounds: usize,
}

pub(super) fn run(short: bool, table: &mut Table) -> Result<(), BenchError> {
    let size = if short {
        Size { viewers: crowd(5000), time: Duration::from_secs(4), rounds: 1 }
    } else {
        Size { viewers: crowd(5000), time: Duration::from_secs(10), rounds: 3 }
    };
    let (mut ours, mut bare, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        ours.push(ours_once(&size)?);
        bare.push(theirs_once("serve-bare", &size)?);
        naive.push(theirs_once("serve-naive", &size)?);
    }
    let (ours, bare, naive) = (median(ours), median(bare), median(naive));
    let figure = format!("fan-out: {} viewers × {BYTES} B, one shard", size.viewers);
    let value = format!("{ours:.0} frames/CPU s");
    let target = Target::at_least(ours / bare, TARGET, format!("≥ {TARGET:.2}, aim {AIM:.2}"));
    table.add(
        Row::plain(figure, value).against(format!("{bare:.0} bare loop"), format!("{:.2}", ours / bare)).target(target),
    );
    let naive_row = Row::plain("fan-out: naive tokio-tungstenite", format!("{naive:.0} frames/CPU s"));
    table.add(naive_row.against(format!("{bare:.0} bare loop"), format!("{:.2}", naive / bare)));
    Ok(())
}

fn ours_once(size: &Size) -> Result<f64, BenchError> {
    let server = server(Some(1), 10_000)?;
    let crowd = Crowd { viewers: size.viewers, format: Format::V1, script: Some(script()) };
    frames(&measure(&server, crowd, size.time)?.0, size)
}

fn theirs_once(role: &str, size: &Size) -> Result<f64, BenchError> {
    let process = baseline(role, RATE, BYTES)?;
    let crowd = Crowd { viewers: size.viewers, format: Format::V1, script: None };
    frames(&measure(&process, crowd, size.time)?.0, size)
}

/// Frames per CPU second; an error where not every viewer got every danmaku in a frame of its own.
fn frames(stretch: &Stretch, size: &Size) -> Result<f64, BenchError> {
    let expected = f64::from(RATE) * stretch.time.as_secs_f64() * f64::from(size.viewers);
    let got = stretch.messages as f64 / expected;
    if !(0.8..1.2).contains(&got) {
        let what = format!("{:.0} % of the expected frames came in the fan-out: {stretch:?}", got * 100.0);
        return Err(BenchError::Meaningless(what));
    }
    stretch.per_cpu_second(stretch.messages)
}

/// Two users in turn.
fn script() -> Script {
    let content_bytes = BYTES - barrage_proto::v1::HEADER_BYTES;
    Box::new((0_u32..).map(move |number| Said {
        at: Duration::from_secs(1) / RATE * number,
        user: u64::from(1 + number % 2),
        content: format!("{number:0content_bytes$}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_danmaku_fills_a_message_of_a_hundred_bytes() {
        let said: Vec<_> = script().take(3).collect();
        assert!(said.iter().all(|said| said.content.len() == 78));
        assert_eq!((said[1].at, said[1].user, said[2].user), (Duration::from_millis(100), 2, 1));
    }

    #[test]
    fn a_stretch_with_too_few_frames_means_nothing() {
        let size = Size { viewers: 10, time: Duration::from_secs(1), rounds: 1 };
        let stretch = |messages| Stretch {
            messages,
            danmaku: messages,
            acknowledged: 0,
            cpu: Duration::from_millis(500),
            time: Duration::from_secs(1),
        };
        assert_eq!(frames(&stretch(100), &size).unwrap(), 200.0);
        assert!(frames(&stretch(50), &size).is_err());
    }
}
