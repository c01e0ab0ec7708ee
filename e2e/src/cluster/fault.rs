//! Everything that a test may do to a cluster, as values: to draw at random, to report, to undo.

use std::fmt;

use super::{
    Cluster,
    error::ClusterError,
    kafka::Party,
    wire::{Condition, Slowness},
};

/// A process of the cluster, numbered from 0 among its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A Kafka broker.
    Broker(usize),
    /// A Redis node.
    Redis(usize),
    Gateway(usize),
    Consumer(usize),
    Ranker(usize),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(number) => write!(f, "broker {number}"),
            Self::Redis(number) => write!(f, "Redis node {number}"),
            Self::Gateway(number) => write!(f, "gateway {number}"),
            Self::Consumer(number) => write!(f, "consumer {number}"),
            Self::Ranker(number) => write!(f, "ranker {number}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Between all processes of a role and one broker.
    Broker(Party, usize),
    /// Between all processes of a role and all brokers.
    Kafka(Party),
    /// Between one Redis node and everybody; its part in the cluster's own bus goes on.
    Redis(usize),
    /// Between one ranker and all gateways and consumers.
    Ranker(usize),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(party, number) => write!(f, "{} and broker {number}", named(*party)),
            Self::Kafka(party) => write!(f, "{} and all of Kafka", named(*party)),
            Self::Redis(number) => write!(f, "Redis node {number} and its clients"),
            Self::Ranker(number) => write!(f, "ranker {number} and its links"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`; healed by a start with the same data, name and ports.
    Kill(Node),
    /// `kill -9` of a Redis node; healed by a start without its data.
    Empty(usize),
    /// SIGSTOP; healed by SIGCONT.
    Pause(Node),
    /// Nothing passes any more.
    Cut(Line),
    /// Everything passes later.
    Slow(Line, Slowness),
    /// The node's disk is full; only for nodes that were given a small one. Healed by room, and a start if it ended.
    FullDisk(Node),
    /// The wall clock of a gateway, consumer or ranker is wrong by this many seconds; only with clocks.
    ClockJump(Node, i64),
}

impl Fault {
    /// What is done to whom, for a report.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Kill(node) => format!("kill -9 of {node}"),
            Self::Empty(number) => format!("kill -9 of Redis node {number} and loss of its data"),
            Self::Pause(node) => format!("{node} stopped"),
            Self::Cut(line) => format!("cut between {line}"),
            Self::Slow(line, slowness) => {
                let Slowness { delay, bytes_per_s } = slowness;
                format!("{} ms and {bytes_per_s} bytes/s between {line}", delay.as_millis())
            }
            Self::FullDisk(node) => format!("disk of {node} full"),
            Self::ClockJump(node, seconds) => format!("clock of {node} wrong by {seconds:+} s"),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`ClusterError`] where the cluster was not started for it: without wires, small disk, clocks.
    pub fn inject(&self, cluster: &mut Cluster) -> Result<(), ClusterError> {
        match *self {
            Self::Kill(node) => cluster.daemon(node).kill9(),
            Self::Empty(number) => cluster.daemon(Node::Redis(number)).kill9(),
            Self::Pause(node) => cluster.daemon(node).pause()?,
            Self::Cut(line) => self.set(cluster, line, Condition::Cut)?,
            Self::Slow(line, slowness) => self.set(cluster, line, Condition::Slow(slowness))?,
            Self::FullDisk(node) => cluster.small_disk(node).ok_or_else(|| self.impossible("a small disk"))?.fill()?,
            Self::ClockJump(node, seconds) => self.jump(cluster, node, seconds)?,
        }
        Ok(())
    }

    /// Undoes it, and waits until the party is up again; not until it has caught up.
    ///
    /// # Errors
    /// [`ClusterError`] when somebody does not come up.
    pub async fn heal(&self, cluster: &mut Cluster) -> Result<(), ClusterError> {
        match *self {
            Self::Kill(node) => cluster.restart(node).await,
            Self::Empty(number) => cluster.redis.restart_empty(number).await,
            Self::Pause(node) => cluster.daemon(node).resume(),
            Self::Cut(line) | Self::Slow(line, _) => self.set(cluster, line, Condition::Whole),
            Self::FullDisk(node) => {
                cluster.small_disk(node).ok_or_else(|| self.impossible("a small disk"))?.free()?;
                if cluster.daemon(node).is_running() { Ok(()) } else { cluster.restart(node).await }
            }
            Self::ClockJump(node, _) => self.jump(cluster, node, 0),
        }
    }

    fn set(&self, cluster: &Cluster, line: Line, condition: Condition) -> Result<(), ClusterError> {
        let wires = match line {
            Line::Broker(party, number) => vec![cluster.kafka.wire(party, number)],
            Line::Kafka(party) => (0..cluster.kafka.nodes()).map(|number| cluster.kafka.wire(party, number)).collect(),
            Line::Redis(number) => vec![cluster.redis.wire(number)],
            Line::Ranker(number) => vec![cluster.rankers[number].wire()],
        };
        for wire in wires {
            wire.ok_or_else(|| self.impossible("wires"))?.set(condition);
        }
        Ok(())
    }

    fn jump(&self, cluster: &Cluster, node: Node, seconds: i64) -> Result<(), ClusterError> {
        let clock = match node {
            Node::Gateway(number) => cluster.gateways[number].clock(),
            Node::Consumer(number) => cluster.consumers[number].clock(),
            Node::Ranker(number) => cluster.rankers[number].clock(),
            Node::Broker(_) | Node::Redis(_) => None,
        };
        clock.ok_or_else(|| self.impossible("a clock of its own"))?.set(seconds)
    }

    fn impossible(&self, without: &str) -> ClusterError {
        ClusterError::Refused {
            doing: self.describe(),
            problem: format!("the cluster was started without {without} there"),
        }
    }
}

const fn named(party: Party) -> &'static str {
    match party {
        Party::Gateways => "gateways",
        Party::Consumers => "consumers",
        Party::Rankers => "rankers",
    }
}
