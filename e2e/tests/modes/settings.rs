//! Servers that are not set as they have to be: each role names what it found and what it wants, and does not start.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use barrage_e2e::{
    cluster::{Cluster, ClusterOptions, Role, USER},
    http::Api,
    server::binary,
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use serde_json::json;
use tokio::task::block_in_place;

use crate::{PATIENCE, scene::Readyz, wait};

/// Roles that are started by hand.
pub(crate) const ROLES: [Role; 3] = [Role::Gateway, Role::Consumer, Role::Ranker];

/// A process of a role that is started beside those of the cluster, with settings of its own over theirs.
pub(crate) struct Stranger {
    child: std::process::Child,
    admin: String,
    log: std::path::PathBuf,
}

impl Stranger {
    pub(crate) fn start(cluster: &Cluster, role: Role, name: &str, own: &[(&str, &str)]) -> Self {
        let folder = cluster.run().subfolder(name).unwrap();
        let log = cluster.run().folder().join(format!("{name}.log"));
        let out = std::fs::File::create(&log).unwrap();
        let [admin, listen] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let keys = folder.join("keys.json");
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        std::fs::write(&keys, json!({"keys": [{"kty": "oct", "kid": "x", "alg": "HS256", "k": key}]}).to_string())
            .unwrap();
        let mut command = Command::new(binary().unwrap());
        command.arg(role.to_string()).current_dir(&folder);
        command.env("BARRAGE_NAME", name).env("BARRAGE_ADMIN_LISTEN", &admin);
        match role {
            Role::Gateway => {
                command.env("BARRAGE_GATEWAY_LISTEN", &listen).env("BARRAGE_GATEWAY_KEYS_FILE", &keys);
            }
            Role::Consumer => {}
            Role::Ranker => {
                command.env("BARRAGE_LINK_LISTEN", &listen).env("BARRAGE_LINK_ADVERTISE", &listen);
            }
        }
        let brokers: Vec<String> = cluster.kafka.brokers(role.party()).iter().map(ToString::to_string).collect();
        command.env("BARRAGE_KAFKA_BROKERS", brokers.join(","));
        if let Some(files) = cluster.kafka.certificates() {
            command.env("BARRAGE_KAFKA_TLS", "true").env("BARRAGE_KAFKA_CA_FILE", &files.ca);
            command.env("BARRAGE_KAFKA_CERT_FILE", &files.cert).env("BARRAGE_KAFKA_KEY_FILE", &files.key);
            command.env("BARRAGE_KAFKA_USERNAME", USER).env("BARRAGE_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512");
            command.env("BARRAGE_KAFKA_PASSWORD_FILE", cluster.run().folder().join("password"));
        }
        command.envs(cluster.settings().iter().cloned());
        for (variable, value) in own {
            match *value {
                "" => command.env_remove(variable),
                value => command.env(variable, value),
            };
        }
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        Self { child: command.spawn().unwrap(), admin, log }
    }

    /// Waits until it has ended with a failure; what it wrote.
    pub(crate) fn refuses(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let said = std::fs::read_to_string(&self.log).unwrap();
                assert!(!status.success(), "it ends as if all were well: {said}");
                return said;
            }
            assert!(Instant::now() < deadline, "it goes on: {}", std::fs::read_to_string(&self.log).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it says of itself, if it is there.
    pub(crate) fn readyz(&self) -> Option<Readyz> {
        let answer = Api::new(&format!("http://{}", self.admin)).get("/readyz").ok()?;
        serde_json::from_str(&answer.body).ok()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_of_topics_and_nodes_are_named_by_each_role_at_its_start() {
    let options = ClusterOptions { gateways: 0, consumers: 0, rankers: 0, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    block_in_place(|| {
        for (topic, setting, bad, wanted) in [
            ("default.danmaku", "min.insync.replicas", "1", "2"),
            ("default.danmaku", "retention.ms", "1000", "604800000"),
            ("default.danmaku", "unclean.leader.election.enable", "true", "false"),
        ] {
            wait(alter(&cluster, topic, &[(setting, bad)]));
            all_roles_name(&cluster, &[topic, setting, bad, wanted]);
        }
        wait(alter(&cluster, "default.danmaku", &[]));
        for (setting, bad, good) in [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")] {
            set(&cluster, setting, bad);
            let node = cluster.redis.addresses()[1].to_string();
            all_roles_name(&cluster, &[&node, setting, bad, good]);
            set(&cluster, setting, good);
        }
    });
}

fn all_roles_name(cluster: &Cluster, words: &[&str]) {
    let strangers = ROLES.map(|role| Stranger::start(cluster, role, &format!("strange-{role}"), &[]));
    for said in strangers.map(Stranger::refuses) {
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        assert!(words.iter().all(|word| last.contains(word)), "{words:?} are not in {said}");
    }
}

fn set(cluster: &Cluster, setting: &str, value: &str) {
    wait(cluster.redis.ask::<redis::Value>(1, &["CONFIG", "SET", setting, value])).unwrap();
}

/// Sets a topic as it was made, but for these settings.
async fn alter(cluster: &Cluster, topic: &str, wrong: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = cluster.kafka.client(None).create().unwrap();
    let made = [
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("max.message.bytes", "8388608"),
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "-1"),
    ];
    let resource = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let good = made.into_iter().filter(|(setting, _)| !wrong.iter().any(|(other, _)| other == setting));
    let resource = good.chain(wrong.iter().copied()).fold(resource, |all, (setting, value)| all.set(setting, value));
    admin.alter_configs(&[resource], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
