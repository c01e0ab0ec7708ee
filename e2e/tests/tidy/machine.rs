//! A clone works on any machine: nothing names a folder of the one it was written on, and packages come
//! from wherever the tools that fetch them are set to.

use super::tree::{Source, Violation};

// Each in two parts, so that this file does not break its own rule.
const FOLDERS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("registry.yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("deb.debian", ".org"),
];

/// Absolute paths into the folders where people and build machines keep checkouts.
pub(crate) fn paths(source: &Source) -> Vec<Violation> {
    // In the middle of a path or of a URL they are somebody else's folder.
    let begins = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c));
    find(source, &FOLDERS, begins, "a path of one machine: take it from an argument or a variable")
}

/// Hosts that packages are fetched from.
pub(crate) fn registries(source: &Source) -> Vec<Violation> {
    let begins = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || c == '-');
    find(source, &REGISTRIES, begins, "a registry's host: leave it to the tool's own settings")
}

fn find(source: &Source, words: &[&str], begins: impl Fn(&str) -> bool, what: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for word in words {
            if line.match_indices(word).any(|(at, _)| begins(&line[..at])) {
                violations.push(Violation::new(index + 1, format!("`{word}` is {what}")));
            }
        }
    }
    violations
}

#[test]
fn a_path_of_one_machine_is_refused() {
    let lines = |text: String| -> Vec<usize> { paths(&Source::new("a.md", text)).iter().map(|v| v.line).collect() };
    assert_eq!(lines(format!("cd x\ncd {}main\n", FOLDERS[0])), [2]);
    assert_eq!(lines(format!("DATA={}data", FOLDERS[1])), [1]);
    assert_eq!(lines(format!("[a](file://{}me)", FOLDERS[2])), [1]);
    assert_eq!(lines(format!("e2e{0} ${{CACHE}}{0} https://example.com{0}", FOLDERS[0])), []);
}

#[test]
fn a_registry_is_refused() {
    let count = |text: String| registries(&Source::new("a.toml", text)).len();
    assert_eq!(count(format!("url = \"https://index.{}/\"", REGISTRIES[0])), 1);
    assert_eq!(count(format!("https://{}/simple", REGISTRIES[3])), 1);
    assert_eq!(count(format!("https://my{}", REGISTRIES[3])), 0);
}
