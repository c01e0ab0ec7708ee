//! Settings as a whole: what a file says is judged, all of it, and nothing secret comes out.

use std::{io, sync::LazyLock};

use confique::Layer;

use super::*;
use crate::kafka::Mechanism;
use barrage_core::host::Host;

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const LINK: &str = "[link]\nca-file = 'ca'\ncert-file = 'cert'\nkey-file = 'key'\n";

/// A certificate with its key, and those of somebody else.
static TLS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(pair);
static OTHER: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(pair);

fn pair() -> (Vec<u8>, Vec<u8>) {
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem().into(), key.serialize_pem().into())
}

fn host() -> Host {
    let read = |path: &std::path::Path| match path.to_str() {
        Some("ca" | "cert") => Ok(CERTIFICATE.to_vec()),
        Some("key") => Ok(KEY.to_vec()),
        Some("keys") => Ok(include_bytes!("../../../core/src/token/testing/keys.json").to_vec()),
        Some("no-keys") => Ok(br#"{"keys":[]}"#.to_vec()),
        Some("tls-cert") => Ok(TLS.0.clone()),
        Some("tls-key") => Ok(TLS.1.clone()),
        Some("tls-other-key") => Ok(OTHER.1.clone()),
        Some("password") => Ok(b"hunter2\r\n".to_vec()),
        Some("two-lines") => Ok(b"hunter2\nhunter3\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    Host { name: Some("node-7".to_owned()), cores: 4, connections_max: 19_000, read }
}

/// As [`load`], without this process's environment.
fn load(role: Role, text: &str) -> Result<RoleSettings, String> {
    let mut refusals = Vec::new();
    let raw = raw(text, &mut refusals);
    let settings = validate::validate(role, &raw, &host());
    let mut said: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    said.extend(settings.as_ref().err().into_iter().flatten().map(ToString::to_string));
    if said.is_empty() { settings.map_err(|_| String::new()) } else { Err(said.join("\n")) }
}

fn raw(text: &str, refusals: &mut Vec<Refusal>) -> Raw {
    let layer = source::layer(text, refusals).unwrap();
    Raw::from_layer(layer.with_fallback(Layer::default_values())).unwrap().completed(&host())
}

#[track_caller]
fn refused(role: Role, text: &str, expected: &[&str]) {
    let said = load(role, text).expect_err("refused");
    for part in expected {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(said.lines().count(), expected.len(), "{said}");
}

#[test]
fn a_consumer_needs_no_more_than_the_files_of_its_links() {
    let Ok(RoleSettings::Consumer(settings)) = load(Role::Consumer, LINK) else { panic!() };
    assert_eq!((settings.cluster.pool.as_str(), settings.name.as_str()), ("default", "node-7"));
    assert_eq!(settings.cluster.kafka.brokers[0].to_string(), "127.0.0.1:9092");
    assert!(
        settings.cluster.kafka.tls.is_none()
            && settings.cluster.kafka.sasl.is_none()
            && settings.cluster.redis.credentials.is_none()
    );
    assert_eq!(settings.link.certificate.key, PathBuf::from("key"));
}

#[test]
fn everything_that_is_set_arrives() {
    let text = "pool = 'p-1'\nname = 'g.0'\nadmin.listen = '[::1]:1'
        [kafka]\nbrokers = ['a:1', '[::1]:2']\ntls = true\nca-file = 'ca'\ncert-file = 'cert'\nkey-file = 'key'
        username = 'u'\npassword-file = 'password'\nsasl-mechanism = 'PLAIN'
        [redis]\nnodes = 'b:3, c:4'\ntls = 'true'\nca-file = 'ca'\nusername = 'v'\npassword-file = 'password'
        [gateway]\nlisten = '127.0.0.1:0'\nshards = 3\nallowed-origins = ['https://a.example', 'http://b:1']
        connections-max = 7\nconnections-per-address-max = 6\nidle-timeout-s = 5\nslow-timeout-s = 4
        handshake-timeout-s = '3'\nkeys-file = 'keys'\nreconnect-spread-s = 0\n";
    let Ok(RoleSettings::Gateway(settings, gateway)) = load(Role::Gateway, &format!("{text}{LINK}")) else { panic!() };
    let shown = format!("{settings:?} {gateway:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let brokers: Vec<_> = settings.cluster.kafka.brokers.iter().map(ToString::to_string).collect();
    assert_eq!(brokers, ["a:1", "[::1]:2"]);
    let tls = settings.cluster.kafka.tls.unwrap();
    assert!(tls.ca_file.is_some() && tls.certificate.is_some());
    let sasl = settings.cluster.kafka.sasl.unwrap();
    assert_eq!((sasl.mechanism, sasl.username.as_str(), sasl.password.expose()), (Mechanism::Plain, "u", "hunter2"));
    assert_eq!(settings.cluster.redis.nodes[1], Node { host: "c".to_owned(), port: 4 });
    let credentials = settings.cluster.redis.credentials.unwrap();
    assert_eq!((credentials.username.as_deref(), credentials.password.expose()), (Some("v"), "hunter2"));
    let config = gateway;
    assert_eq!((config.shards, config.connections_max, config.connections_per_address_max), (3, 7, 6));
    let times = [config.idle_timeout, config.slow_timeout, config.handshake_timeout, config.reconnect_spread];
    assert_eq!(times.map(|time| time.as_secs()), [5, 4, 3, 0]);
    assert_eq!(config.allowed_origins, ["https://a.example", "http://b:1"]);
}

#[test]
fn every_value_that_is_wrong_is_named_at_once_under_its_own_name() {
    let mut text = String::new();
    let mut expected = Vec::new();
    for (section, settings) in
        [None, Some("admin"), Some("kafka"), Some("redis"), Some("link"), Some("trace"), Some("gateway")]
            .map(|section| (section, catalog::settings().into_iter().filter(move |s| s.section.as_deref() == section)))
    {
        text.extend(section.map(|section| format!("[{section}]\n")));
        for setting in settings {
            text += &format!("{} = {{ strange = 1 }}\n", setting.key);
            expected.push(format!("{} is a table; allowed: ", setting.path()));
        }
    }
    refused(Role::Gateway, &text, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    let text = "pool = 'Pool'\nname = ''\nadmin.listen = 'localhost:1'
        [kafka]\nbrokers = []\ntls = 'yes'\nsasl-mechanism = 'GSSAPI'\nusername = 'u'\npassword-file = 'two-lines'
        [redis]\nnodes = ['a:0']\npassword-file = 'absent'
        [gateway]\nshards = 0\nallowed-origins = ['https://a/']\nconnections-max = 19001\nidle-timeout-s = 1
        slow-timeout-s = 1.5\nhandshake-timeout-s = 61\nkeys-file = 'no-keys'\nreconnect-spread-s = -1\n";
    let expected = [
        "pool is \"Pool\"; allowed: lower case",
        "name is \"\"; allowed: letters",
        "admin.listen is \"localhost:1\"; allowed: an IP address",
        "kafka.brokers is []; allowed: one or more",
        "kafka.tls is \"yes\"; allowed: true or false",
        "kafka.sasl-mechanism is \"GSSAPI\"; allowed: PLAIN, SCRAM",
        "kafka.password-file is \"two-lines\", which holds something else; allowed: a file with one line",
        "redis.nodes is [\"a:0\"]",
        "redis.password-file is \"absent\", which cannot be read",
        "gateway.shards is \"0\"; allowed: a whole number from 1 to 256",
        "gateway.allowed-origins is [\"https://a/\"]",
        "gateway.connections-max is \"19001\"; allowed: a whole number from 1 to 19000",
        "gateway.idle-timeout-s is \"1\"; allowed: a whole number from 2 to 3600",
        "gateway.slow-timeout-s is \"1.5\"",
        "gateway.handshake-timeout-s is \"61\"",
        "gateway.keys-file is \"no-keys\", which holds something else; allowed: a JWK set",
        "gateway.reconnect-spread-s is \"-1\"",
    ];
    refused(Role::Gateway, &format!("{text}{LINK}"), &expected);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let keys = "[gateway]\nkeys-file = 'keys'\n";
    let both = |text: &str| format!("{text}{LINK}");
    refused(
        Role::Consumer,
        &both("kafka.username = 'u'\n"),
        &["kafka.password-file is not set; allowed: a value, bec"],
    );
    refused(Role::Consumer, &both("kafka.password-file = 'password'\n"), &["kafka.username is not set"]);
    let certificate = "[kafka]\ntls = true\ncert-file = 'cert'\n";
    refused(Role::Consumer, &both(certificate), &["kafka.key-file is not set"]);
    let without_tls = ["kafka.ca-file is \"ca\"; allowed: only with kafka.tls", "redis.ca-file"];
    refused(Role::Consumer, &both("kafka.ca-file = 'ca'\nredis.ca-file = 'ca'\n"), &without_tls);
    refused(
        Role::Consumer,
        &both("kafka.sasl-mechanism = 'PLAIN'\n"),
        &["kafka.sasl-mechanism is \"PLAIN\"; allowed: only"],
    );
    refused(
        Role::Consumer,
        &both("redis.username = 'u'\n"),
        &["redis.username is \"u\"; allowed: only with redis.pass"],
    );
    let ports = format!("admin.listen = '127.0.0.1:80'\n{keys}listen = '0.0.0.0:80'\n{LINK}");
    refused(Role::Gateway, &ports, &["admin.listen is \"127.0.0.1:80\"; allowed: another port"]);
    assert!(load(Role::Ranker, &ports).is_ok(), "another role opens no gateway.listen");
}

#[test]
fn viewers_are_served_over_tls_where_certificate_and_key_are_given() {
    let with = |text: &str| format!("[gateway]\nkeys-file = 'keys'\n{text}{LINK}");
    let tls = |text: &str| match load(Role::Gateway, &with(text)) {
        Ok(RoleSettings::Gateway(_, gateway)) => gateway.tls.map(|tls| tls.listen.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(tls(""), None);
    assert_eq!(tls("tls-cert-file = 'tls-cert'\ntls-key-file = 'tls-key'\n").as_deref(), Some("0.0.0.0:8443"));
    let listen = "tls-listen = '127.0.0.1:0'\ntls-cert-file = 'tls-cert'\ntls-key-file = 'tls-key'\n";
    assert_eq!(tls(listen).as_deref(), Some("127.0.0.1:0"));
    let refused = |text: &str, expected: &[&str]| refused(Role::Gateway, &with(text), expected);
    let needed =
        ["gateway.tls-cert-file is not set; allowed: a PEM", "gateway.tls-key-file is not set; allowed: a PEM"];
    refused("tls-listen = '127.0.0.1:0'\n", &needed);
    refused("tls-cert-file = 'tls-cert'\n", &["gateway.tls-key-file is not set; allowed: a value, because"]);
    refused("tls-key-file = 'tls-key'\n", &["gateway.tls-cert-file is not set; allowed: a value, because"]);
    refused(
        "tls-cert-file = 'absent'\ntls-key-file = 'tls-key'\n",
        &["gateway.tls-cert-file is \"absent\", which cannot be read"],
    );
    refused(
        "tls-cert-file = 'tls-cert'\ntls-key-file = 'tls-other-key'\n",
        &["Certificate and key have to belong together; allowed: a certificate, and its private key"],
    );
    let clash = "tls-listen = '127.0.0.1:8080'\ntls-cert-file = 'tls-cert'\ntls-key-file = 'tls-key'\n";
    refused(clash, &["gateway.tls-listen is \"127.0.0.1:8080\"; allowed: another port"]);
    assert!(load(Role::Ranker, &with("tls-cert-file = 'absent'\n")).is_ok(), "the file is on gateways' machines");
}

#[test]
fn files_that_a_role_needs_are_missed() {
    let link = ["link.ca-file is not set", "link.cert-file is not set", "link.key-file is not set"];
    refused(Role::Ranker, "", &link);
    refused(Role::Gateway, "", &[&link[..], &["gateway.keys-file is not set"]].concat());
    let swapped = "[link]\nca-file = 'key'\ncert-file = 'cert'\nkey-file = 'cert'\n";
    refused(Role::Ranker, swapped, &["link.ca-file is \"key\", which holds", "link.key-file is \"cert\", which holds"]);
}

#[test]
fn the_reference_is_a_settings_file_that_changes_nothing() {
    let mut refusals = Vec::new();
    let reference = raw(&reference(), &mut refusals);
    assert_eq!(refusals, []);
    assert_eq!(format!("{reference:?}"), format!("{:?}", raw("", &mut refusals)));
    for setting in catalog::settings() {
        assert!(super::reference().contains(&format!("# {}\n", setting.env)), "{}", setting.path());
    }
}

#[test]
fn what_a_role_would_run_with_can_be_given_back() {
    let text = format!("kafka.username = 'u'\nkafka.password-file = 'password'\n[gateway]\nkeys-file = 'keys'\n{LINK}");
    let shown = |text: &str| reference::values(Role::Gateway, &raw(text, &mut Vec::new()));
    let first = shown(&text);
    assert!(first.contains("name = \"node-7\"") && first.contains("shards = 4"), "{first}");
    assert!(first.contains("password-file = \"password\"") && !first.contains("hunter2"), "{first}");
    assert_eq!(shown(&first), first);
    assert!(load(Role::Gateway, &first).is_ok());
}
