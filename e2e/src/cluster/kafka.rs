//! Real Kafka: nodes that are broker and controller in one, with a listener for each group of clients, so that a group
//! can be cut from a broker while the brokers still see each other.

mod config;
mod jars;
mod reassign;

pub use jars::{CACHE_VARIABLE, PASSWORD, USER};

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
    metadata::Metadata,
};
use tokio::{task::spawn_blocking, time::sleep};

use self::{
    config::{NodePorts, Properties, Secured, random_id},
    jars::Jars,
};
use super::{
    certificates::Certificates,
    daemon::{Daemon, POLL},
    error::ClusterError,
    run::Run,
    wire::Wire,
};
use crate::server::free_port;

/// Seconds where the cache is filled and the machine is idle.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Who talks to Kafka by a listener and by wires of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// All gateways.
    Gateways,
    /// All consumers.
    Consumers,
    /// All rankers.
    Rankers,
}

impl Party {
    /// Each of them once, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Gateways, Self::Consumers, Self::Rankers];

    const fn listener(self) -> &'static str {
        match self {
            Self::Gateways => "GATEWAYS",
            Self::Consumers => "CONSUMERS",
            Self::Rankers => "RANKERS",
        }
    }
}

#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// 1, or 3 for replication 3 with two in sync.
    pub nodes: usize,
    /// Whether parties connect through wires; without, nothing can be cut, and nothing is in the way of a benchmark.
    pub wired: bool,
    /// Whether parties must use TLS and log in as [`USER`] with [`PASSWORD`] by PLAIN or SCRAM.
    pub secured: bool,
    /// Whether they must show a certificate, too; only where `secured`.
    pub client_certificate: bool,
    /// Whether brokers compile what is hot to the best that Java can, as in production. That takes minutes of work, and
    /// makes them twice as fast after; otherwise they are quick to start.
    pub optimised: bool,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self { nodes: 3, wired: true, secured: false, client_certificate: false, optimised: false }
    }
}

/// The folder with a broker's jars, fetched first if need be.
///
/// # Errors
/// [`ClusterError`]; without Java or Maven.
pub async fn kafka_jars() -> Result<PathBuf, ClusterError> {
    Ok(Jars::find(&*Run::start()?).await?.libs())
}

/// Running brokers, numbered from 0; killed when dropped.
pub struct Kafka {
    brokers: Vec<Broker>,
    certificates: Option<Certificates>,
}

struct Broker {
    daemon: Daemon,
    ports: NodePorts,
    wires: Option<[Wire; Party::ALL.len()]>,
}

impl Kafka {
    /// Starts the brokers and waits until all of them serve. The first start on a machine fills the cache.
    ///
    /// # Errors
    /// [`ClusterError`]: of no Java or Maven, or when they do not come up.
    pub async fn start(run: &Arc<Run>, options: &KafkaOptions) -> Result<Self, ClusterError> {
        let jars = Jars::find(run).await?;
        let certificates = match options.secured {
            true => Some(Certificates::make(&run.subfolder("kafka-certificates")?)?),
            false => None,
        };
        let ports = (0..options.nodes).map(|_| NodePorts::pick(free_port)).collect::<Result<Vec<_>, _>>()?;
        let secured = certificates.clone();
        let secured =
            secured.map(|certificates| Secured { certificates, client_certificate: options.client_certificate });
        let cluster_id = random_id();
        let mut brokers = Vec::new();
        for (node, own) in ports.iter().enumerate() {
            let name = format!("kafka-{node}");
            let folder = run.subfolder(&name)?;
            let wires = if options.wired { Some(wires(run, own)?) } else { None };
            let advertised = wires.as_ref().map(|wires| wires.each_ref().map(Wire::address));
            let properties = Properties::write(&folder, node, &ports, advertised, secured.as_ref())?;
            properties.format(&cluster_id, &jars.bootstrap())?;
            let mut daemon = Daemon::new(run, &name, jars.broker(&properties.file, options.optimised))?;
            daemon.start()?;
            brokers.push(Broker { daemon, ports: *own, wires });
        }
        let mut kafka = Self { brokers, certificates };
        kafka.until_alive(options.nodes, "all brokers serve").await?;
        Ok(kafka)
    }

    /// How many brokers there are, alive or not.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.brokers.len()
    }

    /// The addresses that a party is given, each `127.0.0.1:PORT`.
    #[must_use]
    pub fn brokers(&self, party: Party) -> Vec<SocketAddr> {
        let address = |broker: &Broker| match &broker.wires {
            Some(wires) => wires[party as usize].address(),
            None => local(broker.ports.parties[party as usize]),
        };
        self.brokers.iter().map(address).collect()
    }

    /// The addresses of the brokers themselves: plain, without wires. For the harness, checkers and benchmarks.
    #[must_use]
    pub fn direct(&self) -> Vec<SocketAddr> {
        self.brokers.iter().map(|broker| local(broker.ports.direct)).collect()
    }

    /// The wire from a party to a broker; none where they are not wired.
    #[must_use]
    pub fn wire(&self, party: Party, broker: usize) -> Option<&Wire> {
        self.brokers[broker].wires.as_ref().map(|wires| &wires[party as usize])
    }

    /// The files that clients of secured brokers need.
    #[must_use]
    pub const fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The configuration of a client; of a party's, it logs in with `SCRAM-SHA-512` where that is asked for.
    #[must_use]
    pub fn client(&self, party: Option<Party>) -> ClientConfig {
        let mut config = ClientConfig::new();
        let addresses = party.map_or_else(|| self.direct(), |party| self.brokers(party));
        config.set("bootstrap.servers", join(&addresses)).set("broker.address.family", "v4");
        if let (Some(files), Some(_)) = (&self.certificates, party) {
            config.set("security.protocol", "sasl_ssl").set("sasl.mechanism", "SCRAM-SHA-512");
            config.set("sasl.username", USER).set("sasl.password", PASSWORD);
            config.set("ssl.ca.location", files.ca.to_string_lossy());
            config.set("ssl.certificate.location", files.cert.to_string_lossy());
            config.set("ssl.key.location", files.key.to_string_lossy());
        }
        config
    }

    /// The process of a broker: to kill, pause, resume it, and read what it wrote.
    pub fn daemon(&mut self, broker: usize) -> &mut Daemon {
        &mut self.brokers[broker].daemon
    }

    /// Starts a broker again on its data and ports, killing it first if it runs, and waits until it serves.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn restart(&mut self, broker: usize) -> Result<(), ClusterError> {
        self.brokers[broker].daemon.start()?;
        let port = self.brokers[broker].ports.direct;
        // Metadata list one that was killed a moment ago still: ask itself, and it knows only when it has caught up.
        let own = vec![local(port)];
        let alive = self.running();
        self.until(own, alive, &format!("broker {broker} serves")).await
    }

    /// Waits until this many brokers are in the cluster's metadata: 2 is when one of 3 that died was missed.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    pub async fn until_alive(&mut self, brokers: usize, what: &str) -> Result<(), ClusterError> {
        let addresses = self.direct();
        self.until(addresses, brokers, what).await
    }

    /// As [`Kafka::until_alive`], by what one broker says: others may be stopped.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    pub async fn until_alive_at(&mut self, broker: usize, brokers: usize, what: &str) -> Result<(), ClusterError> {
        let address = vec![local(self.brokers[broker].ports.direct)];
        self.until(address, brokers, what).await
    }

    /// Has copies of a partition on these brokers only, and waits until that is so. Without its brokers nothing can be
    /// written to it.
    ///
    /// # Errors
    /// [`ClusterError`]; brokers refuse it, or it does not happen.
    pub async fn place(&mut self, topic: &'static str, partition: i32, brokers: &[i32]) -> Result<(), ClusterError> {
        let doing = format!("placing {topic}/{partition} on {brokers:?}");
        let (ask, wanted) = (self.direct(), brokers.to_vec());
        let asked = spawn_blocking(move || {
            reassign::reassign(ask[0], topic, partition, &wanted)?;
            let deadline = Instant::now() + READY_WITHIN;
            while in_sync(&ask, topic, partition) != wanted {
                if Instant::now() > deadline {
                    return Err(io::Error::other(format!("not within {READY_WITHIN:?}")));
                }
                std::thread::sleep(POLL);
            }
            Ok(())
        });
        asked.await.map_err(ClusterError::refused(doing.clone()))?.map_err(ClusterError::system(doing))
    }

    fn running(&mut self) -> usize {
        self.brokers.iter_mut().map(|broker| usize::from(broker.daemon.is_running())).sum()
    }

    async fn until(&mut self, ask: Vec<SocketAddr>, brokers: usize, what: &str) -> Result<(), ClusterError> {
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let ask = ask.clone();
            let seen = spawn_blocking(move || alive(&ask)).await.unwrap_or_default();
            if seen == brokers {
                return Ok(());
            }
            sleep(POLL).await;
        }
        // One that has ended says most about it.
        let ended = self.brokers.iter_mut().position(|broker| !broker.daemon.is_running());
        Err(self.brokers[ended.unwrap_or_default()].daemon.not_ready(what, READY_WITHIN))
    }
}

/// `a,b,c`, as settings want addresses.
#[must_use]
pub(super) fn join(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn wires(run: &Run, ports: &NodePorts) -> Result<[Wire; Party::ALL.len()], ClusterError> {
    let [gateways, consumers, rankers] = ports.parties.map(|port| Wire::tcp(run, local(port)));
    Ok([gateways?, consumers?, rankers?])
}

/// How many brokers one of these says there are; a new client each time, because an old one waits before it tries a
/// broker again that did not answer.
fn alive(ask: &[SocketAddr]) -> usize {
    metadata(ask, None).map_or(0, |metadata| metadata.brokers().len())
}

fn metadata(ask: &[SocketAddr], topic: Option<&str>) -> KafkaResult<Metadata> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", join(ask)).set("log_level", "0").set("broker.address.family", "v4");
    config.create::<BaseConsumer>()?.fetch_metadata(topic, Duration::from_secs(1))
}

/// The brokers, sorted, whose copies of a partition are in sync; of none where it is not known.
fn in_sync(ask: &[SocketAddr], topic: &str, partition: i32) -> Vec<i32> {
    let Ok(metadata) = metadata(ask, Some(topic)) else { return Vec::new() };
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    let mut in_sync: Vec<i32> =
        partitions.filter(|one| one.id() == partition).flat_map(|one| one.isr().iter().copied()).collect();
    in_sync.sort_unstable();
    in_sync
}
