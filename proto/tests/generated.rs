//! The committed Rust code is what the `.proto` files generate. `UPDATE=1 cargo test -p barrage-proto` writes it anew.

use std::{fs, path::Path};

const PROTOS: [&str; 5] = [
    "barrage/v2/barrage.proto",
    "barrage/log/v1/log.proto",
    "barrage/link/v1/link.proto",
    "barrage/routes/v1/routes.proto",
    "barrage/heat/v1/heat.proto",
];
const GENERATED: [&str; 5] =
    ["barrage.v2.rs", "barrage.log.v1.rs", "barrage.link.v1.rs", "barrage.routes.v1.rs", "barrage.heat.v1.rs"];

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(PROTOS, [root]).unwrap();
    prost_build::Config::new()
        .bytes([".barrage.log.v1", ".barrage.link.v1"])
        // Few danmaku have one, and all of them are moved about.
        .boxed(".barrage.log.v1.Entry.gift")
        .boxed(".barrage.log.v1.Entry.act")
        .boxed(".barrage.link.v1.Danmaku.gift")
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();
    for name in GENERATED {
        let fresh = fs::read_to_string(scratch.path().join(name)).unwrap();
        let committed = root.join("src/generated").join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&committed, &fresh).unwrap();
        }
        let current = fs::read_to_string(&committed).unwrap_or_default();
        assert!(current == fresh, "{name} is stale: run UPDATE=1 cargo test -p barrage-proto");
    }
}
