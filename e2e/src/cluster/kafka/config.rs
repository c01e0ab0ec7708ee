//! What a broker is told: which ports it listens on, what it tells whom to connect to, what the design asks of it.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    super::{certificates::Certificates, error::ClusterError},
    Party,
    jars::{PASSWORD, USER},
};

/// The same for every node. A killed broker is missed after 3 s; topics that nobody says more about have what the
/// design asks for, as far as there are nodes.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
auto.create.topics.enable=false
unclean.leader.election.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=4000
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
num.network.threads=1
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
";

/// The ports of one node, all on loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodePorts {
    pub(super) controller: u16,
    pub(super) direct: u16,
    pub(super) parties: [u16; Party::ALL.len()],
}

impl NodePorts {
    pub(super) fn pick(mut free: impl FnMut() -> std::io::Result<u16>) -> Result<Self, ClusterError> {
        let mut pick = || free().map_err(ClusterError::system("looking for a port for Kafka"));
        Ok(Self { controller: pick()?, direct: pick()?, parties: [pick()?, pick()?, pick()?] })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Secured {
    pub(super) certificates: Certificates,
    pub(super) client_certificate: bool,
}

/// The written properties of a node.
pub(super) struct Properties {
    pub(super) file: PathBuf,
    pub(super) log_folder: PathBuf,
    node: usize,
}

impl Properties {
    /// Writes `server.properties` of node `node` of `nodes` into `folder`. `advertised` are the addresses that the
    /// parties are told.
    pub(super) fn write(
        folder: &Path,
        node: usize,
        nodes: &[NodePorts],
        advertised: Option<[SocketAddr; Party::ALL.len()]>,
        secured: Option<&Secured>,
    ) -> Result<Self, ClusterError> {
        let file = folder.join("server.properties");
        let log_folder = folder.join("log");
        let mut text = COMMON.to_owned();
        let replicas = nodes.len().min(3);
        let in_sync = replicas.div_ceil(2);
        let voters = nodes.iter().enumerate().map(|(id, one)| format!("{id}@127.0.0.1:{}", one.controller));
        let voters: Vec<_> = voters.collect();
        for (key, value) in [
            ("node.id", node.to_string()),
            ("log.dirs", log_folder.display().to_string()),
            ("controller.quorum.voters", voters.join(",")),
            ("default.replication.factor", replicas.to_string()),
            ("min.insync.replicas", in_sync.to_string()),
            ("offsets.topic.replication.factor", replicas.to_string()),
            ("transaction.state.log.replication.factor", replicas.to_string()),
            ("transaction.state.log.min.isr", in_sync.to_string()),
        ] {
            line(&mut text, key, &value);
        }
        listeners(&mut text, nodes[node], advertised, secured.is_some());
        if let Some(secured) = secured {
            secure(&mut text, secured);
        }
        fs::write(&file, text).map_err(ClusterError::system(format!("writing {}", file.display())))?;
        Ok(Self { file, log_folder, node })
    }

    /// What the storage tool does, without starting a Java for it: an identity for the node's folder beside the
    /// features that all nodes begin with.
    pub(super) fn format(&self, cluster_id: &str, bootstrap: &Path) -> Result<(), ClusterError> {
        let folder = &self.log_folder;
        let doing = || ClusterError::system(format!("formatting {}", folder.display()));
        fs::create_dir_all(folder).map_err(doing())?;
        fs::copy(bootstrap, folder.join("bootstrap.checkpoint")).map_err(doing())?;
        let (node, directory) = (self.node, random_id());
        let meta = format!("version=1\nnode.id={node}\ncluster.id={cluster_id}\ndirectory.id={directory}\n");
        fs::write(folder.join("meta.properties"), meta).map_err(doing())
    }
}

/// A new ID of a cluster or of a folder: 16 bytes, as Kafka writes them.
pub(super) fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

fn listeners(text: &mut String, ports: NodePorts, advertised: Option<[SocketAddr; Party::ALL.len()]>, secured: bool) {
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let parties = Party::ALL.map(Party::listener);
    let told = advertised.unwrap_or(ports.parties.map(local));
    let mut listen = format!("CONTROLLER://{},DIRECT://{}", local(ports.controller), local(ports.direct));
    let mut tell = format!("DIRECT://{}", local(ports.direct));
    let mut protocols = "CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT".to_owned();
    let protocol = if secured { "SASL_SSL" } else { "PLAINTEXT" };
    for ((name, port), told) in parties.iter().zip(ports.parties).zip(told) {
        // Writing to a string cannot fail.
        let _written = write!(listen, ",{name}://{}", local(port));
        let _written = write!(tell, ",{name}://{told}");
        let _written = write!(protocols, ",{name}:{protocol}");
    }
    line(text, "listeners", &listen);
    line(text, "advertised.listeners", &tell);
    line(text, "listener.security.protocol.map", &protocols);
}

fn secure(text: &mut String, Secured { certificates, client_certificate }: &Secured) {
    let (keystore, ca) = (certificates.keystore.display().to_string(), certificates.ca.display().to_string());
    for (key, value) in [
        ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", keystore.as_str()),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", ca.as_str()),
    ] {
        line(text, key, value);
    }
    for party in Party::ALL {
        let listener = party.listener().to_lowercase();
        let module = "org.apache.kafka.common.security";
        // Without the listener's name it does not hold for one that asks for a login, too.
        let asked = if *client_certificate { "required" } else { "none" };
        line(text, &format!("listener.name.{listener}.ssl.client.auth"), asked);
        line(
            text,
            &format!("listener.name.{listener}.plain.sasl.jaas.config"),
            &format!("{module}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"),
        );
        for mechanism in ["scram-sha-256", "scram-sha-512"] {
            line(
                text,
                &format!("listener.name.{listener}.{mechanism}.sasl.jaas.config"),
                &format!("{module}.scram.ScramLoginModule required;"),
            );
        }
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{key}={value}");
}
