//! What the operator can be told: flags, each of which is also a variable of the environment.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

/// How the operator runs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Namespaces whose rooms and pools are looked after [default: all]
    #[arg(long, env = "BARRAGE_NAMESPACES", value_name = "NAME", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Image of the pods of pools that name none; a pool keeps the first that it was given
    #[arg(long, env = "BARRAGE_IMAGE", value_name = "IMAGE")]
    pub image: String,
    /// Pool of rooms that name none [default: the pool `default` of the room's namespace]
    #[arg(long, env = "BARRAGE_DEFAULT_POOL", value_name = "NAMESPACE/NAME", value_parser = pool)]
    pub default_pool: Option<PoolKey>,
    /// JSON file with a list of `RoomPool`s that are applied by whoever leads, like the chart's default pool
    #[arg(long, env = "BARRAGE_POOLS_FILE", value_name = "FILE")]
    pub pools_file: Option<PathBuf>,
    /// Namespace of the Lease by which one of several operators leads: the operator's own
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "default")]
    pub lease_namespace: String,
    /// Name of that Lease
    #[arg(long, env = "BARRAGE_LEASE", value_name = "NAME", default_value = "barrage-operator")]
    pub lease: String,
    /// What this operator is called among several
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "barrage-operator")]
    pub name: String,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "BARRAGE_ADMIN_LISTEN", value_name = "ADDRESS", default_value = "0.0.0.0:9090")]
    pub admin_listen: SocketAddr,
    /// Log lines as text or as JSON
    #[arg(long, env = "BARRAGE_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log lines shown: error, warn, info, debug, trace, or per module as in RUST_LOG
    #[arg(long, env = "BARRAGE_LOG", value_name = "FILTER", default_value = "warn,barrage=info,barrage_operator=info")]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Namespace and name of a `RoomPool`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolKey {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for PoolKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Options {
    /// Whether rooms and pools of this namespace are looked after.
    #[must_use]
    pub fn sees(&self, namespace: &str) -> bool {
        self.scopes().iter().any(|scope| scope.as_deref().is_none_or(|scope| scope == namespace))
    }

    /// The namespaces to watch, each by itself; `None` is all of them at once.
    #[must_use]
    pub fn scopes(&self) -> Vec<Option<String>> {
        let named: BTreeSet<_> =
            self.namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        if named.is_empty() { vec![None] } else { named.into_iter().map(|name| Some(name.to_owned())).collect() }
    }
}

fn pool(text: &str) -> Result<PoolKey, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(PoolKey { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("allowed: NAMESPACE/NAME of a RoomPool".to_owned()),
    }
}
