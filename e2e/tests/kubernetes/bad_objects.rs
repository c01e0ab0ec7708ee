//! What cannot be meant is refused, with what to do; what can only be seen later stands in the object's conditions.

use std::fs;

use barrage_e2e::kubernetes::Tools;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::scene::{NAMESPACE, Scene, scene};

fn room(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    )
}

fn pool(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: RoomPool\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    )
}

/// Applies something that has to be refused; what was said.
fn refusal(scene: &Scene, manifest: &str) -> String {
    match scene.cluster.apply(manifest) {
        Ok(said) => panic!("taken: {said}\n{manifest}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_rule_says_what_to_do() {
    let scene = scene();
    scene.apply(&room("ruled", "{roomId: ruled-id, poolRef: {name: default, namespace: barrage}}"));
    // Paused, so that no pods are made for it.
    let servers = "kafka: {brokers: ['kafka:9092'], spread: 2}, redis: {nodes: ['redis:6379']}";
    scene.apply(&pool("ruled", &format!("{{{servers}, poolId: ruled-id, paused: true}}")));
    for (manifest, message) in [
        (room("ruled", "{roomId: other}"), "spec.roomId is immutable"),
        (room("ruled", "{roomId: ruled-id, poolRef: {name: other}}"), "spec.poolRef is immutable"),
        (room("ruled", "{roomId: ruled-id, placement: Dedicated}"), "spec.placement is immutable"),
        (room("a.dotted.name", "{}"), "this name cannot be one: set spec.roomId"),
        (room("long", "{roomId: Not_An_ID}"), "spec.roomId"),
        (room("fast", "{rateLimit: {messagesPerSecond: 0}}"), "spec.rateLimit.messagesPerSecond"),
        (room("misspelt", "{placement: Somewhere}"), "spec.placement"),
        (pool("ruled", &format!("{{{servers}, poolId: other}}")), "spec.poolId is immutable"),
        (
            pool(
                "ruled",
                "{poolId: ruled-id, kafka: {brokers: ['kafka:9092'], partitions: 13}, redis: {nodes: ['redis:6379']}}",
            ),
            "spec.kafka.partitions is immutable",
        ),
        (
            pool(
                "ruled",
                "{poolId: ruled-id, kafka: {brokers: ['kafka:9092'], spread: 3}, redis: {nodes: ['redis:6379']}}",
            ),
            "spec.kafka.spread is immutable",
        ),
        (
            pool("wide", "{kafka: {brokers: ['kafka:9092'], spread: 13}, redis: {nodes: ['redis:6379']}}"),
            "spec.kafka.spread is at most spec.kafka.partitions",
        ),
        (pool("9-begins-with-a-digit", &format!("{{{servers}}}")), "a letter first"),
        (pool("lonely", "{redis: {nodes: ['redis:6379']}}"), "spec.kafka"),
        (pool("nowhere", "{kafka: {brokers: []}, redis: {nodes: ['redis:6379']}}"), "spec.kafka.brokers"),
        (pool("portless", "{kafka: {brokers: [kafka]}, redis: {nodes: ['redis:6379']}}"), "spec.kafka.brokers"),
    ] {
        let said = refusal(&scene, &manifest);
        assert!(said.contains(message), "{manifest}\n{said}");
    }
    scene.cluster.kubectl(&["delete", "liveroom/ruled", "roompool/ruled"]).unwrap();
}

#[test]
fn every_example_is_taken() {
    let scene = scene();
    let mut examples = 0;
    for example in fs::read_dir(Tools::file("crds/examples")).unwrap() {
        let path = example.unwrap().path();
        let manifest = fs::read_to_string(&path).unwrap();
        scene.cluster.dry_run(&manifest).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        examples += 1;
    }
    assert!(examples >= 7, "{examples}");
}

#[test]
fn a_room_whose_pool_is_not_there_says_so_and_takes_it_when_it_comes() {
    let scene = scene();
    scene.apply(&room("homeless", "{poolRef: {name: nowhere, namespace: barrage}}"));
    let message = scene.condition(&["liveroom", "homeless"], "Ready", "False", "PoolMissing");
    assert!(message.contains("nowhere"), "{message}");
    scene.cluster.kubectl(&["delete", "liveroom", "homeless"]).unwrap();
}

#[test]
fn of_two_rooms_with_one_id_the_older_wins() {
    let scene = scene();
    scene.apply(&room("younger", "{roomId: demo}"));
    let message = scene.condition(&["liveroom", "younger"], "Ready", "False", "Conflict");
    assert!(message.contains("default/demo"), "{message}");
    let older = scene.cluster.condition(&["liveroom", "demo"], "Ready").unwrap().unwrap();
    assert_eq!(older[0], "True", "{older:?}");
    scene.cluster.kubectl(&["delete", "liveroom", "younger"]).unwrap();
}

#[test]
fn a_pool_whose_kafka_is_not_there_says_so_and_recovers() {
    let scene = scene();
    let servers = |broker: &str| {
        format!(
            "{{kafka: {{brokers: ['{broker}'], trial: true, partitions: 3}}, poolId: lost, \
             redis: {{nodes: ['barrage-dev-redis.barrage.svc:6379']}}, \
             gateway: {{replicas: 1}}, consumer: {{replicas: 1}}, ranker: {{replicas: 1}}}}"
        )
    };
    let lost =
        |broker: &str| pool("lost", &servers(broker)).replace("namespace: default", &format!("namespace: {NAMESPACE}"));
    scene.apply(&lost("nobody.invalid:9092"));
    let object = ["-n", NAMESPACE, "roompool", "lost"];
    let message = scene.condition(&object, "Ready", "False", "KafkaUnreachable");
    assert!(message.contains("nobody.invalid:9092"), "{message}");
    scene.apply(&lost("barrage-dev-kafka.barrage.svc:9092"));
    scene.condition(&object, "Ready", "True", "");
    scene.kubectl(&["delete", "roompool", "lost"]);
}

#[test]
fn a_secret_that_is_missing_is_named_and_taken_up_when_it_comes() {
    let scene = scene();
    let spec = "{kafka: {brokers: ['barrage-dev-kafka.barrage.svc:9092'], trial: true, partitions: 3}, poolId: keyless, \
        redis: {nodes: ['barrage-dev-redis.barrage.svc:6379']}, tokens: {keys: {secret: absent, key: keys.json}}, \
        gateway: {replicas: 1}, consumer: {replicas: 1}, ranker: {replicas: 1}}";
    scene.apply(&pool("keyless", spec).replace("namespace: default", &format!("namespace: {NAMESPACE}")));
    let object = ["-n", NAMESPACE, "roompool", "keyless"];
    let message = scene.condition(&object, "Ready", "False", "SecretMissing");
    assert!(message.contains("absent"), "{message}");
    let keys = scene.get(&["secret", "default-token-keys"])["data"]["keys.json"].as_str().unwrap().to_owned();
    scene.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: absent, namespace: {NAMESPACE}}}\ndata: {{keys.json: {keys}}}\n"
    ));
    scene.condition(&object, "Ready", "True", "");
    scene.kubectl(&["delete", "roompool/keyless", "secret/absent"]);
}

/// A Secret with the certificate of a host, good until the end of a year.
fn certificate(until: i32) -> String {
    let mut params = CertificateParams::new(vec!["live.example.org".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(until, 12, 31);
    let key = KeyPair::generate().unwrap();
    let certificate = STANDARD.encode(params.self_signed(&key).unwrap().pem());
    let key = STANDARD.encode(key.serialize_pem());
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: live-tls, namespace: {NAMESPACE}}}\n\
         type: kubernetes.io/tls\ndata: {{tls.crt: {certificate}, tls.key: {key}}}\n"
    )
}

#[test]
fn a_certificate_that_has_expired_is_named_until_there_is_another() {
    let scene = scene();
    scene.settle();
    scene.apply(&certificate(2020));
    let ingress = r#"{"spec":{"viewers":{"ingress":{"host":"live.example.org","tlsSecret":"live-tls"}}}}"#;
    scene.patch_pool(ingress);
    let object = ["-n", NAMESPACE, "roompool", "default"];
    let message = scene.condition(&object, "Degraded", "True", "CertificateExpired");
    assert!(message.contains("live-tls has expired: put a new one there"), "{message}");
    let events = ["events", "--field-selector", "reason=CertificateExpired,involvedObject.name=default"];
    scene.until("an event says so", |_| match scene.get(&events)["items"].as_array() {
        Some(events) if !events.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let ready = scene.cluster.condition(&object, "Ready").unwrap().unwrap();
    assert_eq!(ready[0], "True", "{ready:?}");
    scene.apply(&certificate(2999));
    scene.condition(&object, "Degraded", "False", "");
    scene.remove_from_pool("/spec/viewers/ingress");
    scene.settle();
    scene.kubectl(&["delete", "secret", "live-tls"]);
}
