//! Gateways with a certificate of their own, behind a Service that lets TCP and UDP through.

use std::{path::Path, time::Duration};

use barrage_e2e::{
    client::{Certificate, ClientV2, Event, Join},
    session::Fate,
    token::Claims,
};

use crate::scene::{Scene, debug, scene};

const SECRET: &str = "viewers-tls";
const GATEWAYS: &str = "deployment/default-gateway";
const PODS: &str = "app.kubernetes.io/component=gateway";
/// What a danmaku may take to somebody's screen.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// Puts a new certificate into the Secret.
fn certify(scene: &Scene) -> Certificate {
    let (folder, certificate) = (tempfile::tempdir().unwrap(), Certificate::make().unwrap());
    certificate.write(folder.path()).unwrap();
    let file = |flag: &str, name: &str| format!("--{flag}={}", Path::join(folder.path(), name).display());
    let [cert, key] = [file("cert", "cert.pem"), file("key", "key.pem")];
    let secret = scene.kubectl(&["create", "secret", "tls", SECRET, &cert, &key, "--dry-run=client", "-o", "yaml"]);
    scene.apply(&secret);
    certificate
}

/// A viewer who insists on a certificate, as soon as there is one who shows it.
fn join(scene: &Scene, scheme: &str, certificate: &Certificate, user: u64) -> ClientV2 {
    let token = scene.token_key().mint(&Claims::viewer("demo", user)).unwrap();
    let host = scene.get(&["service", "default-gateway"])["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let url = format!("{scheme}://{host}:443");
    let join = Join { certificate: Some(certificate.der().to_vec()), ..Join::new(&url, "demo", &token) };
    scene.until(&format!("{scheme} shows the certificate"), |_| ClientV2::join(&join, user).map_err(debug))
}

/// Both see what either says.
fn talk(viewers: &mut [ClientV2; 2], what: &str) {
    for speaker in 0..2 {
        let text = format!("{what} {speaker}");
        let seq = viewers[speaker].say(&text).unwrap();
        assert!(matches!(viewers[speaker].wait_fate(seq, SHOWN_WITHIN).unwrap(), Fate::Acknowledged(_)), "{text}");
        for viewer in viewers.iter_mut() {
            let shows = |event: &Event| match event {
                Event::Batch(danmaku, _) => danmaku.iter().any(|one| one.content == text).then_some(()),
                _ => None,
            };
            viewer.wait_for(&text, SHOWN_WITHIN, shows).unwrap();
        }
    }
}

/// `PROTOCOL PORT` of what the Service lets through.
fn open(scene: &Scene) -> Vec<String> {
    let service = scene.get(&["service", "default-gateway"]);
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.map(|port| format!("{} {}", port["protocol"].as_str().unwrap(), port["port"])).collect()
}

/// Waits until the Service lets these through, and the gateways are those of the spec.
fn wait_open(scene: &Scene, ports: &[&str]) {
    scene.until("the Service has its ports", |_| if open(scene) == ports { Ok(()) } else { Err(debug(open(scene))) });
    scene.kubectl(&["rollout", "status", GATEWAYS, "--timeout=180s"]);
}

#[test]
fn a_load_balancer_lets_websocket_and_webtransport_through_to_a_certificate_that_is_renewed() {
    let scene = scene();
    scene.settle();
    let first = certify(&scene);
    scene.patch_pool(&format!(
        r#"{{"spec":{{"viewers":{{"service":{{"type":"LoadBalancer","host":"live.example.org","tlsSecret":"{SECRET}"}}}}}}}}"#
    ));
    // No plain text for everybody.
    wait_open(&scene, &["TCP 443", "UDP 443"]);
    let mut viewers = [join(&scene, "wss", &first, 1), join(&scene, "https", &first, 2)];
    talk(&mut viewers, "first");
    scene.until("the room says where", |cluster| {
        let endpoints = cluster.get(&["liveroom", "demo"]).map_err(debug)?["status"]["endpoints"].clone();
        let is = |name: &str, url: &str| endpoints[name] == url;
        let said = is("webSocket", "wss://live.example.org/v1/rooms/demo/ws")
            && is("webTransport", "https://live.example.org/v1/rooms/demo/wt");
        if said { Ok(()) } else { Err(endpoints.to_string()) }
    });
    // A new certificate comes with nobody restarted, and those who are there stay.
    let pods = scene.until("the gateways before are gone", |_| {
        let pods = scene.pods(PODS);
        if pods.len() == 2 { Ok(pods) } else { Err(debug(pods)) }
    });
    let renewed = certify(&scene);
    let mut newcomers = [join(&scene, "https", &renewed, 3), join(&scene, "wss", &renewed, 4)];
    talk(&mut newcomers, "renewed");
    talk(&mut viewers, "as before");
    assert_eq!(scene.pods(PODS), pods);
    drop((viewers, newcomers));
    scene.remove_from_pool("/spec/viewers");
    wait_open(&scene, &["TCP 80"]);
    scene.kubectl(&["delete", "secret", SECRET]);
    scene.settle();
}
