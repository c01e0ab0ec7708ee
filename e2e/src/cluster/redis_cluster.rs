//! A real Redis Cluster: three masters and a replica of each, set as the design requires unless a test wants it wrong.

mod config;
mod topology;

use std::{fs, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use redis::{
    TlsCertificates,
    cluster::{ClusterClient, ClusterClientBuilder},
};

use self::{
    config::NodePorts,
    topology::{Node, form, until_all, until_answers},
};
use super::{
    certificates::Certificates,
    daemon::{Daemon, Patience},
    error::ClusterError,
    kafka::{PASSWORD, USER, local},
    run::Run,
    wire::Wire,
};
use crate::server::free_port;

/// A failover takes 2 to 3 s; a synchronisation of what a test keeps about as long.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// How long a replica tries to become master when it is asked to.
const FAILOVER_WITHIN: Duration = Duration::from_secs(6);

#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Whether everybody is told to connect through wires; replication, too. The nodes' own bus never is.
    pub wired: bool,
    /// Whether it speaks TLS only and wants the ACL user [`USER`] with [`PASSWORD`].
    pub secured: bool,
    /// Further lines of `redis.conf`, key and value; they override what stands there.
    pub extra: Vec<(String, String)>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { wired: true, secured: false, extra: Vec::new() }
    }
}

/// Six running nodes, numbered from 0; at first 0 to 2 are masters, and 3 to 5 their replicas. Killed when dropped.
pub struct RedisCluster {
    members: Vec<Member>,
    certificates: Option<Certificates>,
}

struct Member {
    daemon: Daemon,
    node: Node,
    wire: Option<Wire>,
}

impl RedisCluster {
    pub const NODES: usize = 6;

    /// Starts the nodes, and waits until all slots are served and all replicas are in step.
    ///
    /// # Errors
    /// [`ClusterError`]: of no redis-server, or when they do not come up.
    pub async fn start(run: &Arc<Run>, options: &RedisOptions) -> Result<Self, ClusterError> {
        // Clients that speak TLS take the process's own; it may have been named before.
        let _named = rustls::crypto::ring::default_provider().install_default();
        let certificates = match options.secured {
            true => Some(Certificates::make(&run.subfolder("redis-certificates")?)?),
            false => None,
        };
        let members = (0..Self::NODES).map(|index| member(run, index, options, certificates.as_ref()));
        let redis = Self { members: members.collect::<Result<_, _>>()?, certificates };
        form(&redis.nodes()).await?;
        Ok(redis)
    }

    /// The addresses that clients are given.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |one: &Member| one.wire.as_ref().map_or(one.node.direct, Wire::address);
        self.members.iter().map(address).collect()
    }

    /// The wire to a node; none where they are not wired.
    #[must_use]
    pub fn wire(&self, node: usize) -> Option<&Wire> {
        self.members[node].wire.as_ref()
    }

    /// The files that clients of secured nodes need.
    #[must_use]
    pub const fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// A client of the cluster, logged in where that is asked for; a test sets its timeouts and retries.
    #[must_use]
    pub fn client(&self) -> ClusterClientBuilder {
        let scheme = if self.certificates.is_some() { "rediss" } else { "redis" };
        let client = ClusterClient::builder(self.addresses().iter().map(|address| format!("{scheme}://{address}")));
        match &self.members[0].node.ca {
            None => client,
            Some(ca) => client
                .username(USER)
                .password(PASSWORD)
                .certs(TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) }),
        }
    }

    /// Sends one command to one node, past its wire.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with what it answered.
    pub async fn ask<T: redis::FromRedisValue>(&self, node: usize, words: &[&str]) -> Result<T, ClusterError> {
        let answer = self.members[node].node.ask(words).await;
        answer.map_err(ClusterError::refused(format!("sending {words:?} to Redis node {node}")))
    }

    /// The process of a node: to kill, pause, resume it, and read what it wrote.
    pub fn daemon(&mut self, node: usize) -> &mut Daemon {
        &mut self.members[node].daemon
    }

    /// Starts a node again with its data, killing it first if it runs, and waits until it has read them.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn restart(&mut self, node: usize) -> Result<(), ClusterError> {
        let member = &mut self.members[node];
        member.daemon.start()?;
        until_answers(&member.node).await
    }

    /// Starts a node again without its data; it still knows the cluster and its part in it.
    ///
    /// # Errors
    /// [`ClusterError`] when it does not come up.
    pub async fn restart_empty(&mut self, node: usize) -> Result<(), ClusterError> {
        let daemon = &mut self.members[node].daemon;
        daemon.kill9();
        let kept = daemon.folder().join("appendonlydir");
        let removed = fs::remove_dir_all(&kept);
        removed.map_err(ClusterError::system(format!("removing {}", kept.display())))?;
        self.restart(node).await
    }

    /// `kill -9` of all nodes.
    pub fn kill_all(&mut self) {
        self.members.iter_mut().for_each(|member| member.daemon.kill9());
    }

    /// Starts all nodes again with their data, and waits until all slots are served.
    ///
    /// # Errors
    /// [`ClusterError`] when they do not come up.
    pub async fn restart_all(&mut self) -> Result<(), ClusterError> {
        for member in &mut self.members {
            member.daemon.start()?;
        }
        self.until_settled().await
    }

    /// Which node is the master of a slot: of those that say so, the one with the newest epoch. None while nobody is.
    pub async fn master_of(&self, slot: u16) -> Option<usize> {
        let mut found = None;
        for (index, member) in self.members.iter().enumerate() {
            let owner = member.node.myself().await.filter(|myself| myself.owns(slot));
            found = found.max(owner.map(|myself| (myself.epoch, index)));
        }
        found.map(|(_, index)| index)
    }

    /// Waits until a slot's master is another than `old`, as after a kill; returns it.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`].
    pub async fn until_master_is_not(&self, slot: u16, old: usize) -> Result<usize, ClusterError> {
        let found = self.other_master(slot, old, SETTLED_WITHIN).await;
        found.ok_or_else(|| self.members[old].daemon.not_ready("a failover", SETTLED_WITHIN))
    }

    /// Makes a replica of a slot's master the master, both agreeing; returns it.
    ///
    /// # Errors
    /// [`ClusterError`] without a replica, or when it does not come to it.
    pub async fn failover(&self, slot: u16) -> Result<usize, ClusterError> {
        let doing = || ClusterError::refused(format!("moving slot {slot} to a replica"));
        let master = self.master_of(slot).await.ok_or_else(|| doing()("it has no master"))?;
        let id: String = self.ask(master, &["CLUSTER", "MYID"]).await?;
        let patience = Patience::new(SETTLED_WITHIN);
        while patience.goes_on().await {
            let replica =
                self.replica_of(&id).await.ok_or_else(|| doing()("its master has no replica that answers"))?;
            self.ask::<()>(replica, &["CLUSTER", "FAILOVER"]).await?;
            // A master that has not heard of its replica yet ignores it; the replica gives up after 5 s.
            if let Some(master) = self.other_master(slot, master, FAILOVER_WITHIN).await {
                return Ok(master);
            }
        }
        Err(self.members[master].daemon.not_ready("a failover that was asked for", SETTLED_WITHIN))
    }

    /// Waits until all nodes that run serve all slots, and all replicas are in step with their masters.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn until_settled(&mut self) -> Result<(), ClusterError> {
        let running = self.members.iter_mut().filter_map(|one| one.daemon.is_running().then(|| one.node.clone()));
        let nodes: Vec<_> = running.collect();
        for node in &nodes {
            until_answers(node).await?;
        }
        until_all(&nodes, "serve all slots", &["CLUSTER", "INFO"], "cluster_state", "ok").await?;
        let mut replicas = Vec::new();
        for node in nodes {
            if node.myself().await.is_some_and(|myself| !myself.is_master) {
                replicas.push(node);
            }
        }
        until_all(&replicas, "copy their masters", &["INFO", "replication"], "master_link_status", "up").await
    }

    async fn other_master(&self, slot: u16, old: usize, within: Duration) -> Option<usize> {
        let patience = Patience::new(within);
        loop {
            match self.master_of(slot).await {
                Some(master) if master != old => return Some(master),
                _ if patience.goes_on().await => (),
                _ => return None,
            }
        }
    }

    async fn replica_of(&self, master: &str) -> Option<usize> {
        for (index, member) in self.members.iter().enumerate() {
            if member.node.myself().await.is_some_and(|myself| !myself.is_master && myself.master == master) {
                return Some(index);
            }
        }
        None
    }

    fn nodes(&self) -> Vec<Node> {
        self.members.iter().map(|member| member.node.clone()).collect()
    }
}

fn member(
    run: &Arc<Run>,
    index: usize,
    options: &RedisOptions,
    certificates: Option<&Certificates>,
) -> Result<Member, ClusterError> {
    let free = || free_port().map_err(ClusterError::system("looking for a port for Redis"));
    let (direct, bus) = (local(free()?), free()?);
    let wire = if options.wired { Some(Wire::tcp(run, direct)?) } else { None };
    let announced = wire.as_ref().map_or(direct, Wire::address).port();
    let text = config::text(NodePorts { direct: direct.port(), bus, announced }, options, certificates);
    let mut command = Command::new("redis-server");
    command.arg("redis.conf");
    let mut daemon = Daemon::new(run, &format!("redis-{index}"), command)?;
    let file = daemon.folder().join("redis.conf");
    fs::write(&file, text).map_err(ClusterError::system(format!("writing {}", file.display())))?;
    daemon.start()?;
    let ca = certificates.map(|files| fs::read(&files.ca)).transpose();
    let ca = ca.map_err(ClusterError::system("reading the authority's certificate"))?;
    Ok(Member { daemon, node: Node { direct, bus, ca }, wire })
}
