//! Kafka as every role reaches it: addresses, who we are, what our topics are called, and the librdkafka settings that
//! producers and consumers share.

mod context;
mod topics;

use std::{fmt, path::PathBuf};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

pub use context::Context;
pub use topics::{Durability, check_topics, create_topics};

/// Where Kafka is and how to log in.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Some brokers, `host:port`; they tell the others.
    pub brokers: Vec<String>,
    /// Name of the pool; its topics and its group begin with it.
    pub pool: String,
    /// TLS; `None` sends in the clear.
    pub tls: Option<Tls>,
    /// A user; `None` is nobody, or whom the client certificate names.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers. Their certificates must name the hosts that they are reached by.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Authorities to trust, PEM; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, PEM, where brokers ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A user and how it is proved.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// The mechanism; PLAIN sends the password and needs TLS.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// Mechanisms of SASL that Kafka and we both know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// RFC 4616.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// RFC 7677 with SHA-512.
    ScramSha512,
}

/// What must not be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A topic of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Records of danmaku: the log.
    Danmaku,
    /// The route table.
    Routes,
    /// Heat reports and announcements.
    Heat,
    /// Records that could not be applied.
    Dead,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Danmaku, Self::Routes, Self::Heat, Self::Dead];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Danmaku => "danmaku",
            Self::Routes => "routes",
            Self::Heat => "heat",
            Self::Dead => "dead",
        }
    }
}

impl SaslMechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl KafkaConfig {
    /// Full name of a topic of the pool.
    #[must_use]
    pub fn topic(&self, topic: Topic) -> String {
        format!("{}.{}", self.pool, topic.suffix())
    }

    /// The group that consumers commit under. Nobody joins it: owners are named by the route table.
    #[must_use]
    pub fn group(&self) -> String {
        format!("{}.consumers", self.pool)
    }

    /// What every client is configured with; create it with a [`Context`].
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.brokers.join(",")).set("client.id", "barrage");
        for (key, value) in [
            ("statistics.interval.ms", "0"),
            ("allow.auto.create.topics", "false"),
            ("socket.nagle.disable", "true"),
            ("socket.keepalive.enable", "true"),
            // A request is tried again, also elsewhere, several times within the 20 s after which senders hear about it,
            // and after a stopped broker was missed (3 to 9 s).
            ("socket.timeout.ms", "5000"),
            ("socket.connection.setup.timeout.ms", "3000"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("retry.backoff.ms", "50"),
            ("retry.backoff.max.ms", "500"),
            ("topic.metadata.refresh.fast.interval.ms", "50"),
        ] {
            client.set(key, value);
        }
        self.secure(&mut client);
        client.set_log_level(RDKafkaLogLevel::Info);
        client
    }

    fn secure(&self, client: &mut ClientConfig) {
        client.set(
            "security.protocol",
            match (&self.tls, &self.sasl) {
                (None, None) => "plaintext",
                (Some(_), None) => "ssl",
                (None, Some(_)) => "sasl_plaintext",
                (Some(_), Some(_)) => "sasl_ssl",
            },
        );
        if let Some(tls) = &self.tls {
            if let Some(file) = &tls.ca_file {
                client.set("ssl.ca.location", file.to_string_lossy());
            }
            if let Some((certificate, key)) = &tls.identity {
                client.set("ssl.certificate.location", certificate.to_string_lossy());
                client.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(sasl) = &self.sasl {
            client.set("sasl.mechanism", sasl.mechanism.name());
            client.set("sasl.username", &sasl.username).set("sasl.password", &sasl.password.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> KafkaConfig {
        KafkaConfig { brokers: vec!["a:1".into(), "b:2".into()], pool: "default".into(), tls: None, sasl: None }
    }

    #[test]
    fn topics_and_group_begin_with_the_pool() {
        let names = Topic::ALL.map(|topic| config().topic(topic));
        assert_eq!(names, ["default.danmaku", "default.routes", "default.heat", "default.dead"]);
        assert_eq!(config().group(), "default.consumers");
    }

    #[test]
    fn security_is_what_is_configured() {
        let mut config = config();
        assert_eq!(config.client().get("bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(config.client().get("security.protocol"), Some("plaintext"));
        config.tls = Some(Tls { ca_file: Some("ca.pem".into()), identity: Some(("c.pem".into(), "k.pem".into())) });
        assert_eq!(config.client().get("security.protocol"), Some("ssl"));
        assert_eq!(config.client().get("ssl.key.location"), Some("k.pem"));
        let password = Secret("hush".into());
        config.sasl = Some(Sasl { mechanism: SaslMechanism::ScramSha512, username: "u".into(), password });
        assert_eq!(config.client().get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.client().get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        config.tls = None;
        assert_eq!(config.client().get("security.protocol"), Some("sasl_plaintext"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
