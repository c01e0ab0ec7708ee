//! Where a pool's Kafka and Redis are and how to log in, with the content of the Secrets that the pool refers to.

use std::{fs, io, path::Path};

use barrage_cluster::{
    endpoint::{Node, Secret, Tls},
    kafka::{KafkaConfig, Mechanism, Sasl},
    settings::{Cluster, Credentials, Redis},
};
use barrage_core::certificate::CertificateFiles;

/// What a session connects to. Two that are equal are one session.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Begins the names of topics and keys.
    pub pool_id: String,
    /// Partitions that the pool is made with.
    pub partitions: u32,
    /// Partitions that a room of the pool is spread over, where the pool is yet to be made.
    pub spread: u32,
    /// Kafka.
    pub kafka: KafkaTarget,
    /// Redis.
    pub redis: RedisTarget,
}

/// Kafka.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaTarget {
    /// Brokers to begin with.
    pub brokers: Vec<Node>,
    /// One broker without copies.
    pub trial: bool,
    /// `None` is plain text.
    pub tls: Option<TlsContent>,
    /// `None` is nobody in particular.
    pub sasl: Option<SaslContent>,
}

/// Redis.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisTarget {
    /// Nodes to begin with.
    pub nodes: Vec<Node>,
    /// Masters without replicas.
    pub trial: bool,
    /// `None` is plain text.
    pub tls: Option<TlsContent>,
    /// ACL user, if it is not the default one, and password.
    pub auth: Option<(Option<String>, String)>,
}

/// What TLS is checked with and shows, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsContent {
    /// Authorities; `None` is the system's.
    pub ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct SaslContent {
    pub mechanism: Mechanism,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl Target {
    /// The settings of the data plane's own code, which takes certificates from files: they are written to `folder`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn cluster(&self, folder: &Path) -> io::Result<Cluster> {
        let tls =
            |name: &str, tls: &Option<TlsContent>| tls.as_ref().map(|content| files(folder, name, content)).transpose();
        let sasl = self.kafka.sasl.as_ref().map(|sasl| Sasl {
            mechanism: sasl.mechanism,
            username: sasl.username.clone(),
            password: Secret::new(&sasl.password),
        });
        let credentials = self
            .redis
            .auth
            .as_ref()
            .map(|(username, password)| Credentials { username: username.clone(), password: Secret::new(password) });
        Ok(Cluster {
            pool: self.pool_id.clone(),
            kafka: KafkaConfig {
                pool: self.pool_id.clone(),
                brokers: self.kafka.brokers.clone(),
                trial: self.kafka.trial,
                tls: tls("kafka", &self.kafka.tls)?,
                sasl,
            },
            redis: Redis {
                nodes: self.redis.nodes.clone(),
                trial: self.redis.trial,
                tls: tls("redis", &self.redis.tls)?,
                credentials,
            },
        })
    }
}

fn files(folder: &Path, name: &str, content: &TlsContent) -> io::Result<Tls> {
    let write = |kind: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}-{kind}.pem"));
        fs::write(&path, bytes).map(|()| path)
    };
    let certificate = content.identity.as_ref().map(|(certificate, key)| {
        io::Result::Ok(CertificateFiles { certificate: write("certificate", certificate)?, key: write("key", key)? })
    });
    Ok(Tls {
        ca_file: content.ca.as_ref().map(|ca| write("ca", ca)).transpose()?,
        certificate: certificate.transpose()?,
    })
}
