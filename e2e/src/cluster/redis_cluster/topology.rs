//! What Redis nodes say of their cluster, and how six of them become one.

use std::{net::SocketAddr, time::Duration};

use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisResult, TlsCertificates, cmd};

use super::super::{
    daemon::Patience,
    error::ClusterError,
    kafka::{PASSWORD, USER},
};

/// One that is paused or cut off is asked in vain.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Handshakes and first synchronisations take a second or two.
const FORMED_WITHIN: Duration = Duration::from_secs(60);
const SLOTS: usize = 16_384;

/// A node as it is asked, without a wire.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) direct: SocketAddr,
    pub(super) bus: u16,
    /// The authority's certificate, where it speaks TLS and wants a user.
    pub(super) ca: Option<Vec<u8>>,
}

/// A node's own line of `CLUSTER NODES`.
pub(super) struct Myself {
    pub(super) is_master: bool,
    /// Whom it copies, if it does.
    pub(super) master: String,
    pub(super) epoch: u64,
    slots: Vec<(u16, u16)>,
}

impl Node {
    /// Sends a command by a connection of its own.
    pub(super) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let mut connection = self.client()?.get_multiplexed_async_connection_with_config(&config).await?;
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    pub(super) async fn myself(&self) -> Option<Myself> {
        let text: String = self.ask(&["CLUSTER", "NODES"]).await.ok()?;
        text.lines().find_map(parse)
    }

    /// What `INFO` or `CLUSTER INFO` says under a name.
    pub(super) async fn figure(&self, words: &[&str], name: &str) -> Option<String> {
        let text: String = self.ask(words).await.ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
        value.map(str::to_owned)
    }

    fn client(&self) -> RedisResult<Client> {
        match &self.ca {
            None => Client::open(format!("redis://{}", self.direct)),
            Some(ca) => Client::build_with_tls(
                format!("rediss://{USER}:{PASSWORD}@{}", self.direct),
                TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) },
            ),
        }
    }
}

impl Myself {
    /// Whether it is a master and has this slot, as far as it knows.
    pub(super) fn owns(&self, slot: u16) -> bool {
        self.is_master && self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

/// Makes a cluster: the first half are masters, the others their replicas in the same order.
pub(super) async fn form(nodes: &[Node]) -> Result<(), ClusterError> {
    let doing = || ClusterError::refused("making a Redis Cluster");
    let (masters, replicas) = nodes.split_at(nodes.len() / 2);
    for (index, node) in nodes.iter().enumerate() {
        until_answers(node).await?;
        node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await.map_err(doing())?;
    }
    for (index, node) in masters.iter().enumerate() {
        let [first, next] = [index, index + 1].map(|share| share * SLOTS / masters.len());
        let [first, last] = [first, next - 1].map(|slot| slot.to_string());
        node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await.map_err(doing())?;
    }
    for node in &nodes[1..] {
        let [port, bus] = [node.direct.port(), node.bus].map(|port| port.to_string());
        nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await.map_err(doing())?;
    }
    let known = nodes.len().to_string();
    until_all(nodes, "know each other", &["CLUSTER", "INFO"], "cluster_known_nodes", &known).await?;
    for (master, replica) in masters.iter().zip(replicas) {
        let id: String = master.ask(&["CLUSTER", "MYID"]).await.map_err(doing())?;
        replica.ask::<()>(&["CLUSTER", "REPLICATE", &id]).await.map_err(doing())?;
    }
    until_all(replicas, "copy their masters", &["INFO", "replication"], "master_link_status", "up").await?;
    until_all(nodes, "serve all slots", &["CLUSTER", "INFO"], "cluster_state", "ok").await
}

pub(super) async fn until_answers(node: &Node) -> Result<(), ClusterError> {
    let patience = Patience::new(FORMED_WITHIN);
    loop {
        match node.ask::<String>(&["PING"]).await {
            Ok(_) => return Ok(()),
            Err(_) if patience.goes_on().await => (),
            Err(error) => return Err(ClusterError::refused(format!("asking the Redis at {}", node.direct))(error)),
        }
    }
}

/// Waits until each of the nodes says this value under this name.
pub(super) async fn until_all(
    nodes: &[Node],
    what: &str,
    words: &[&str],
    name: &str,
    value: &str,
) -> Result<(), ClusterError> {
    let patience = Patience::new(FORMED_WITHIN);
    for node in nodes {
        loop {
            let said = node.figure(words, name).await;
            if said.as_deref() == Some(value) {
                break;
            }
            if !patience.goes_on().await {
                let doing = format!("waiting until Redis nodes {what}");
                return Err(ClusterError::refused(doing)(format!("{} says {name} is {said:?}", node.direct)));
            }
        }
    }
    Ok(())
}

/// `ID ADDRESS FLAGS MASTER PING PONG EPOCH LINK SLOTS…`, of the node that wrote it.
fn parse(line: &str) -> Option<Myself> {
    let fields: Vec<_> = line.split(' ').collect();
    let [_, _, flags, master, _, _, epoch, _, slots @ ..] = fields.as_slice() else {
        return None;
    };
    if !flags.contains("myself") {
        return None;
    }
    // Slots that are being moved stand in brackets and are in a range, too.
    let range = |text: &&str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Some(Myself {
        is_master: flags.contains("master"),
        master: (*master).to_owned(),
        epoch: epoch.parse().ok()?,
        slots: slots.iter().filter_map(range).collect(),
    })
}
