//! Pods are replaced while viewers watch and talk.

use barrage_e2e::{http::Api, kubernetes::Kubernetes};

use crate::{
    load::Running,
    scene::{NAMESPACE, POOL_LABEL, ROLE_LABEL, Scene, debug, scene},
};

const EXPIRY: &str = "barrage_link_certificate_expiry_seconds ";

/// The selector of a role of the default pool.
fn role(name: &str) -> String {
    format!("{POOL_LABEL}=default,{ROLE_LABEL}={name}")
}

/// Waits until none of these pods is left and as many others are ready.
fn replaced(scene: &Scene, selector: &str, before: &[(String, String)]) {
    scene.until(&format!("{selector} are replaced"), |_| {
        let now = scene.pods(selector);
        let old = now.iter().any(|pod| before.contains(pod));
        if !old && now.len() == before.len() { Ok(()) } else { Err(debug(now)) }
    });
    scene.settle();
}

#[test]
fn another_image_cuts_nobody_without_a_word() {
    let scene = scene();
    scene.settle();
    let load = Running::start(&scene, "demo");
    let before = ["gateway", "consumer", "ranker"].map(|name| (role(name), scene.pods(&role(name))));
    let newer = barrage_e2e::kubernetes::Images::again("ghcr.io/barrage-live/barrage:0.1.2").unwrap();
    scene.cluster.load(&[newer]).unwrap();
    scene.patch_pool(r#"{"spec":{"image":"ghcr.io/barrage-live/barrage:0.1.2"}}"#);
    for (selector, before) in &before {
        replaced(&scene, selector, before);
    }
    load.goes_on(&scene, 100);
    let report = load.end();
    eprintln!("connections ended: {:?}", report.ended);
    // Everybody was told to go, which is what 1001 means; nobody was cut off, and nobody missed anything.
    assert!(report.ended.keys().all(|reason| reason.contains("1001")), "{:?}", report.ended);
    assert_eq!((report.lost, report.missed), (Some(0), Some(0)), "{report:?}");
    scene.remove_from_pool("/spec/image");
    scene.settle();
}

/// When the certificate that each pod of the pool shows to the others ends, Unix seconds.
fn expiries(cluster: &Kubernetes) -> Result<Vec<(String, u64)>, String> {
    let pods = cluster.get(&["-n", NAMESPACE, "pods", "-l", &format!("{POOL_LABEL}=default,{ROLE_LABEL}")]);
    let pods = pods.map_err(debug)?;
    let expiry = |pod: &serde_json::Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let address = pod["status"]["podIP"].as_str().ok_or_else(|| format!("{name} has no address"))?;
        let metrics = Api::new(&format!("http://{address}:9090")).get("/metrics").map_err(debug)?.body;
        let expiry = metrics.lines().find_map(|line| line.strip_prefix(EXPIRY)?.parse().ok());
        Ok((name.to_owned(), expiry.ok_or_else(|| format!("{name} has no certificate"))?))
    };
    pods["items"].as_array().into_iter().flatten().map(expiry).collect()
}

#[test]
fn certificates_of_links_are_replaced_without_a_restart() {
    let scene = scene();
    scene.settle();
    let pods = scene.pods(&format!("{POOL_LABEL}=default"));
    let before = expiries(&scene.cluster).unwrap();
    assert_eq!(before.len(), 6, "{before:?}");
    let load = Running::start(&scene, "demo");
    // Without one it makes another, as it does a month before one ends.
    scene.kubectl(&[
        "patch",
        "secret",
        "default-links",
        "--type=json",
        "-p",
        r#"[{"op":"remove","path":"/data/cert.pem"}]"#,
    ]);
    scene.kubectl(&["annotate", "roompool", "default", "look-again=1"]);
    scene.until("all pods show the new certificate", |cluster| {
        let now = expiries(cluster)?;
        let is_newer = |((_, then), (_, now)): (&(String, u64), &(String, u64))| then < now;
        if before.iter().zip(&now).all(is_newer) { Ok(()) } else { Err(format!("{before:?}, {now:?}")) }
    });
    assert_eq!(scene.pods(&format!("{POOL_LABEL}=default")), pods, "a pod was restarted");
    // Who comes new is known by the others, and knows them.
    let rankers = scene.pods(&role("ranker"));
    scene.kubectl(&["delete", "pod", &rankers[0].0]);
    scene.until("the ranker is back", |_| {
        let now = scene.pods(&role("ranker"));
        if now.len() == rankers.len() && now != rankers { Ok(()) } else { Err(debug(now)) }
    });
    scene.settle();
    load.goes_on(&scene, 100);
    let report = load.end();
    assert_eq!((report.disconnects, report.lost), (0, Some(0)), "{report:?}");
    scene.kubectl(&["annotate", "roompool", "default", "look-again-"]);
}
