//! What a role is told: its settings as variables, and the files that they name.

use barrage_crds::SecretKeyRef;
use serde_json::{Value, json};

use crate::pool::names::{ADMIN_PORT, LINK_PORT, Role, TLS_PORT, VIEWERS_PORT, names};
use crate::pool::validate::Blueprint;

pub(super) const FOLDER: &str = "/etc/barrage";

/// A file of a pod: what it is called, and where its content is.
struct File {
    name: &'static str,
    /// The setting that names it.
    setting: &'static str,
    content: SecretKeyRef,
}

/// The variables of a role's container.
pub(super) fn environment(blueprint: &Blueprint, role: Role) -> Vec<Value> {
    let spec = &blueprint.spec;
    // First, because others refer to it.
    let name = json!({"name": "BARRAGE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    let mut settings = vec![
        ("BARRAGE_POOL", blueprint.target.pool_id.clone()),
        ("BARRAGE_ADMIN_LISTEN", format!("0.0.0.0:{ADMIN_PORT}")),
        ("BARRAGE_KAFKA_BROKERS", spec.kafka.brokers.join(",")),
        ("BARRAGE_KAFKA_TRIAL", spec.kafka.trial.to_string()),
        ("BARRAGE_KAFKA_TLS", spec.kafka.tls.is_some().to_string()),
        ("BARRAGE_REDIS_NODES", spec.redis.nodes.join(",")),
        ("BARRAGE_REDIS_TRIAL", spec.redis.trial.to_string()),
        ("BARRAGE_REDIS_TLS", spec.redis.tls.is_some().to_string()),
    ];
    if let Some(sasl) = &spec.kafka.sasl {
        settings.push(("BARRAGE_KAFKA_USERNAME", sasl.username.clone()));
        settings.push(("BARRAGE_KAFKA_SASL_MECHANISM", sasl.mechanism.as_str().to_owned()));
    }
    if let Some(username) = spec.redis.auth.as_ref().and_then(|auth| auth.username.as_ref()) {
        settings.push(("BARRAGE_REDIS_USERNAME", username.clone()));
    }
    settings.extend(files(blueprint, role).iter().map(|file| (file.setting, format!("{FOLDER}/{}", file.name))));
    settings.extend(of_role(blueprint, role));
    let settings = settings.into_iter().map(|(name, value)| json!({"name": name, "value": value}));
    [name].into_iter().chain(settings).collect()
}

fn of_role(blueprint: &Blueprint, role: Role) -> Vec<(&'static str, String)> {
    let viewers = &blueprint.spec.viewers;
    match role {
        Role::Gateway => {
            let mut settings = vec![
                ("BARRAGE_GATEWAY_LISTEN", format!("0.0.0.0:{VIEWERS_PORT}")),
                ("BARRAGE_GATEWAY_ALLOWED_ORIGINS", viewers.allowed_origins.join(",")),
                ("BARRAGE_GATEWAY_RECONNECT_SPREAD_S", viewers.reconnect_spread_seconds.to_string()),
            ];
            if viewers.service.tls_secret.is_some() {
                settings.push(("BARRAGE_GATEWAY_TLS_LISTEN", format!("0.0.0.0:{TLS_PORT}")));
            }
            settings
        }
        Role::Consumer => Vec::new(),
        Role::Ranker => {
            let (service, namespace) = (names(&blueprint.name).of(role), &blueprint.namespace);
            vec![
                ("BARRAGE_LINK_LISTEN", format!("0.0.0.0:{LINK_PORT}")),
                ("BARRAGE_LINK_ADVERTISE", format!("$(BARRAGE_NAME).{service}.{namespace}.svc:{LINK_PORT}")),
            ]
        }
    }
}

/// All of a role's files as one volume, so that files which belong together change together.
pub(super) fn volume(blueprint: &Blueprint, role: Role) -> Value {
    let sources: Vec<_> = files(blueprint, role)
        .into_iter()
        .map(|File { name, content: SecretKeyRef { secret, key }, .. }| {
            json!({"secret": {"name": secret, "items": [{"key": key, "path": name}]}})
        })
        .collect();
    json!({"name": "barrage", "projected": {"defaultMode": 0o440, "sources": sources}})
}

fn files(blueprint: &Blueprint, role: Role) -> Vec<File> {
    let of = |secret: &str, key: &str| SecretKeyRef { secret: secret.to_owned(), key: key.to_owned() };
    let links = names(&blueprint.name).links();
    let mut files = vec![
        File { name: "link-ca.pem", setting: "BARRAGE_LINK_CA_FILE", content: of(&links, "ca.pem") },
        File { name: "link-cert.pem", setting: "BARRAGE_LINK_CERT_FILE", content: of(&links, "cert.pem") },
        File { name: "link-key.pem", setting: "BARRAGE_LINK_KEY_FILE", content: of(&links, "key.pem") },
    ];
    let mut add = |name, setting, content: Option<SecretKeyRef>| {
        files.extend(content.map(|content| File { name, setting, content }));
    };
    let spec = &blueprint.spec;
    let kafka = spec.kafka.tls.as_ref();
    add("kafka-ca.pem", "BARRAGE_KAFKA_CA_FILE", kafka.and_then(|tls| tls.ca.clone()));
    let certificate = kafka.and_then(|tls| tls.certificate_secret.as_ref());
    add("kafka-cert.pem", "BARRAGE_KAFKA_CERT_FILE", certificate.map(|secret| of(secret, "tls.crt")));
    add("kafka-key.pem", "BARRAGE_KAFKA_KEY_FILE", certificate.map(|secret| of(secret, "tls.key")));
    add("kafka-password", "BARRAGE_KAFKA_PASSWORD_FILE", spec.kafka.sasl.as_ref().map(|sasl| sasl.password.clone()));
    add("redis-ca.pem", "BARRAGE_REDIS_CA_FILE", spec.redis.tls.as_ref().and_then(|tls| tls.ca.clone()));
    add("redis-password", "BARRAGE_REDIS_PASSWORD_FILE", spec.redis.auth.as_ref().map(|auth| auth.password.clone()));
    if role == Role::Gateway {
        add("keys.json", "BARRAGE_GATEWAY_KEYS_FILE", Some(blueprint.keys.clone()));
        let certificate = spec.viewers.service.tls_secret.as_ref();
        add("viewers-cert.pem", "BARRAGE_GATEWAY_TLS_CERT_FILE", certificate.map(|secret| of(secret, "tls.crt")));
        add("viewers-key.pem", "BARRAGE_GATEWAY_TLS_KEY_FILE", certificate.map(|secret| of(secret, "tls.key")));
    }
    files
}
