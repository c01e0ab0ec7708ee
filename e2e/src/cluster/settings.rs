//! What gateways, consumers and rankers are told of the servers, as environment variables.

use std::{fs, net::SocketAddr, path::Path};

use super::{
    certificates::Certificates,
    error::ClusterError,
    kafka::{Kafka, PASSWORD, Party, USER, join},
    redis_cluster::RedisCluster,
    run::Run,
};

pub(super) type Settings = Vec<(String, String)>;

/// `kafka.*` of a party.
pub(super) fn of_kafka(kafka: &Kafka, party: Party, run: &Run) -> Result<Settings, ClusterError> {
    let mut settings = vec![setting("KAFKA_BROKERS", join(&kafka.brokers(party)))];
    if let Some(files) = kafka.certificates() {
        settings.extend(login("KAFKA", files, run)?);
        settings.push(setting("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"));
        settings.push(setting("KAFKA_CERT_FILE", text(&files.cert)));
        settings.push(setting("KAFKA_KEY_FILE", text(&files.key)));
    }
    Ok(settings)
}

/// `redis.*`.
pub(super) fn of_redis(redis: &RedisCluster, run: &Run) -> Result<Settings, ClusterError> {
    let addresses: Vec<SocketAddr> = redis.addresses();
    let mut settings = vec![setting("REDIS_NODES", join(&addresses))];
    if let Some(files) = redis.certificates() {
        settings.extend(login("REDIS", files, run)?);
    }
    Ok(settings)
}

/// `link.*` but the address to listen at.
pub(super) fn of_links(files: &Certificates) -> Settings {
    let files = [("LINK_CA_FILE", &files.ca), ("LINK_CERT_FILE", &files.cert), ("LINK_KEY_FILE", &files.key)];
    files.map(|(name, path)| setting(name, text(path))).into()
}

/// TLS, user and password of a server.
fn login(server: &str, files: &Certificates, run: &Run) -> Result<Settings, ClusterError> {
    let password = run.folder().join("password");
    // Processes that were started before read it now and then.
    if !password.exists() {
        fs::write(&password, PASSWORD).map_err(ClusterError::system(format!("writing {}", password.display())))?;
    }
    let own = |name: &str, value: String| setting(&format!("{server}_{name}"), value);
    Ok(vec![
        own("TLS", "true".to_owned()),
        own("CA_FILE", text(&files.ca)),
        own("USERNAME", USER.to_owned()),
        own("PASSWORD_FILE", text(&password)),
    ])
}

fn setting(name: &str, value: impl Into<String>) -> (String, String) {
    (format!("BARRAGE_{name}"), value.into())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
