//! The settings as they are written: names, defaults and documentation, once for file, environment, flags and the
//! reference that `barrage config` prints. Values are taken as they come; [`super::validate`] judges them.
//!
//! A field `ca_file` of the section `kafka` is `kafka.ca-file` in the file, `BARRAGE_KAFKA_CA_FILE` in the environment
//! and `--kafka-ca-file` on the command line; a test holds the three together.

use confique::Config;
use serde::Serialize;

use super::value::Value;
use barrage_core::host::Host;

/// Everything that can be set.
#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Raw {
    /// Name of the pool: its topics are NAME.danmaku, NAME.routes, NAME.heat and NAME.dead, its Redis keys begin with
    /// it. Lower case letters, digits and -, up to 63
    #[config(default = "default", env = "BARRAGE_POOL", layer_attr(arg(id = "pool", long, value_name = "NAME")))]
    pub(super) pool: Value,
    /// What this process is called in its role, the same after every restart. Letters, digits, - _ and ., up to 63.
    /// Without it, the host's name
    #[config(env = "BARRAGE_NAME", layer_attr(arg(id = "name", long, value_name = "NAME")))]
    pub(super) name: Option<Value>,
    /// Health and metrics
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) admin: Admin,
    /// The log
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) kafka: Kafka,
    /// The store
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) redis: Redis,
    /// Between the roles: QUIC with mutual TLS
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) link: Link,
    /// Traces of single records, in OpenTelemetry's protocol
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) trace: Trace,
    /// Only of the gateway
    #[config(nested, layer_attr(command(flatten)))]
    pub(super) gateway: Gateway,
}

impl Raw {
    /// With what only the machine knows, so that what is printed is what a role runs with.
    pub(super) fn completed(mut self, host: &Host) -> Self {
        self.name = self.name.or_else(|| host.name.clone().map(Value::from));
        self.gateway.shards = self.gateway.shards.or_else(|| Some(host.cores.to_string().into()));
        self.gateway.connections_max =
            self.gateway.connections_max.or_else(|| Some(host.connections_max.to_string().into()));
        self
    }
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Admin {
    /// Where /livez, /readyz and /metrics are served. Port 0 picks a free one, which the role prints
    #[config(
        default = "127.0.0.1:9090",
        env = "BARRAGE_ADMIN_LISTEN",
        layer_attr(arg(id = "admin-listen", long, value_name = "ADDRESS"))
    )]
    pub(super) listen: Value,
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Kafka {
    /// Brokers to begin with, host:port; the others are learnt from them
    #[config(
        default = ["127.0.0.1:9092"],
        env = "BARRAGE_KAFKA_BROKERS",
        layer_attr(arg(id = "kafka-brokers", long, value_name = "HOST:PORT,…"))
    )]
    pub(super) brokers: Value,
    /// One broker without copies, to try things out: what is acknowledged is lost with its disk
    #[config(
        default = false,
        env = "BARRAGE_KAFKA_TRIAL",
        layer_attr(arg(id = "kafka-trial", long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"))
    )]
    pub(super) trial: Value,
    /// Whether brokers are spoken to over TLS
    #[config(
        default = false,
        env = "BARRAGE_KAFKA_TLS",
        layer_attr(arg(id = "kafka-tls", long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"))
    )]
    pub(super) tls: Value,
    /// PEM file of the authorities that brokers' certificates are checked against. Without it, the system's
    #[config(env = "BARRAGE_KAFKA_CA_FILE", layer_attr(arg(id = "kafka-ca-file", long, value_name = "FILE")))]
    pub(super) ca_file: Option<Value>,
    /// PEM file of the certificate to show to brokers; goes with kafka.key-file
    #[config(env = "BARRAGE_KAFKA_CERT_FILE", layer_attr(arg(id = "kafka-cert-file", long, value_name = "FILE")))]
    pub(super) cert_file: Option<Value>,
    /// PEM file of its private key
    #[config(env = "BARRAGE_KAFKA_KEY_FILE", layer_attr(arg(id = "kafka-key-file", long, value_name = "FILE")))]
    pub(super) key_file: Option<Value>,
    /// User name for SASL; goes with kafka.password-file
    #[config(env = "BARRAGE_KAFKA_USERNAME", layer_attr(arg(id = "kafka-username", long, value_name = "NAME")))]
    pub(super) username: Option<Value>,
    /// File with the password and nothing else; a line end behind it does not count
    #[config(
        env = "BARRAGE_KAFKA_PASSWORD_FILE",
        layer_attr(arg(id = "kafka-password-file", long, value_name = "FILE"))
    )]
    pub(super) password_file: Option<Value>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Without it, SCRAM-SHA-512
    #[config(
        env = "BARRAGE_KAFKA_SASL_MECHANISM",
        layer_attr(arg(id = "kafka-sasl-mechanism", long, value_name = "NAME"))
    )]
    pub(super) sasl_mechanism: Option<Value>,
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Redis {
    /// Nodes of the Redis Cluster to begin with, host:port; the others are learnt from them
    #[config(
        default = ["127.0.0.1:7000"],
        env = "BARRAGE_REDIS_NODES",
        layer_attr(arg(id = "redis-nodes", long, value_name = "HOST:PORT,…"))
    )]
    pub(super) nodes: Value,
    /// Nodes without replicas, to try things out: what is acknowledged may have to be read from the log again when one is
    /// lost
    #[config(
        default = false,
        env = "BARRAGE_REDIS_TRIAL",
        layer_attr(arg(id = "redis-trial", long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"))
    )]
    pub(super) trial: Value,
    /// Whether nodes are spoken to over TLS
    #[config(
        default = false,
        env = "BARRAGE_REDIS_TLS",
        layer_attr(arg(id = "redis-tls", long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true"))
    )]
    pub(super) tls: Value,
    /// PEM file of the authorities that nodes' certificates are checked against. Without it, the system's
    #[config(env = "BARRAGE_REDIS_CA_FILE", layer_attr(arg(id = "redis-ca-file", long, value_name = "FILE")))]
    pub(super) ca_file: Option<Value>,
    /// ACL user; goes with redis.password-file. Without it, the default user
    #[config(env = "BARRAGE_REDIS_USERNAME", layer_attr(arg(id = "redis-username", long, value_name = "NAME")))]
    pub(super) username: Option<Value>,
    /// File with the password and nothing else; a line end behind it does not count
    #[config(
        env = "BARRAGE_REDIS_PASSWORD_FILE",
        layer_attr(arg(id = "redis-password-file", long, value_name = "FILE"))
    )]
    pub(super) password_file: Option<Value>,
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Link {
    /// PEM file of the authorities that other roles' certificates are checked against. Needed
    #[config(env = "BARRAGE_LINK_CA_FILE", layer_attr(arg(id = "link-ca-file", long, value_name = "FILE")))]
    pub(super) ca_file: Option<Value>,
    /// PEM file of this process's certificate, for server and client. Needed
    #[config(env = "BARRAGE_LINK_CERT_FILE", layer_attr(arg(id = "link-cert-file", long, value_name = "FILE")))]
    pub(super) cert_file: Option<Value>,
    /// PEM file of its private key. Needed
    #[config(env = "BARRAGE_LINK_KEY_FILE", layer_attr(arg(id = "link-key-file", long, value_name = "FILE")))]
    pub(super) key_file: Option<Value>,
    /// Host and port by which others reach a ranker's links. Default: where it listens, or its name if that is
    /// everywhere
    #[config(env = "BARRAGE_LINK_ADVERTISE", layer_attr(arg(id = "link-advertise", long, value_name = "HOST:PORT")))]
    pub(super) advertise: Option<Value>,
    /// UDP address on which a ranker takes links
    #[config(
        default = "0.0.0.0:7800",
        env = "BARRAGE_LINK_LISTEN",
        layer_attr(arg(id = "link-listen", long, value_name = "ADDRESS"))
    )]
    pub(super) listen: Value,
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Trace {
    /// Collector that takes OTLP over HTTP, like `http://127.0.0.1:4318`. Without it, nothing is traced
    #[config(
        env = "BARRAGE_TRACE_OTLP_ENDPOINT",
        layer_attr(arg(id = "trace-otlp-endpoint", long, value_name = "URL"))
    )]
    pub(super) otlp_endpoint: Option<Value>,
    /// Share of the records that gateways trace, 0 to 1
    #[config(
        default = 0.001,
        env = "BARRAGE_TRACE_SAMPLE_RATIO",
        layer_attr(arg(id = "trace-sample-ratio", long, value_name = "RATIO"))
    )]
    pub(super) sample_ratio: Value,
}

#[derive(Debug, Clone, Config, Serialize)]
#[serde(rename_all = "kebab-case")]
#[config(layer_attr(derive(Debug, Clone, clap::Args)), layer_attr(serde(rename_all = "kebab-case")))]
pub(crate) struct Gateway {
    /// Where viewers connect. Port 0 picks a free one, which the role prints
    #[config(
        default = "0.0.0.0:8080",
        env = "BARRAGE_GATEWAY_LISTEN",
        layer_attr(arg(id = "gateway-listen", long, value_name = "ADDRESS"))
    )]
    pub(super) listen: Value,
    /// Where viewers connect over TLS (TCP) and by WebTransport (UDP, the same port). Default: 0.0.0.0:8443 where the
    /// files are set; without them, viewers are served in plain text only
    #[config(
        env = "BARRAGE_GATEWAY_TLS_LISTEN",
        layer_attr(arg(id = "gateway-tls-listen", long, value_name = "ADDRESS"))
    )]
    pub(super) tls_listen: Option<Value>,
    /// PEM file of the certificate that viewers are shown, then those between it and its authority; read again when it
    /// changes. Goes with gateway.tls-key-file
    #[config(
        env = "BARRAGE_GATEWAY_TLS_CERT_FILE",
        layer_attr(arg(id = "gateway-tls-cert-file", long, value_name = "FILE"))
    )]
    pub(super) tls_cert_file: Option<Value>,
    /// PEM file of its private key
    #[config(
        env = "BARRAGE_GATEWAY_TLS_KEY_FILE",
        layer_attr(arg(id = "gateway-tls-key-file", long, value_name = "FILE"))
    )]
    pub(super) tls_key_file: Option<Value>,
    /// Threads that serve connections, 1 to 256. Without it, one per core
    #[config(env = "BARRAGE_GATEWAY_SHARDS", layer_attr(arg(id = "gateway-shards", long, value_name = "N")))]
    pub(super) shards: Option<Value>,
    /// Other sites whose pages may connect, like `https://example.org`
    #[config(
        default = [],
        env = "BARRAGE_GATEWAY_ALLOWED_ORIGINS",
        layer_attr(arg(id = "gateway-allowed-origins", long, value_name = "ORIGIN,…"))
    )]
    pub(super) allowed_origins: Value,
    /// Connections in all. Without it, what the limit of open files allows
    #[config(
        env = "BARRAGE_GATEWAY_CONNECTIONS_MAX",
        layer_attr(arg(id = "gateway-connections-max", long, value_name = "N"))
    )]
    pub(super) connections_max: Option<Value>,
    /// Connections from one address; 0 is no limit
    #[config(
        default = 0,
        env = "BARRAGE_GATEWAY_CONNECTIONS_PER_ADDRESS_MAX",
        layer_attr(arg(id = "gateway-connections-per-address-max", long, value_name = "N"))
    )]
    pub(super) connections_per_address_max: Value,
    /// Seconds without a sign of life until a connection is dropped, 2 to 3600
    #[config(
        default = 60,
        env = "BARRAGE_GATEWAY_IDLE_TIMEOUT_S",
        layer_attr(arg(id = "gateway-idle-timeout-s", long, value_name = "S"))
    )]
    pub(super) idle_timeout_s: Value,
    /// Seconds without taking anything until a slow viewer is closed, 1 to 3600
    #[config(
        default = 15,
        env = "BARRAGE_GATEWAY_SLOW_TIMEOUT_S",
        layer_attr(arg(id = "gateway-slow-timeout-s", long, value_name = "S"))
    )]
    pub(super) slow_timeout_s: Value,
    /// Seconds for a request to be whole, 1 to 60
    #[config(
        default = 5,
        env = "BARRAGE_GATEWAY_HANDSHAKE_TIMEOUT_S",
        layer_attr(arg(id = "gateway-handshake-timeout-s", long, value_name = "S"))
    )]
    pub(super) handshake_timeout_s: Value,
    /// JWK set that tokens are verified with: HS256, ES256 and EdDSA keys; read again when it changes. Needed by the
    /// gateway
    #[config(env = "BARRAGE_GATEWAY_KEYS_FILE", layer_attr(arg(id = "gateway-keys-file", long, value_name = "FILE")))]
    pub(super) keys_file: Option<Value>,
    /// Seconds over which viewers are told to come back when the gateway stops, 0 to 600
    #[config(
        default = 5,
        env = "BARRAGE_GATEWAY_RECONNECT_SPREAD_S",
        layer_attr(arg(id = "gateway-reconnect-spread-s", long, value_name = "S"))
    )]
    pub(super) reconnect_spread_s: Value,
}
