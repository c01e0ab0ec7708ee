//! The definitions in the chart are those of `crds/yaml`. `UPDATE=1` copies them.

use std::{collections::BTreeMap, fs, path::Path};

use barrage_e2e::kubernetes::Tools;

use crate::chart;

fn files(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn the_chart_has_the_definitions_as_they_are_published() {
    let published = files(&Tools::file("crds/yaml"));
    let folder = chart().join("files/crds");
    if std::env::var_os("UPDATE").is_some() {
        files(&folder).keys().for_each(|name| fs::remove_file(folder.join(name)).unwrap());
        published.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }
    assert!(
        published == files(&folder),
        "charts/barrage/files/crds differs from crds/yaml: UPDATE=1 cargo test -p barrage-e2e --test chart"
    );
}

#[test]
fn versions_are_the_workspaces() {
    let version = env!("CARGO_PKG_VERSION");
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        assert!(text.lines().any(|line| line == format!("{key}: {version}")), "{key} is not {version}");
    }
    assert!(text.contains(&format!("/barrage:{version}\n")), "the list of images is of another version");
}

#[test]
fn the_image_is_built_by_the_pinned_compiler() {
    let pinned = fs::read_to_string(Tools::file("rust-toolchain.toml")).unwrap();
    let pinned = pinned.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"').to_owned();
    let dockerfile = fs::read_to_string(Tools::file("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("/rust:{pinned}-")), "the Dockerfile builds with another Rust than {pinned}");
}
