//! How long files and functions may be, how a file begins and what it is called.

use super::code::{code_only, end_of_item, line_of, words};
use super::tree::{Source, Violation};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what a file holds, and `mod.rs`, which makes every tab read the same.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "misc", "mod", "types", "util", "utils"];

/// The first line says what lives in the file, and why.
pub(crate) fn header(source: &Source) -> Vec<Violation> {
    let first = source.text.lines().next().unwrap_or_default();
    if source.is_rust() && !first.starts_with("//! ") {
        return vec![Violation::new(1, "begin the file with `//!` and what lives in it")];
    }
    Vec::new()
}

pub(crate) fn file_length(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    if source.is_rust() && lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, at most {FILE_LINES_MAX}: split the file");
        return vec![Violation::new(FILE_LINES_MAX + 1, what)];
    }
    Vec::new()
}

/// A function is as long as the lines from its `fn` to its closing bracket, both counted, and whatever is
/// between them.
pub(crate) fn function_length(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let code = code_only(&source.text);
    let functions = words(&code, "fn").filter_map(|start| {
        let name = code[start + 2..].trim_start();
        // `fn(u8)` is the type of a pointer to a function.
        let named = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let first = line_of(&code, start);
        let lines = line_of(&code, end_of_item(&code, start)) - first + 1;
        let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        (named && lines > FUNCTION_LINES_MAX).then(|| {
            let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
            Violation::new(first, what)
        })
    });
    functions.collect()
}

pub(crate) fn file_name(source: &Source) -> Vec<Violation> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if EMPTY_NAMES.contains(&stem) && ["rs", "ts", "js", "mjs", "py", "sh"].contains(&extension) {
        return vec![Violation::new(1, "name the file for what it holds")];
    }
    Vec::new()
}

#[test]
fn a_file_without_a_header_is_refused() {
    let header = |path, text: &str| header(&Source::new(path, text)).len();
    assert_eq!(header("a.rs", "//! What lives here.\n"), 0);
    assert_eq!(header("a.rs", "//!\n"), 1);
    assert_eq!(header("a.rs", "/// An item.\n"), 1);
    assert_eq!(header("a.rs", "use std::io;\n//! Late.\n"), 1);
    assert_eq!(header("a.rs", ""), 1);
    assert_eq!(header("a.ts", "import a;\n"), 0);
}

#[test]
fn a_long_file_is_refused() {
    let length = |lines| file_length(&Source::new("a.rs", "\n".repeat(lines))).len();
    assert_eq!(length(FILE_LINES_MAX), 0);
    assert_eq!(length(FILE_LINES_MAX + 1), 1);
}

#[test]
fn a_long_function_is_refused() {
    // `fn long(…) {`, the lines of the body, `}`; the bracket in the string does not end it.
    let function = |body| format!("\n  fn long(a: [u8; 4]) {{ \"}}\";\n{}}}\n", "\n".repeat(body));
    let violations = |body| function_length(&Source::new("a.rs", function(body)));
    assert_eq!(violations(FUNCTION_LINES_MAX - 2), []);
    assert_eq!(violations(FUNCTION_LINES_MAX - 1), [Violation::new(2, "`long` has 71 lines, at most 70")],);
    let pointer = format!("type F = fn(u8);\nmod m {{{}}}", "\n".repeat(100));
    assert_eq!(function_length(&Source::new("a.rs", pointer)), []);
    let declared = format!("trait T {{ fn a(&self);{} }}", "\n".repeat(100));
    assert_eq!(function_length(&Source::new("a.rs", declared)), []);
}

#[test]
fn an_empty_name_is_refused() {
    let refused = |path| !file_name(&Source::new(path, "")).is_empty();
    assert!(refused("dataplane/src/utils.rs"));
    assert!(refused("dataplane/src/gateway/mod.rs"));
    assert!(refused("dataplane/web/src/helpers.ts"));
    assert!(!refused("dataplane/src/common/clock.rs"));
    assert!(!refused("types.md"));
}
