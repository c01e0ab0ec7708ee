//! The source files of the workspace, and what a rule says about one.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no sources of ours: what is built, fetched, or kept by a run.
const SKIPPED_FOLDERS: [&str; 6] = [".git", "artifacts", "barrage-data", "dist", "node_modules", "target"];

/// Files that people write. Lock files are not among them.
const EXTENSIONS: [&str; 14] =
    ["css", "html", "js", "md", "mjs", "proto", "py", "rs", "sh", "svg", "toml", "ts", "yaml", "yml"];

/// One file.
pub(crate) struct Source {
    /// From the workspace's root, with `/` between folders.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: impl Into<String>) -> Self {
        let (path, text) = (path.to_owned(), text.into());
        Self { path, text }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// What breaks a rule, and where: lines count from 1.
#[derive(Debug, PartialEq)]
pub(crate) struct Violation {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Every source file that somebody wrote, by path.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let sources: Vec<_> = files.iter().filter_map(|file| read(&root, file)).collect();
    assert!(sources.iter().any(Source::is_rust), "no sources found in {}", root.display());
    sources
}

/// Other processes write in the tree meanwhile: what is gone when its turn comes is passed over.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let skipped = SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !skipped => collect(&path, files),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}

fn read(root: &Path, file: &Path) -> Option<Source> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| !EXTENSIONS.contains(&extension)) {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let first_line = text.lines().next().unwrap_or_default();
    // Without an extension: a script, or make's file.
    let script = extension.is_some() || first_line.starts_with("#!") || file.ends_with("Makefile");
    if !script || first_line.contains("@generated") {
        return None;
    }
    let path = file.strip_prefix(root).ok()?.iter().map(|part| part.to_string_lossy());
    let path = path.collect::<Vec<_>>().join("/");
    Some(Source { path, text })
}

#[test]
fn the_tree_holds_this_file_and_nothing_built() {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "e2e/tests/tidy/tree.rs"));
    assert!(sources.iter().any(|source| source.path == "Cargo.toml"));
    assert!(!sources.iter().any(|source| source.path.starts_with("target/")));
    assert!(!sources.iter().any(|source| source.path.ends_with("liverooms.barrage.live.yaml")));
}
