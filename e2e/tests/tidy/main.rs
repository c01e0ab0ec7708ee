//! The house rules, as tests over every source file of the workspace. Each rule is a pure function that
//! shows beside it what it refuses; here it runs over the tree, and a violation is printed as
//! `file:line: what to do`. Generated files (a first line that says `@generated`) are exempt.

mod code;
mod floors;
mod imports;
mod layout;
mod machine;
mod panics;
mod stages;
mod tree;

use tree::{Source, Violation};

fn enforce(rule: impl Fn(&Source) -> Vec<Violation>) {
    report(tree::sources().iter().flat_map(|source| in_file(source, rule(source))));
}

fn in_file(source: &Source, violations: Vec<Violation>) -> impl Iterator<Item = String> {
    let path = source.path.clone();
    violations.into_iter().map(move |v| format!("{path}:{}: {}", v.line, v.what))
}

fn report(violations: impl Iterator<Item = String>) {
    let lines: Vec<_> = violations.collect();
    assert!(lines.is_empty(), "violations: {}\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn every_rust_file_says_what_lives_in_it() {
    enforce(layout::header);
}

#[test]
fn rust_files_are_short() {
    enforce(layout::file_length);
}

#[test]
fn functions_are_short() {
    enforce(layout::function_length);
}

#[test]
fn files_are_named_for_what_they_hold() {
    enforce(layout::file_name);
}

#[test]
fn no_stage_imports_another() {
    enforce(stages::imports);
}

#[test]
fn floors_and_circles() {
    let libraries = imports::libraries(&tree::sources());
    for library in &libraries {
        println!("{}", floors::summary(library));
    }
    report(libraries.iter().flat_map(|library| [floors::arrows_up(library), floors::large_circles(library)].concat()));
}

#[test]
fn nothing_unwraps_outside_tests() {
    let sources = tree::sources();
    let program = panics::without_test_modules(&sources);
    report(program.iter().flat_map(|source| in_file(source, panics::unwraps(source))));
}

#[test]
fn expects_are_few() {
    let sources = tree::sources();
    report(panics::over_budget(&panics::without_test_modules(&sources)).into_iter());
}

#[test]
fn nothing_names_a_folder_of_one_machine() {
    enforce(machine::paths);
}

#[test]
fn nothing_names_a_registry() {
    enforce(machine::registries);
}
