//! What a Redis node is told.

use std::fmt::Write as _;

use super::{
    super::certificates::Certificates,
    super::kafka::{PASSWORD, USER},
    RedisOptions,
};

/// The ports of one node, all on loopback.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodePorts {
    pub(super) direct: u16,
    pub(super) bus: u16,
    /// What clients and other nodes are told to connect to.
    pub(super) announced: u16,
}

/// What the design asks for (AOF every second, nothing evicted), and a failover within seconds.
const COMMON: &str = "\
bind 127.0.0.1
protected-mode no
dir .
save \"\"
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout 1000
cluster-replica-validity-factor 0
repl-diskless-sync-delay 0
cluster-announce-ip 127.0.0.1
";

/// The text of a node's `redis.conf`.
pub(super) fn text(ports: NodePorts, options: &RedisOptions, certificates: Option<&Certificates>) -> String {
    let mut text = COMMON.to_owned();
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{line}");
    };
    line(format!("cluster-port {}", ports.bus));
    line(format!("cluster-announce-bus-port {}", ports.bus));
    match certificates {
        Some(files) => {
            line(format!("port 0\ntls-port {}", ports.direct));
            line(format!("cluster-announce-tls-port {}", ports.announced));
            line(format!("tls-cert-file {}", files.cert.display()));
            line(format!("tls-key-file {}", files.key.display()));
            line(format!("tls-ca-cert-file {}", files.ca.display()));
            line("tls-auth-clients no\ntls-replication yes\ntls-cluster yes".to_owned());
            line(format!("user default off\nuser {USER} on >{PASSWORD} ~* &* +@all"));
            line(format!("masteruser {USER}\nmasterauth {PASSWORD}"));
        }
        None => {
            line(format!("port {}", ports.direct));
            line(format!("cluster-announce-port {}", ports.announced));
        }
    }
    // The last one counts.
    options.extra.iter().for_each(|(key, value)| line(format!("{key} {value}")));
    text
}
