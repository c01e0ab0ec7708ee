//! Pods are replaced while viewers watch and talk.

use crate::{
    load::Running,
    scene::{POOL_LABEL, ROLE_LABEL, Scene, debug, scene},
};

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
fn another_image_of_the_gateways_cuts_nobody_without_a_word() {
    let scene = scene();
    scene.settle();
    let load = Running::start(&scene, "demo");
    let before = scene.pods(&role("gateway"));
    let newer = barrage_e2e::kubernetes::Images::again("ghcr.io/barrage-live/barrage:0.1.2").unwrap();
    scene.cluster.load(&[newer]).unwrap();
    scene.kubectl(&[
        "patch",
        "roompool",
        "default",
        "--type=merge",
        "-p",
        r#"{"spec":{"image":"ghcr.io/barrage-live/barrage:0.1.2"}}"#,
    ]);
    for name in ["gateway", "consumer", "ranker"] {
        let before = if name == "gateway" { before.clone() } else { Vec::new() };
        if !before.is_empty() {
            replaced(&scene, &role(name), &before);
        }
    }
    load.goes_on(&scene, 100);
    let report = load.end();
    eprintln!("connections ended: {:?}", report.ended);
    // Everybody was told to go, which is what 1001 means; nobody was cut off, and nobody missed anything.
    assert!(report.ended.keys().all(|reason| reason.contains("1001")), "{:?}", report.ended);
    assert_eq!((report.lost, report.missed), (Some(0), Some(0)), "{report:?}");
    scene.kubectl(&["patch", "roompool", "default", "--type=json", "-p", r#"[{"op":"remove","path":"/spec/image"}]"#]);
    scene.settle();
}
