//! Kafka as every role reaches it: addresses, who we are, what our topics are called, and the librdkafka settings that
//! producers and consumers share.

mod context;
mod polled;
mod topics;

use std::str::FromStr;

use rdkafka::config::RDKafkaLogLevel;

use crate::endpoint::{Node, Secret, Tls};
use barrage_core::certificate::CertificateFiles;

pub use context::Context;
pub use polled::polled;
pub use rdkafka::ClientConfig;
pub use topics::{Durability, TopicError, check_topics, create_topics};

#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Name of the pool; its topics and its group begin with it.
    pub pool: String,
    /// Brokers to begin with, one or more.
    pub brokers: Vec<Node>,
    /// One broker without copies.
    pub trial: bool,
    /// `None` is plain text.
    pub tls: Option<Tls>,
    /// `None` is nobody in particular.
    pub sasl: Option<Sasl>,
}

#[derive(Debug, Clone)]
pub struct Sasl {
    pub mechanism: Mechanism,
    /// User name.
    pub username: String,
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

impl KafkaConfig {
    #[must_use]
    pub const fn durability(&self) -> Durability {
        if self.trial { Durability::Trial } else { Durability::Replicated }
    }

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
        let brokers: Vec<String> = self.brokers.iter().map(ToString::to_string).collect();
        client.set("bootstrap.servers", brokers.join(",")).set("client.id", "barrage");
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
            // An image has the system's authorities, but not the folder where OpenSSL was told at its build to look for them.
            let authorities = tls.ca_file.as_ref().map_or("probe".into(), |file| file.to_string_lossy());
            client.set("ssl.ca.location", authorities);
            if let Some(CertificateFiles { certificate, key }) = &tls.certificate {
                client.set("ssl.certificate.location", certificate.to_string_lossy());
                client.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(sasl) = &self.sasl {
            client.set("sasl.mechanism", sasl.mechanism.as_str());
            client.set("sasl.username", &sasl.username).set("sasl.password", sasl.password.expose());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> KafkaConfig {
        let brokers = ["a:1", "b:2"].map(|broker| broker.parse().unwrap()).into();
        KafkaConfig { pool: "default".into(), brokers, trial: false, tls: None, sasl: None }
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
        let certificate = Some(CertificateFiles { certificate: "c.pem".into(), key: "k.pem".into() });
        config.tls = Some(Tls { ca_file: Some("ca.pem".into()), certificate });
        assert_eq!(config.client().get("security.protocol"), Some("ssl"));
        assert_eq!(config.client().get("ssl.key.location"), Some("k.pem"));
        assert_eq!(config.client().get("ssl.ca.location"), Some("ca.pem"));
        let (mechanism, password) = (Mechanism::ScramSha512, Secret::new("hush"));
        config.sasl = Some(Sasl { mechanism, username: "u".into(), password });
        assert_eq!(config.client().get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.client().get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        config.tls = None;
        assert_eq!(config.client().get("security.protocol"), Some("sasl_plaintext"));
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn without_authorities_of_its_own_the_system_s_are_looked_for() {
        let mut config = config();
        config.tls = Some(Tls { ca_file: None, certificate: None });
        assert_eq!(config.client().get("ssl.ca.location"), Some("probe"));
    }
}
