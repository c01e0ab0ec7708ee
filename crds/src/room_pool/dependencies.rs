//! What a pool needs from elsewhere: Kafka, a Redis Cluster, and keys for tokens. Secrets are referred to, never held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A server as `host:port`.
const NODE_PATTERN: &str = r"^[-._A-Za-z0-9]+:[0-9]{1,5}$|^\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}$";

/// Kafka, and how to log in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.spread) || self.spread <= self.partitions",
    "message": "spec.kafka.spread is at most spec.kafka.partitions: a room cannot be on more partitions than there are"
}]))]
pub struct KafkaSpec {
    /// Brokers to begin with, each `host:port`; the others are learnt from them.
    #[schemars(length(min = 1, max = 100), inner(regex(pattern = NODE_PATTERN)))]
    pub brokers: Vec<String>,
    /// Partitions of the log, for ever: at least as many as consumers that the pool will ever need. Immutable.
    #[serde(default = "partitions")]
    #[schemars(range(min = 1, max = 10_000), extend("format" = "int32", "x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "spec.kafka.partitions is immutable, because it decides where every room lives: set it back, or create another RoomPool with another poolId"
    }]))]
    pub partitions: u32,
    /// Partitions that each room's senders are spread over, for ever, at most as many as `partitions`: with more a room can
    /// be hotter, brokers get more requests, and each danmaku takes longer. Immutable. Absent: 1 for a new pool;
    /// `status.spread` says what a pool was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 16), extend("format" = "int32", "x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "spec.kafka.spread is immutable, because it decides where every room lives: set it back, or create another RoomPool with another poolId"
    }]))]
    pub spread: Option<u32>,
    /// One broker without copies, to try things out: what is acknowledged is lost with its disk.
    #[serde(default)]
    pub trial: bool,
    /// TLS toward the brokers. Absent: plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KafkaTlsSpec")]
    pub tls: Option<KafkaTlsSpec>,
    /// Who the pool is to the brokers. Absent: nobody in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SaslSpec")]
    pub sasl: Option<SaslSpec>,
}

const fn partitions() -> u32 {
    12
}

/// TLS toward Kafka. An empty object checks brokers against the system's authorities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTlsSpec {
    /// Authorities that brokers' certificates are checked against, PEM. Absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub ca: Option<SecretKeyRef>,
    /// Secret of type `kubernetes.io/tls` with the certificate that is shown to brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub certificate_secret: Option<String>,
}

/// SASL.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SaslSpec {
    /// How the password is proved.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// User name.
    #[schemars(length(min = 1))]
    pub username: String,
    /// Its password.
    pub password: SecretKeyRef,
}

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SaslMechanism {
    /// The password itself; only over TLS is it safe.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// As Kafka writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A Redis Cluster with AOF and `noeviction`, and how to log in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisSpec {
    /// Nodes to begin with, each `host:port`; the others are learnt from them.
    #[schemars(length(min = 1, max = 100), inner(regex(pattern = NODE_PATTERN)))]
    pub nodes: Vec<String>,
    /// Nodes without replicas, to try things out: what a lost node had is read from the log again.
    #[serde(default)]
    pub trial: bool,
    /// TLS toward the nodes. Absent: plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RedisTlsSpec")]
    pub tls: Option<RedisTlsSpec>,
    /// Who the pool is to the nodes. Absent: the default user without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RedisAuthSpec")]
    pub auth: Option<RedisAuthSpec>,
}

/// TLS toward Redis. An empty object checks nodes against the system's authorities.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisTlsSpec {
    /// Authorities that nodes' certificates are checked against, PEM. Absent: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub ca: Option<SecretKeyRef>,
}

/// A user of Redis.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedisAuthSpec {
    /// ACL user. Absent: the default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub username: Option<String>,
    /// Its password.
    pub password: SecretKeyRef,
}

/// What tokens are verified with.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensSpec {
    /// A JWK set of HS256, ES256 or EdDSA keys; gateways take up a change within a minute. Absent: the operator makes
    /// the Secret `NAME-token-keys` with one HS256 key under `keys.json`, for whoever signs tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SecretKeyRef")]
    pub keys: Option<SecretKeyRef>,
}

/// A key of a Secret in the pool's namespace.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
    /// Key in its `data`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
