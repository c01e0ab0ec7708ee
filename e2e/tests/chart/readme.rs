//! The table of values in the chart's README is made of the comments in `values.yaml`. `UPDATE=1` writes it.

use std::fmt::Write as _;
use std::fs;

use crate::chart;

const BEGIN: &str = "<!-- values: made of values.yaml by UPDATE=1 cargo test -p barrage-e2e --test chart -->\n";
const END: &str = "<!-- end of values -->\n";

#[test]
fn the_readme_lists_the_values_as_they_are() {
    let path = chart().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let table = table(&fs::read_to_string(chart().join("values.yaml")).unwrap());
    let wanted = [before, BEGIN, &table, END, after].concat();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        wanted == fs::read_to_string(&path).unwrap(),
        "README.md is stale: UPDATE=1 cargo test -p barrage-e2e --test chart"
    );
}

/// A value, or a group of them.
struct Row {
    path: String,
    default: Vec<String>,
    about: String,
}

fn table(values: &str) -> String {
    let mut text = "\n| value | default | what it is |\n|---|---|---|\n".to_owned();
    for Row { path, default, about } in rows(values) {
        let default = if default.is_empty() { String::new() } else { format!("`{}`", default.join(", ")) };
        // Writing to a string cannot fail.
        let _written = writeln!(text, "| `{path}` | {default} | {about} |");
    }
    text + "\n"
}

/// What has a comment above it gets a row; what has none is a part of the default of what it stands in.
fn rows(values: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in values.lines() {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        if let Some(said) = words.strip_prefix('#') {
            comment = format!("{comment} {}", said.trim()).trim().to_owned();
            continue;
        }
        let Some((key, value)) = words.split_once(':') else {
            comment.clear();
            continue;
        };
        parents.retain(|(at, _)| *at < indent);
        parents.push((indent, key.to_owned()));
        let path: Vec<_> = parents.iter().map(|(_, key)| key.as_str()).collect();
        let value = value.trim();
        match rows.last_mut() {
            Some(row) if comment.is_empty() && path.join(".").starts_with(&format!("{}.", row.path)) => {
                // A group without a comment has rows of its own below it.
                if !value.is_empty() {
                    row.default.push(words.to_owned());
                }
            }
            _ => {
                let default = Some(value).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
                let about = std::mem::take(&mut comment);
                if !about.is_empty() || default.is_some() {
                    rows.push(Row { path: path.join("."), default: default.into_iter().collect(), about });
                }
            }
        }
        comment.clear();
    }
    rows
}

#[test]
fn comments_become_rows() {
    let values = "# About.\n\n# A group.\na:\n  # One.\n  b: 1\n  c:\n    # Two\n    # lines.\n    d:\n      e: {f: 1}\n      g: 2\nh: \"\"\n";
    let rows: Vec<_> = rows(values).into_iter().map(|row| (row.path, row.default.join(", "), row.about)).collect();
    let row = |path: &str, default: &str, about: &str| (path.to_owned(), default.to_owned(), about.to_owned());
    assert_eq!(
        rows,
        [
            row("a", "", "A group."),
            row("a.b", "1", "One."),
            row("a.c.d", "e: {f: 1}, g: 2", "Two lines."),
            row("h", "\"\"", "")
        ]
    );
}
