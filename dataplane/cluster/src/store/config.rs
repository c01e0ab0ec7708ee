//! Where a Redis Cluster is, and how its errors are told.

use barrage_core::store::StoreError;

/// Where the cluster is and how one logs in.
#[derive(Clone, Default)]
pub struct RedisConfig {
    /// Some of its nodes, as host:port.
    pub nodes: Vec<String>,
    /// The pool, which all keys begin with.
    pub pool: String,
    /// Masters without replicas: what one of them has counts as safe.
    pub trial: bool,
    /// Whether nodes speak TLS, and whom they are known by.
    pub tls: Option<RedisTls>,
    /// The ACL user; with a password alone it is `default`.
    pub username: Option<String>,
    pub password: Option<String>,
}

#[derive(Clone, Default)]
pub struct RedisTls {
    /// The authority's certificates, PEM; those of the system when there are none.
    pub ca: Option<Vec<u8>>,
}

pub(super) const fn failed(doing: &'static str, reason: String) -> StoreError {
    StoreError::Storage { doing, reason }
}
