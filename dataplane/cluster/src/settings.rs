//! Settings of the roles: from a file, the environment and flags, the later the stronger.
//!
//! [`raw`] says once what can be set; confique reads and merges it. What comes out is judged by [`validate`], which
//! depends on nothing but its arguments and names all that is wrong at once. The result needs no second look.

mod catalog;
mod check;
mod raw;
mod reference;
mod refusal;
mod source;
mod validate;
mod value;

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use confique::Config;

use barrage_core::{
    certificate::{self, CertificateError, CertificateFiles},
    host::Host,
    token::Keys,
};

use crate::{
    endpoint::{Node, Secret, Tls},
    kafka::KafkaConfig,
    store::{RedisConfig, RedisTls},
    trace,
};
use raw::Raw;

pub use catalog::describe;
pub use reference::reference;
pub use refusal::{Refusal, Refused};

/// What a process does in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Holds viewers' connections.
    Gateway,
    /// Brings the log to the store.
    Consumer,
    /// Decides what viewers are shown.
    Ranker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Consumer => "consumer",
            Self::Ranker => "ranker",
        })
    }
}

/// What the command line says.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// TOML file with settings; variables and flags are stronger
    #[arg(long, value_name = "FILE", env = "BARRAGE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: <Raw as Config>::Layer,
}

impl Flags {
    /// Only a file.
    #[must_use]
    pub fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, settings: confique::Layer::empty() }
    }
}

/// What a role runs with.
#[derive(Debug, Clone)]
pub enum RoleSettings {
    /// A gateway.
    Gateway(Settings, Box<Gateway>),
    /// A consumer.
    Consumer(Settings),
    /// A ranker.
    Ranker(Settings),
}

/// A pool and what keeps it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Begins the names of topics and of Redis keys. At most 63 of a-z, 0-9 and `-`.
    pub pool: String,
    /// The log.
    pub kafka: KafkaConfig,
    /// The store.
    pub redis: Redis,
}

impl Cluster {
    /// What the store is reached by.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn redis_config(&self) -> Result<RedisConfig, CertificateError> {
        let Redis { nodes, trial, tls, credentials } = &self.redis;
        let ca = match tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
            Some(path) => {
                let [ca] = certificate::read(std::array::from_ref(path))?;
                Some(ca)
            }
            None => None,
        };
        Ok(RedisConfig {
            nodes: nodes.iter().map(ToString::to_string).collect(),
            pool: self.pool.clone(),
            trial: *trial,
            tls: tls.is_some().then_some(RedisTls { ca }),
            username: credentials.as_ref().and_then(|known| known.username.clone()),
            password: credentials.as_ref().map(|known| known.password.expose().to_owned()),
        })
    }
}

/// What all roles have.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pool that it works for.
    pub cluster: Cluster,
    /// What this process is called, the same after every restart. At most 63 of letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Where health and metrics are served; port 0 picks a free one.
    pub admin: SocketAddr,
    /// Between the roles.
    pub link: Link,
    /// Where traces go; `None` is nowhere.
    pub trace: Option<trace::Config>,
}

/// How to reach Redis Cluster.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Nodes to begin with, one or more.
    pub nodes: Vec<Node>,
    /// Masters without replicas.
    pub trial: bool,
    /// `None` is plain text; without an identity.
    pub tls: Option<Tls>,
    /// `None` is the default user without a password.
    pub credentials: Option<Credentials>,
}

/// How roles reach each other: mutual TLS. Files were well-formed at the start; they are read again when they change.
#[derive(Debug, Clone)]
pub struct Link {
    /// Authorities that the other side's certificate is checked against, PEM.
    pub ca_file: PathBuf,
    /// What is shown to the other side.
    pub certificate: CertificateFiles,
    /// UDP address of a ranker.
    pub listen: SocketAddr,
    /// By what others reach it.
    pub advertise: Option<Node>,
}

impl Settings {
    /// Host and port by which others reach a ranker's links.
    #[must_use]
    pub fn advertised(&self) -> String {
        let Link { listen, advertise, .. } = &self.link;
        match advertise {
            Some(node) => node.to_string(),
            None if listen.ip().is_unspecified() => Node { host: self.name.clone(), port: listen.port() }.to_string(),
            None => listen.to_string(),
        }
    }
}

/// What only a gateway has.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where viewers connect; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where they connect over TLS and QUIC; `None` is nowhere.
    pub tls: Option<ViewerTls>,
    /// Threads that serve connections, 1 to 256.
    pub shards: usize,
    /// What tokens are verified with.
    pub keys: Arc<Keys>,
    /// Where they stand; read again when it changes.
    pub keys_file: PathBuf,
    /// Origins besides the gateway's own that pages may connect from.
    pub allowed_origins: Vec<String>,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address; 0 is no limit.
    pub connections_per_address_max: usize,
    /// A silent connection is dropped after this.
    pub idle_timeout: Duration,
    /// A request must be whole within this time.
    pub handshake_timeout: Duration,
    /// A viewer that takes nothing for this long is closed.
    pub slow_timeout: Duration,
    /// At shutdown, viewers come back within this time, each at another moment.
    pub reconnect_spread: Duration,
}

/// How viewers are served over TLS and QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewerTls {
    /// Where they connect, by TCP and by UDP; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What they are shown.
    pub certificate: CertificateFiles,
}

/// Who this is to Redis.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// Password.
    pub password: Secret,
}

/// Reads all sources and judges them.
///
/// # Errors
/// [`Refused`], with everything that is wrong.
pub fn load(role: Role, flags: Flags, host: &Host) -> Result<RoleSettings, Refused> {
    read(role, flags, host).map(|(_, settings)| settings)
}

/// What a command runs with that looks after a pool: by a file and the environment.
///
/// # Errors
/// [`Refused`], with everything that is wrong.
pub fn cluster(file: Option<PathBuf>, host: &Host) -> Result<Cluster, Refused> {
    let role = Role::Consumer;
    let mut refusals = Vec::new();
    let raw = source::read(role, Flags::of_file(file), host, &mut refusals);
    let cluster = raw.and_then(|raw| validate::cluster(&raw, host).map_err(|more| refusals.extend(more)).ok());
    match cluster {
        Some(cluster) if refusals.is_empty() => Ok(cluster),
        _ => Err(Refused { role, refusals }),
    }
}

/// What a role would run with, in the form of a settings file. Secrets are in other files, so it holds none.
///
/// # Errors
/// [`Refused`], with everything that is wrong.
pub fn effective(role: Role, flags: Flags, host: &Host) -> Result<String, Refused> {
    read(role, flags, host).map(|(raw, _)| reference::values(role, &raw))
}

fn read(role: Role, flags: Flags, host: &Host) -> Result<(Raw, RoleSettings), Refused> {
    let mut refusals = Vec::new();
    let raw = source::read(role, flags, host, &mut refusals).map(|raw| raw.completed(host));
    let settings = raw.as_ref().and_then(|raw| match validate::validate(role, raw, host) {
        Ok(settings) => Some(settings),
        Err(more) => {
            refusals.extend(more);
            None
        }
    });
    match raw.zip(settings) {
        Some(read) if refusals.is_empty() => Ok(read),
        _ => Err(Refused { role, refusals }),
    }
}

#[cfg(test)]
mod tests;
