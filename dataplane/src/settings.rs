//! Settings of the roles: from a file, the environment and flags, the later the stronger.
//!
//! [`raw`] says once what can be set; confique reads and merges it. What comes out is judged by [`validate`], which
//! depends on nothing but its arguments and names all that is wrong at once. The result needs no second look.

mod catalog;
mod check;
mod host;
mod raw;
mod reference;
mod refusal;
mod source;
mod validate;
mod value;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc};

use confique::Config;

use crate::{gateway, token::Keys, trace};
use raw::Raw;

pub use catalog::describe;
pub use host::Host;
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
    Gateway(Settings, Gateway),
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
    pub kafka: Kafka,
    /// The store.
    pub redis: Redis,
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

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Brokers to begin with, one or more.
    pub brokers: Vec<Node>,
    /// One broker without copies.
    pub trial: bool,
    /// `None` is plain text.
    pub tls: Option<Tls>,
    /// `None` is nobody in particular.
    pub sasl: Option<Sasl>,
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
    pub identity: Identity,
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
    /// Where they connect over TLS and QUIC, and what they are shown; `None` is nowhere.
    pub tls: Option<Box<gateway::Tls>>,
    /// Threads that serve connections, 1 to 256.
    pub shards: usize,
    /// What tokens are verified with.
    pub keys: Arc<Keys>,
    /// Where they stand; read again when it changes.
    pub keys_file: PathBuf,
    /// How it behaves.
    pub config: gateway::Config,
}

/// TLS toward a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that the server's certificate is checked against, PEM; `None` is the system's.
    pub ca_file: Option<PathBuf>,
    /// What is shown to the server.
    pub identity: Option<Identity>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Certificate and what it was signed with, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM.
    pub key_file: PathBuf,
}

/// Who this is to Kafka.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: Mechanism,
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Who this is to Redis.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// Password.
    pub password: Secret,
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616: the password itself.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// As librdkafka's `sasl.mechanism` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl FromStr for Mechanism {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512].into_iter().find(|known| known.as_str() == text).ok_or(())
    }
}

/// A server of a cluster, as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port, above 0.
    pub port: u16,
}

impl FromStr for Node {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let valid = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        let port = port.parse().ok().filter(|&port| port > 0 && valid).ok_or(())?;
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
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
