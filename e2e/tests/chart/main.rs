//! The Helm chart without a cluster: what it renders from several sets of values, what it refuses, and what is generated
//! for it. The last set of values is that of somebody who sets nothing but `dev.enabled`.

mod alerts;
mod generated;
mod readme;
mod refusals;
mod rendered;
mod security;

use std::{
    fs,
    path::{Path, PathBuf},
};

use barrage_e2e::kubernetes::{KubernetesError, Tools};
use saphyr::{LoadableYamlNode, Yaml};

/// The chart's folder.
pub(crate) fn chart() -> PathBuf {
    Tools::file("charts/barrage")
}

/// The sets of values that everything is checked with: files of the chart's folder `ci`.
pub(crate) fn value_sets() -> Vec<PathBuf> {
    let files = fs::read_dir(chart().join("ci")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// What helm makes of a set of values, and of others set on the command line.
pub(crate) fn render(values: &Path, set: &[&str]) -> Result<String, KubernetesError> {
    let (chart, values) = (chart().display().to_string(), values.display().to_string());
    let mut arguments = vec!["template", "barrage", &chart, "--namespace", "live", "--values", &values];
    set.iter().for_each(|one| arguments.extend(["--set", *one]));
    Tools::find()?.helm(&arguments)
}

/// One of the sets of values.
pub(crate) fn values(name: &str) -> PathBuf {
    chart().join(format!("ci/{name}.yaml"))
}

/// The objects of what was rendered, each with its kind and name to find it by.
pub(crate) struct Objects {
    documents: String,
}

impl Objects {
    /// Of a set of values.
    pub(crate) fn of(name: &str, set: &[&str]) -> Self {
        Self { documents: render(&values(name), set).unwrap_or_else(|error| panic!("{error}")) }
    }

    /// All objects.
    pub(crate) fn all(&self) -> Vec<Yaml<'_>> {
        let documents = Yaml::load_from_str(&self.documents).unwrap();
        documents.into_iter().filter(|one| one.as_mapping().is_some()).collect()
    }

    /// The pools that the operator is told to apply, as JSON.
    pub(crate) fn pools(&self) -> String {
        let maps = self.of_kind("ConfigMap");
        let found = maps.iter().find_map(|map| field(map, &["data", "pools.json"]));
        found.map(|pools| text(pools).to_owned()).unwrap_or_default()
    }

    /// Objects of a kind.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Yaml<'_>> {
        self.all().into_iter().filter(|one| text(&one["kind"]) == kind).collect()
    }
}

/// The pools of [`Objects::pools`]: JSON is YAML, too.
pub(crate) fn pools(text: &str) -> Vec<Yaml<'_>> {
    let mut documents = Yaml::load_from_str(text).unwrap();
    documents.remove(0).into_vec().unwrap()
}

/// A string in a document.
pub(crate) fn text<'y>(value: &'y Yaml<'_>) -> &'y str {
    value.as_str().unwrap_or_default()
}

/// A field that may be absent.
pub(crate) fn field<'y, 'i>(value: &'y Yaml<'i>, path: &[&str]) -> Option<&'y Yaml<'i>> {
    path.iter().try_fold(value, |value, name| value.as_mapping_get(name))
}
