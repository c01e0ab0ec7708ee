//! From settings as they are written to settings that a role can use without a second look. Depends on nothing but
//! its arguments; every value is looked at, so that one start names all that is wrong.

mod tls;

use std::{net::SocketAddr, sync::Arc};

use super::{
    Cluster, Credentials, Gateway, Link, Redis, Role, RoleSettings, Settings,
    check::Check,
    raw::{self, Raw},
    refusal::Refusal,
};
use crate::{
    endpoint::Tls,
    kafka::{KafkaConfig, Mechanism, Sasl},
    trace,
};
use barrage_core::certificate::CertificateFiles;
use barrage_core::host::Host;
use barrage_core::token::Keys;

/// Length of a DNS label, which names of pods and of hosts are.
const NAME_LENGTH_MAX: usize = 63;
const POOL: &str = "lower case letters, digits and - (not first or last), 1 to 63";
const NAME: &str = "letters, digits, - _ and ., the first a letter or digit, 1 to 63";
const MECHANISM: &str = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
const ORIGINS: &str = "origins like https://example.org or http://localhost:5173, lower case and without a path";
const KEY_SET: &str = "a JWK set of HS256 (oct), ES256 (EC P-256) and EdDSA (OKP Ed25519) keys";
const ENDPOINT: &str = "a URL like http://127.0.0.1:4318 (of a collector, without /v1/traces)";
const USERNAME: &str = "a name of one or more characters, none of them control characters";

/// What `role` runs with.
///
/// # Errors
/// All that is wrong.
pub(super) fn validate(role: Role, raw: &Raw, host: &Host) -> Result<RoleSettings, Vec<Refusal>> {
    let mut check = Check { refusals: Vec::new(), host };
    let settings = settings(raw, &mut check);
    let gateway = gateway(role, &raw.gateway, &mut check);
    if role == Role::Gateway {
        needs_own_address(raw, &mut check);
    }
    match (settings, gateway) {
        (Some(settings), Some(gateway)) if check.refusals.is_empty() => Ok(match (role, gateway) {
            (Role::Gateway, Some(gateway)) => RoleSettings::Gateway(settings, Box::new(gateway)),
            (Role::Ranker, _) => RoleSettings::Ranker(settings),
            _ => RoleSettings::Consumer(settings),
        }),
        _ => Err(check.refusals),
    }
}

/// What a command needs that looks after a pool.
///
/// # Errors
/// All that is wrong.
pub(super) fn cluster(raw: &Raw, host: &Host) -> Result<Cluster, Vec<Refusal>> {
    let mut check = Check { refusals: Vec::new(), host };
    let pool = pool(raw, &mut check);
    let (kafka, redis) = (kafka(pool.as_deref(), &raw.kafka, &mut check), redis(&raw.redis, &mut check));
    match (pool, kafka, redis) {
        (Some(pool), Some(kafka), Some(redis)) if check.refusals.is_empty() => Ok(Cluster { pool, kafka, redis }),
        _ => Err(check.refusals),
    }
}

fn pool(raw: &Raw, check: &mut Check) -> Option<String> {
    check.parse("pool", &raw.pool, POOL, |text| is_pool(text).then(|| text.to_owned()))
}

fn settings(raw: &Raw, check: &mut Check) -> Option<Settings> {
    let pool = pool(raw, check);
    let name = check.parse_if_set("name", &raw.name, NAME, |text| is_name(text).then(|| text.to_owned()));
    let name = name.and_then(|name| name.or_else(|| check.refuse_absent("name", NAME)));
    let admin = check.address("admin.listen", &raw.admin.listen);
    let kafka = kafka(pool.as_deref(), &raw.kafka, check);
    let (redis, link) = (redis(&raw.redis, check), link(&raw.link, check));
    let trace = trace(&raw.trace, check);
    let cluster = Cluster { pool: pool?, kafka: kafka?, redis: redis? };
    Some(Settings { cluster, name: name?, admin: admin?, link: link?, trace: trace? })
}

fn kafka(pool: Option<&str>, raw: &raw::Kafka, check: &mut Check) -> Option<KafkaConfig> {
    let brokers = check.nodes("kafka.brokers", &raw.brokers);
    let trial = check.truth("kafka.trial", &raw.trial);
    let tls = check.truth("kafka.tls", &raw.tls);
    let ca_file = check.certificates("kafka.ca-file", &raw.ca_file);
    let cert_file = check.certificates("kafka.cert-file", &raw.cert_file);
    let key_file = check.private_key("kafka.key-file", &raw.key_file);
    let username = check.parse_if_set("kafka.username", &raw.username, USERNAME, username);
    let password = check.password("kafka.password-file", &raw.password_file);
    let mechanism =
        check.parse_if_set("kafka.sasl-mechanism", &raw.sasl_mechanism, MECHANISM, |text| text.parse().ok());
    let [cert, key] = [("kafka.cert-file", &raw.cert_file), ("kafka.key-file", &raw.key_file)];
    check.together(cert, key);
    check.together(("kafka.username", &raw.username), ("kafka.password-file", &raw.password_file));
    if tls == Some(false) {
        check.refuse_without(&[("kafka.ca-file", &raw.ca_file), cert, key], "only with kafka.tls = true");
    }
    if raw.username.is_none() && raw.password_file.is_none() {
        let mechanism = ("kafka.sasl-mechanism", &raw.sasl_mechanism);
        check.refuse_without(&[mechanism], "only with kafka.username and kafka.password-file");
    }
    let certificate = cert_file?.zip(key_file?).map(|(certificate, key)| CertificateFiles { certificate, key });
    let mechanism = mechanism?.unwrap_or(Mechanism::ScramSha512);
    let sasl = username?.zip(password?).map(|(username, password)| Sasl { mechanism, username, password });
    let tls = tls?.then_some(Tls { ca_file: ca_file?, certificate });
    Some(KafkaConfig { pool: pool?.to_owned(), brokers: brokers?, trial: trial?, tls, sasl })
}

fn redis(raw: &raw::Redis, check: &mut Check) -> Option<Redis> {
    let nodes = check.nodes("redis.nodes", &raw.nodes);
    let trial = check.truth("redis.trial", &raw.trial);
    let tls = check.truth("redis.tls", &raw.tls);
    let ca_file = check.certificates("redis.ca-file", &raw.ca_file);
    let username = check.parse_if_set("redis.username", &raw.username, USERNAME, username);
    let password = check.password("redis.password-file", &raw.password_file);
    if tls == Some(false) {
        check.refuse_without(&[("redis.ca-file", &raw.ca_file)], "only with redis.tls = true");
    }
    // A password without a name is the default user's.
    if raw.password_file.is_none() {
        check.refuse_without(&[("redis.username", &raw.username)], "only with redis.password-file");
    }
    let (username, ca_file) = (username?, ca_file?);
    let credentials = password?.map(|password| Credentials { username, password });
    Some(Redis { nodes: nodes?, trial: trial?, tls: tls?.then_some(Tls { ca_file, certificate: None }), credentials })
}

fn link(raw: &raw::Link, check: &mut Check) -> Option<Link> {
    let ca_file = check.certificates("link.ca-file", &raw.ca_file);
    let cert_file = check.certificates("link.cert-file", &raw.cert_file);
    let key_file = check.private_key("link.key-file", &raw.key_file);
    let listen = check.address("link.listen", &raw.listen);
    let advertise =
        check.parse_if_set("link.advertise", &raw.advertise, "a host and a port, like ranker-0.rankers:7800", |text| {
            text.parse().ok()
        });
    for (name, value) in
        [("link.ca-file", &raw.ca_file), ("link.cert-file", &raw.cert_file), ("link.key-file", &raw.key_file)]
    {
        if value.is_none() {
            check.refuse_absent::<()>(name, "a PEM file, because the roles speak mutual TLS with each other");
        }
    }
    let certificate = CertificateFiles { certificate: cert_file??, key: key_file?? };
    Some(Link { ca_file: ca_file??, certificate, listen: listen?, advertise: advertise? })
}

fn trace(raw: &raw::Trace, check: &mut Check) -> Option<Option<trace::Config>> {
    let endpoint = check.parse_if_set("trace.otlp-endpoint", &raw.otlp_endpoint, ENDPOINT, endpoint);
    let sample_ratio = check.parse("trace.sample-ratio", &raw.sample_ratio, "a number from 0 to 1", |text| {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
    });
    let (endpoint, sample_ratio) = (endpoint?, sample_ratio?);
    Some(endpoint.map(|endpoint| trace::Config { endpoint, sample_ratio }))
}

/// The inner `None` for another role: then the section is only looked at.
fn gateway(role: Role, raw: &raw::Gateway, check: &mut Check) -> Option<Option<Gateway>> {
    let host = check.host;
    let listen = check.address("gateway.listen", &raw.listen);
    let shards = raw.shards.as_ref().map_or(Some(host.cores), |value| check.number("gateway.shards", value, 1..=256));
    let allowed_origins = check.items("gateway.allowed-origins", &raw.allowed_origins, ORIGINS, origin);
    let connections_max = raw.connections_max.as_ref().map_or(Some(host.connections_max), |value| {
        // More would be let in than there are descriptors for; a shared file does not have to fit other roles' hosts.
        let most = if role == Role::Gateway { host.connections_max } else { usize::MAX };
        check.number("gateway.connections-max", value, 1..=most)
    });
    let per_address = &raw.connections_per_address_max;
    let per_address = check.number("gateway.connections-per-address-max", per_address, 0..=usize::MAX);
    let idle_timeout = check.seconds("gateway.idle-timeout-s", &raw.idle_timeout_s, 2..=3_600);
    let slow_timeout = check.seconds("gateway.slow-timeout-s", &raw.slow_timeout_s, 1..=3_600);
    let handshake_timeout = check.seconds("gateway.handshake-timeout-s", &raw.handshake_timeout_s, 1..=60);
    let reconnect_spread = check.seconds("gateway.reconnect-spread-s", &raw.reconnect_spread_s, 0..=600);
    let keys = match (role, &raw.keys_file) {
        (Role::Gateway, None) => check.refuse_absent("gateway.keys-file", KEY_SET),
        (Role::Gateway, file) => check.file("gateway.keys-file", file, KEY_SET, key_set),
        // The file is on the gateways' machines.
        _ => Some(None),
    };
    let tls = match role {
        Role::Gateway => tls::tls(raw, check),
        _ => Some(None),
    };
    let (keys, allowed_origins) = (keys?, allowed_origins?);
    let (listen, tls, shards) = (listen?, tls?, shards?);
    let (connections_max, connections_per_address_max) = (connections_max?, per_address?);
    let (idle_timeout, slow_timeout) = (idle_timeout?, slow_timeout?);
    let (handshake_timeout, reconnect_spread) = (handshake_timeout?, reconnect_spread?);
    Some(keys.map(|(keys_file, keys)| Gateway {
        listen,
        tls,
        shards,
        keys: Arc::new(keys),
        keys_file,
        allowed_origins,
        connections_max,
        connections_per_address_max,
        idle_timeout,
        handshake_timeout,
        slow_timeout,
        reconnect_spread,
    }))
}

fn needs_own_address(raw: &Raw, check: &mut Check) {
    let address = |value: &super::value::Value| value.text().and_then(|text| text.parse::<SocketAddr>().ok());
    let clash = |one: Option<SocketAddr>, other: Option<SocketAddr>| {
        one.zip(other).is_some_and(|(one, other)| {
            let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            same_host && one.port() == other.port() && one.port() != 0
        })
    };
    let (admin, viewers) = (address(&raw.admin.listen), address(&raw.gateway.listen));
    if clash(admin, viewers) {
        check.refuse::<()>("admin.listen", &raw.admin.listen, "another port than that of gateway.listen");
    }
    if let Some(value) = &raw.gateway.tls_listen {
        let tls = address(value);
        if clash(tls, viewers) || clash(tls, admin) {
            let allowed = "another port than those of gateway.listen and admin.listen";
            check.refuse::<()>("gateway.tls-listen", value, allowed);
        }
    }
}

fn is_pool(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn username(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// As browsers write it, or it would never match.
fn origin(text: &str) -> Option<String> {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    (!authority.is_empty() && authority.bytes().all(allowed)).then(|| text.to_owned())
}

fn endpoint(text: &str) -> Option<String> {
    let url: http::Uri = text.parse().ok()?;
    let known = matches!(url.scheme_str(), Some("http" | "https"));
    (known && url.authority().is_some() && url.query().is_none()).then(|| text.to_owned())
}

fn key_set(text: &[u8]) -> Option<Keys> {
    Keys::parse("", text).ok().filter(|keys| !keys.is_empty())
}
