//! A pool whose servers let in nobody whom they do not know: it runs, whoever is wrong is told why, and no log has a
//! secret.

use std::{fs, path::Path};

use barrage_e2e::cluster::{Certificates, ClusterOptions, KafkaOptions, PASSWORD, RedisOptions, Role};
use tokio::task::block_in_place;

use crate::{
    PATIENCE,
    scene::{Scene, shows},
    settings::{ROLES, Stranger},
    until,
};

const PAGE: &str = include_str!("../../../docs/degraded-modes.md");
const SECRET: &str = "what-nobody-shall-read-7f3a";

/// The rule of the page, with a password of ours.
fn acl() -> String {
    let rule =
        PAGE.split_once("```acl\n").and_then(|(_, rest)| rest.split_once("\n```")).expect("the page has the rule").0;
    let rule = rule.split_whitespace().collect::<Vec<_>>().join(" ");
    let rule = rule.strip_prefix("user ").expect("it is a line of redis.conf");
    rule.replace("PASSWORD", SECRET)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_pool_runs_and_names_what_is_wrong_with_whom_it_refuses() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let known = file("redis-password", SECRET);
    let rule = acl();
    let name = rule.split(' ').next().unwrap().to_owned();
    let options = ClusterOptions {
        kafka: KafkaOptions { secured: true, client_certificate: true, ..KafkaOptions::default() },
        redis: RedisOptions { secured: true, extra: vec![("user".to_owned(), rule)], ..RedisOptions::default() },
        settings: vec![("BARRAGE_REDIS_USERNAME".to_owned(), name), ("BARRAGE_REDIS_PASSWORD_FILE".to_owned(), known)],
        ..ClusterOptions::default()
    };
    let mut scene = Scene::start(options).await;
    block_in_place(|| {
        let (mut sender, mut watcher) = (scene.join(0, 10), scene.join(1, 3));
        // What takes brokers that have just started over 5 s is kept, and shown to nobody any more.
        let shown = (0..6).any(|_| {
            let text = scene.keep(&mut sender);
            watcher.wait_for("the danmaku", PATIENCE / 6, |event| shows(event, &text)).is_ok()
        });
        assert!(shown, "no danmaku went round");
        scene.until_exact();
        scene.until_well();

        let guessed = file("guessed", "guessed-and-wrong");
        let other = Certificates::make(files.path()).unwrap();
        let other = other.ca.display().to_string();
        for (own, check, reasons) in [
            (vec![("BARRAGE_KAFKA_PASSWORD_FILE", &*guessed)], "kafka", ["uthentication", "uthentication"]),
            (vec![("BARRAGE_KAFKA_CA_FILE", &*other)], "kafka", ["certificate", "SSL"]),
            (vec![("BARRAGE_KAFKA_CERT_FILE", ""), ("BARRAGE_KAFKA_KEY_FILE", "")], "kafka", ["certificate", "SSL"]),
            (vec![("BARRAGE_REDIS_PASSWORD_FILE", &*guessed)], "redis", ["uthentication", "WRONGPASS"]),
            (vec![("BARRAGE_REDIS_CA_FILE", &*other)], "redis", ["certificate", "certificate"]),
        ] {
            is_named(&scene, &own, check, reasons);
        }
        no_log_has(&scene, &[SECRET, PASSWORD, "guessed-and-wrong"]);
    });
}

/// Starts a process of each role that is not known, and waits until all say why.
fn is_named(scene: &Scene, own: &[(&str, &str)], check: &str, reasons: [&str; 2]) {
    let start = |role: Role| Stranger::start(&scene.cluster, role, &format!("strange-{role}"), own);
    for (role, stranger) in ROLES.map(|role| (role, start(role))) {
        until(&format!("{own:?}: {role} says why"), || {
            let said = stranger.readyz().ok_or("nothing")?;
            let named = said
                .checks
                .iter()
                .any(|one| one.name == check && !one.ok && reasons.iter().any(|reason| one.detail.contains(reason)));
            if named && said.status == "failed" { Ok(()) } else { Err(format!("{said:?}")) }
        });
    }
}

fn no_log_has(scene: &Scene, secrets: &[&str]) {
    let key = fs::read_to_string(scene.cluster.run().folder().join("keys/keys.json")).unwrap();
    let key = key.split("\"k\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".log") && ["gateway", "consumer", "ranker", "strange"].iter().any(|one| name.starts_with(one))
    };
    let logs: Vec<_> = fs::read_dir(scene.cluster.run().folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let logs: Vec<_> = logs.into_iter().filter(|path| ours(path)).collect();
    assert!(logs.len() >= 10, "{logs:?}");
    for log in logs {
        let text = fs::read_to_string(&log).unwrap();
        let found = secrets.iter().copied().chain([key]).find(|secret| text.contains(secret));
        assert!(found.is_none(), "{} has {found:?}", log.display());
    }
}
