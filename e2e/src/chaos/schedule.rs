//! Which faults come: drawn from a seed, so that a run can be had again.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::cluster::{Cluster, Fault, Line, Node, Party, RedisCluster, Slowness};

const OVERLAP_CHANCE: f64 = 0.15;
/// What is broken stays broken so long, ms.
const HOLD_MS: std::ops::RangeInclusive<u64> = 1_000..=8_000;
/// What was killed is started again so much later, ms.
const DEAD_MS: std::ops::RangeInclusive<u64> = 0..=3_000;
/// Calm before a fault, ms: its moment is as random as the fault.
const REST_MS: std::ops::RangeInclusive<u64> = 300..=1_500;

/// One blow: a fault, or two that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    pub first: Fault,
    /// What else, and how much later.
    pub second: Option<(Fault, Duration)>,
    pub hold: Duration,
    /// The calm before it.
    pub rest: Duration,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.describe())?;
        if let Some((second, after)) = &self.second {
            write!(f, ", {} ms later {}", after.as_millis(), second.describe())?;
        }
        write!(f, ", for {} ms", self.hold.as_millis())
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Brokers.
    pub brokers: usize,
    /// Redis nodes.
    pub redis: usize,
    /// Gateways.
    pub gateways: usize,
    /// Consumers.
    pub consumers: usize,
    /// Rankers.
    pub rankers: usize,
}

impl Shape {
    /// A cluster's.
    #[must_use]
    pub const fn of(cluster: &Cluster) -> Self {
        Self {
            brokers: cluster.kafka.nodes(),
            redis: RedisCluster::NODES,
            gateways: cluster.gateways.len(),
            consumers: cluster.consumers.len(),
            rankers: cluster.rankers.len(),
        }
    }
}

/// Strikes without end.
pub struct Draw {
    random: StdRng,
    shape: Shape,
}

impl Draw {
    /// The strikes of a seed on a cluster of this shape.
    #[must_use]
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self { random: StdRng::seed_from_u64(seed), shape }
    }

    fn fault(&mut self) -> Fault {
        match self.random.random_range(0..8) {
            0..3 => Fault::Kill(self.node()),
            3..5 => Fault::Pause(self.node()),
            5..7 => Fault::Cut(self.line()),
            _ => Fault::Slow(self.line(), self.slowness()),
        }
    }

    /// Any kind as likely as any other, however many there are of it.
    fn node(&mut self) -> Node {
        let (kind, shape) = (self.random.random_range(0..5), self.shape);
        match kind {
            0 => Node::Gateway(self.random.random_range(0..shape.gateways)),
            1 => Node::Consumer(self.random.random_range(0..shape.consumers)),
            2 => Node::Ranker(self.random.random_range(0..shape.rankers)),
            3 => Node::Broker(self.random.random_range(0..shape.brokers)),
            _ => Node::Redis(self.random.random_range(0..shape.redis)),
        }
    }

    fn line(&mut self) -> Line {
        let party = *Party::ALL.choose(&mut self.random).unwrap_or(&Party::Gateways);
        match self.random.random_range(0..5) {
            0 => Line::Broker(party, self.random.random_range(0..self.shape.brokers)),
            1 => Line::Kafka(party),
            2..4 => Line::Ranker(self.random.random_range(0..self.shape.rankers)),
            _ => Line::Redis(self.random.random_range(0..self.shape.redis)),
        }
    }

    fn slowness(&mut self) -> Slowness {
        let delay = Duration::from_millis(self.random.random_range(20..=400));
        Slowness { delay, bytes_per_s: self.random.random_range(20_000..=500_000) }
    }

    fn ms(&mut self, range: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(range))
    }
}

impl Iterator for Draw {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        let first = self.fault();
        let hold = if matches!(first, Fault::Kill(_)) { self.ms(DEAD_MS) } else { self.ms(HOLD_MS) };
        let second = self.random.random_bool(OVERLAP_CHANCE).then(|| (self.fault(), self.ms(0..=1_000)));
        // One thing cannot be broken in two ways: it would be healed of the first by the second.
        let second = second.filter(|(second, _)| target(second) != target(&first));
        Some(Strike { first, second, hold, rest: self.ms(REST_MS) })
    }
}

/// What a fault is done to; lines to Kafka share their wires.
fn target(fault: &Fault) -> String {
    match fault {
        Fault::Cut(Line::Broker(party, _) | Line::Kafka(party))
        | Fault::Slow(Line::Broker(party, _) | Line::Kafka(party), _) => format!("Kafka of {party:?}"),
        Fault::Cut(line) | Fault::Slow(line, _) => line.to_string(),
        Fault::Kill(node) | Fault::Pause(node) | Fault::FullDisk(node) | Fault::ClockJump(node, _) => node.to_string(),
        Fault::Empty(number) => Node::Redis(*number).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { brokers: 3, redis: 6, gateways: 2, consumers: 3, rankers: 2 };

    fn strikes(seed: u64) -> Vec<Strike> {
        Draw::new(seed, SHAPE).take(500).collect()
    }

    #[test]
    fn a_seed_gives_the_same_strikes_and_another_seed_others() {
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
    }

    #[test]
    fn everything_is_struck_now_and_then_and_nothing_in_two_ways_at_once() {
        let strikes = strikes(3);
        let text: String = strikes.iter().map(|strike| format!("{}\n", strike.first.describe())).collect();
        for node in ["gateway 1", "consumer 2", "ranker 1", "broker 2", "Redis node 5"] {
            for done in [format!("kill -9 of {node}"), format!("{node} stopped")] {
                assert!(text.contains(&done), "{done}");
            }
        }
        for cut in ["gateways and all of Kafka", "rankers and broker 0", "Redis node 3 and its", "ranker 0 and its"] {
            assert!(text.contains(&format!("cut between {cut}")), "{cut}");
        }
        let overlaps: Vec<_> = strikes.iter().filter_map(|strike| Some((strike.first, strike.second?.0))).collect();
        assert!(overlaps.len() > 20 && overlaps.iter().all(|(first, second)| target(first) != target(second)));
    }
}
