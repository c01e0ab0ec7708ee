//! What may bring a process down: no `unwrap` outside tests, and few `expect`s, each of which names the
//! invariant that holds it.

use super::code::{code_only, end_of_item, line_of};
use super::tree::{Source, Violation};

/// In a thousand lines of program.
const EXPECTS_MAX: usize = 3;

/// Cargo and cargo-fuzz keep what is no part of a program in folders of these names.
const TEST_FOLDERS: [&str; 3] = ["benches", "fuzz_targets", "tests"];

/// The Rust files that end up in a program: without folders of tests, and without the modules that a
/// `#[cfg(test)] mod x;` elsewhere makes part of the tests.
pub(crate) fn without_test_modules(sources: &[Source]) -> Vec<&Source> {
    let tests: Vec<_> = sources.iter().filter(|s| s.is_rust()).flat_map(test_modules).collect();
    let is_test = |path: &str| {
        let module = path.trim_end_matches(".rs");
        let below = |test: &String| {
            module.strip_prefix(test.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        path.split('/').any(|part| TEST_FOLDERS.contains(&part)) || tests.iter().any(below)
    };
    sources.iter().filter(|source| source.is_rust() && !is_test(&source.path)).collect()
}

/// `.unwrap()` in a program, and `.expect("")`, which says as little.
pub(crate) fn unwraps(source: &Source) -> Vec<Violation> {
    let code = without_tests(&source.text);
    let calls = [".unwrap()", ".unwrap_err()", ".expect(\"\")", ".expect_err(\"\")"];
    let found = calls.iter().flat_map(|call| code.match_indices(call));
    let what = "return an error, or `expect` with the invariant that holds";
    found.map(|(at, _)| Violation::new(line_of(&code, at), what)).collect()
}

/// All `expect`s with their places, if there are more than the budget allows.
pub(crate) fn over_budget(program: &[&Source]) -> Vec<String> {
    let mut lines = 0;
    let mut expects = Vec::new();
    for source in program {
        let code = without_tests(&source.text);
        lines += code.lines().filter(|line| *line != TEST_LINE).count();
        for (at, _) in code.match_indices(".expect(") {
            expects.push(format!("{}:{}: expect", source.path, line_of(&code, at)));
        }
    }
    if expects.len() * 1000 <= EXPECTS_MAX * lines {
        return Vec::new();
    }
    let total = expects.len();
    expects.push(format!("{total} expects in {lines} lines: at most {EXPECTS_MAX} in 1000"));
    expects
}

/// What a line of a test is replaced by.
const TEST_LINE: &str = "#";

/// The code of `text`, with [`TEST_LINE`] for the lines of items that are built for tests only.
pub(crate) fn without_tests(text: &str) -> String {
    let code = code_only(text);
    let mut out = String::new();
    let mut from = 0;
    while let Some((attribute, item)) = next_test_item(&code, from) {
        let end = end_of_item(&code, item);
        out.push_str(&code[from..attribute]);
        out.push_str(TEST_LINE);
        for _ in code[attribute..end].matches('\n') {
            out.push('\n');
            out.push_str(TEST_LINE);
        }
        from = end;
    }
    out + &code[from..]
}

/// Where the next `#[cfg(test)]` stands, perhaps with a feature, and where the item below it and its other attributes begins.
fn next_test_item(code: &str, from: usize) -> Option<(usize, usize)> {
    let attributes = ["#[cfg(test)]", "#[cfg(all(test,"].into_iter();
    let attribute = from + attributes.filter_map(|attribute| code[from..].find(attribute)).min()?;
    let mut item = attribute;
    while code[item..].starts_with("#[") {
        item += code[item..].find(']')? + 1;
        item += code[item..].len() - code[item..].trim_start().len();
    }
    Some((attribute, item))
}

/// Paths, without `.rs`, of the modules in files of their own that `source` declares for tests.
fn test_modules(source: &Source) -> Vec<String> {
    let code = code_only(&source.text);
    let folder = source.path.trim_end_matches(".rs");
    let root = |stem| folder.strip_suffix(stem).filter(|rest| rest.ends_with('/'));
    let folder = ["lib", "main"].into_iter().find_map(root).map_or_else(|| format!("{folder}/"), str::to_owned);
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some((_, item)) = next_test_item(&code, from) {
        from = end_of_item(&code, item);
        let declaration = code[item..from].strip_suffix(';').and_then(|d| d.rsplit_once("mod "));
        modules.extend(declaration.map(|(_, name)| format!("{folder}{}", name.trim())));
    }
    modules
}

#[test]
fn an_unwrap_is_refused_and_one_in_a_test_is_not() {
    let text = "fn f() {\n    a().unwrap();\n    b().expect(\"\");\n    c().expect(\"c is set\");\n}\n\
        // d().unwrap()\n\n#[cfg(test)]\n#[allow(missing_docs)]\nmod tests {\n    fn g() { a().unwrap() }\n}\n\
        fn h() { e().unwrap() }\n";
    let lines: Vec<_> = unwraps(&Source::new("a.rs", text)).iter().map(|v| v.line).collect();
    assert_eq!(lines, [2, 13, 3]);
}

#[test]
fn modules_that_are_tests_are_left_out() {
    let sources = [
        Source::new("a/src/lib.rs", "mod b;\n#[cfg(test)]\npub(crate) mod testing;\n"),
        Source::new("a/src/testing.rs", ""),
        Source::new("a/src/testing/log.rs", ""),
        Source::new("a/src/b.rs", "#[cfg(all(test, feature = \"\"))]\nmod cases;\n#[cfg(test)]\nuse c::d;\n"),
        Source::new("a/src/b/cases.rs", ""),
        Source::new("a/src/cases.rs", ""),
        Source::new("a/tests/c.rs", ""),
        Source::new("a/README.md", ""),
    ];
    let program = without_test_modules(&sources);
    let paths: Vec<_> = program.iter().map(|source| source.path.as_str()).collect();
    assert_eq!(paths, ["a/src/lib.rs", "a/src/b.rs", "a/src/cases.rs"]);
}

#[test]
fn too_many_expects_are_refused() {
    let expects = |count: usize, lines: usize| {
        let tests = "#[cfg(test)]\nmod tests {\n    a.expect(\"b\");\n}";
        let code = format!("{}{}{tests}", "a.expect(\"b\");\n".repeat(count), "\n".repeat(lines - count));
        over_budget(&[&Source::new("a.rs", code)])
    };
    assert_eq!(expects(3, 1000), [""; 0]);
    assert_eq!(
        expects(3, 999),
        ["a.rs:1: expect", "a.rs:2: expect", "a.rs:3: expect", "3 expects in 999 lines: at most 3 in 1000",],
    );
}
