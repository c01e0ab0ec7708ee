//! A whole cluster of real servers for a test: brokers, Redis nodes, gateways, consumers and rankers, with everything
//! between them that can be broken. Each is in a [`Run`]: a folder, ports and processes that end with it, whatever
//! happens to the test.

mod certificates;
mod clock;
mod daemon;
mod disk;
mod error;
mod fault;
mod kafka;
mod pool;
mod redis_cluster;
mod roles;
mod run;
mod settings;
mod wire;

pub use certificates::Certificates;
pub use clock::Clock;
pub use daemon::Daemon;
pub use disk::SmallDisk;
pub use error::ClusterError;
pub use fault::{Fault, Line, Node};
pub use kafka::{CACHE_VARIABLE, Kafka, KafkaOptions, PASSWORD, Party, USER, kafka_jars};
pub use redis_cluster::{RedisCluster, RedisOptions};
pub use roles::{Role, RoleProcess};
pub use run::{KEEP_VARIABLE, Run};
pub use wire::{Condition, Slowness, Wire};

use std::{path::PathBuf, sync::Arc};

use crate::token::{TokenError, TokenKey};

use self::roles::Shared;

/// What to start a cluster with; the default is the smallest one that can lose anybody.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The pool's name.
    pub pool: String,
    /// Brokers.
    pub kafka: KafkaOptions,
    /// Redis nodes.
    pub redis: RedisOptions,
    /// The program of the roles, instead of the one that [`crate::server::binary`] finds.
    pub program: Option<PathBuf>,
    /// Partitions of the pool's log; 0 makes no pool.
    pub partitions: u32,
    /// Partitions that each room is spread over; without it as many as `barrage pool create` takes.
    pub spread: Option<u32>,
    /// Manifests of the rooms that the pool serves.
    pub rooms: String,
    pub gateways: usize,
    pub consumers: usize,
    pub rankers: usize,
    /// Whether links to rankers go through wires.
    pub wired_links: bool,
    /// Whether gateways, consumers and rankers have clocks that can be set.
    pub clocks: bool,
    /// Nodes whose folder is a disk of this many MiB; needs root.
    pub small_disks: Vec<(Node, u32)>,
    /// Further settings of all gateways, consumers and rankers, by their environment variables.
    pub settings: Vec<(String, String)>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            pool: "default".to_owned(),
            kafka: KafkaOptions::default(),
            redis: RedisOptions::default(),
            program: None,
            partitions: 3,
            spread: None,
            rooms: pool::DEMO.to_owned(),
            gateways: 2,
            consumers: 3,
            rankers: 2,
            wired_links: true,
            clocks: false,
            small_disks: Vec::new(),
            settings: Vec::new(),
        }
    }
}

/// A running cluster; everything of it is killed and removed when it is dropped. A test that panics then prints the end
/// of each log.
pub struct Cluster {
    /// Gateways, from 0.
    pub gateways: Vec<RoleProcess>,
    /// Consumers, from 0.
    pub consumers: Vec<RoleProcess>,
    /// Rankers, from 0.
    pub rankers: Vec<RoleProcess>,
    /// Redis nodes.
    pub redis: RedisCluster,
    /// Brokers.
    pub kafka: Kafka,
    disks: Vec<(Node, SmallDisk)>,
    shared: Shared,
}

impl Cluster {
    /// Starts the servers, then the processes of all roles, and waits until all are up.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let run = Run::start()?;
        let disks = options.small_disks.iter().map(|(node, mebibytes)| {
            let disk = SmallDisk::mount(&run, &folder(*node), *mebibytes)?;
            Ok((*node, disk))
        });
        let disks = disks.collect::<Result<_, ClusterError>>()?;
        let (kafka, redis) =
            tokio::try_join!(Kafka::start(&run, &options.kafka), RedisCluster::start(&run, &options.redis))?;
        let mut all = settings::of_links(&Certificates::make(&run.subfolder("link-certificates")?)?);
        all.push(("BARRAGE_POOL".to_owned(), options.pool.clone()));
        all.extend(settings::of_redis(&redis, &run)?);
        all.extend(options.settings.iter().cloned());
        let shared = Shared::new(&run, all, &options)?;
        let (gateways, consumers, rankers) = (Vec::new(), Vec::new(), Vec::new());
        let mut cluster = Self { gateways, consumers, rankers, redis, kafka, disks, shared };
        if options.partitions > 0 {
            cluster.make_pool(options.partitions, options.spread, &options.rooms).await?;
        }
        // All are started before the first is waited for: they may wait for each other.
        for (role, count) in
            [(Role::Ranker, options.rankers), (Role::Consumer, options.consumers), (Role::Gateway, options.gateways)]
        {
            for _ in 0..count {
                cluster.launch(role)?;
            }
        }
        for process in cluster.processes() {
            process.until_ready().await?;
        }
        if options.partitions > 0 {
            cluster.share_work().await?;
        }
        Ok(cluster)
    }

    /// Starts one more process of a role, and waits until it is up.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn add(&mut self, role: Role) -> Result<&mut RoleProcess, ClusterError> {
        let process = self.launch(role)?;
        process.until_ready().await?;
        Ok(process)
    }

    /// The run's folder, with a `.log` of each process.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.shared.run
    }

    /// What every gateway, consumer and ranker is told by environment variables; a party's addresses of brokers come to
    /// it.
    #[must_use]
    pub fn settings(&self) -> &[(String, String)] {
        &self.shared.settings
    }

    /// What the gateways verify tokens with.
    ///
    /// # Errors
    /// [`TokenError`] when somebody damaged its file.
    pub fn token_key(&self) -> Result<TokenKey, TokenError> {
        self.shared.token_key()
    }

    /// The process of a node.
    pub fn daemon(&mut self, node: Node) -> &mut Daemon {
        match node {
            Node::Broker(number) => self.kafka.daemon(number),
            Node::Redis(number) => self.redis.daemon(number),
            Node::Gateway(number) => self.gateways[number].daemon(),
            Node::Consumer(number) => self.consumers[number].daemon(),
            Node::Ranker(number) => self.rankers[number].daemon(),
        }
    }

    /// Starts a node again with its data, name and ports, killing it first if it runs, and waits until it is up.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn restart(&mut self, node: Node) -> Result<(), ClusterError> {
        match node {
            Node::Broker(number) => self.kafka.restart(number).await,
            Node::Redis(number) => self.redis.restart(number).await,
            Node::Gateway(number) => self.gateways[number].restart().await,
            Node::Consumer(number) => self.consumers[number].restart().await,
            Node::Ranker(number) => self.rankers[number].restart().await,
        }
    }

    /// The disk of a node that was given a small one.
    #[must_use]
    pub fn small_disk(&self, node: Node) -> Option<&SmallDisk> {
        self.disks.iter().find(|(of, _)| *of == node).map(|(_, disk)| disk)
    }

    fn launch(&mut self, role: Role) -> Result<&mut RoleProcess, ClusterError> {
        let settings = settings::of_kafka(&self.kafka, role.party(), &self.shared.run)?;
        let processes = match role {
            Role::Gateway => &mut self.gateways,
            Role::Consumer => &mut self.consumers,
            Role::Ranker => &mut self.rankers,
        };
        let process = RoleProcess::launch(&self.shared, role, processes.len(), &settings)?;
        processes.push(process);
        let last = processes.len() - 1;
        Ok(&mut processes[last])
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut RoleProcess> {
        self.rankers.iter_mut().chain(&mut self.consumers).chain(&mut self.gateways)
    }
}

fn folder(node: Node) -> String {
    match node {
        Node::Broker(number) => format!("kafka-{number}"),
        Node::Redis(number) => format!("redis-{number}"),
        Node::Gateway(number) => format!("gateway-{number}"),
        Node::Consumer(number) => format!("consumer-{number}"),
        Node::Ranker(number) => format!("ranker-{number}"),
    }
}
