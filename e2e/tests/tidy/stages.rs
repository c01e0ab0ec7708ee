//! Stages meet only in the protocol, the log, the store and the links between them. Each will run in a
//! process of its own, where another stage is not there to be called.

use super::code::{code_only, end_of_item, line_of, words};
use super::tree::{Source, Violation};

const STAGES: [&str; 3] = ["gateway", "consumer", "ranker"];
const FOLDER: &str = "dataplane/barrage/src/";

/// A file of one stage (`gateway.rs`, `gateway_x.rs`, `gateway/x.rs`) names another by no path from the
/// crate's root: not `crate::ranker`, not in `crate::{…}`, not by as many `super::` as lead there.
pub(crate) fn imports(source: &Source) -> Vec<Violation> {
    let Some(stage) = stage_of(&source.path) else {
        return Vec::new();
    };
    let code = code_only(&source.text);
    let from_root = words(&code, "crate").map(|at| (at, 0));
    // `super` as the first of a path, or of a chain of them.
    let from_here = words(&code, "super").filter(|at| !code[..*at].ends_with("::"));
    let depth = depth_of(&source.path);
    let from_here = from_here.map(|at| (at, depth));
    let mut violations = Vec::new();
    for (at, depth) in from_root.chain(from_here) {
        for name in names_at_root(&code[at..], depth) {
            let other = STAGES.iter().find(|other| **other != stage && belongs(&name, other));
            if let Some(other) = other {
                let what = format!("the {stage} names the {other}: stages meet in the log, the store and links");
                violations.push(Violation::new(line_of(&code, at), what));
            }
        }
    }
    violations
}

fn stage_of(path: &str) -> Option<&'static str> {
    let first = path.strip_prefix(FOLDER)?.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    STAGES.into_iter().find(|stage| belongs(module, stage))
}

fn belongs(module: &str, stage: &str) -> bool {
    let rest = module.strip_prefix(stage);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// How many `super` lead from the file's module to the crate's root.
fn depth_of(path: &str) -> usize {
    path.trim_start_matches(FOLDER).split('/').count()
}

/// The names directly below the crate's root in the path that `path` begins with, which starts `up` levels
/// below that root.
fn names_at_root(path: &str, up: usize) -> Vec<String> {
    let mut rest = path;
    let mut left = up;
    while let Some(after) = rest.strip_prefix("super").filter(|_| left > 0) {
        left -= 1;
        rest = after.trim_start_matches("::");
    }
    let rest = rest.strip_prefix("crate").unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("::").unwrap_or(rest).trim_start();
    if left > 0 {
        return Vec::new();
    }
    match rest.strip_prefix('{') {
        Some(group) => first_names(&group[..end_of_item(rest, 0).saturating_sub(2)]),
        None => vec![first_name(rest)],
    }
}

/// The first name of each path in `a, b::{c, d}, e as f`.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                names.push(first_name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.push(first_name(&group[start..]));
    names
}

fn first_name(path: &str) -> String {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    path.trim_start().chars().take_while(word).collect()
}

#[test]
fn a_stage_that_names_another_is_refused() {
    let lines =
        |path: &str, text: &str| -> Vec<usize> { imports(&Source::new(path, text)).iter().map(|v| v.line).collect() };
    let gateway = "dataplane/barrage/src/gateway.rs";
    let worker = "dataplane/barrage/src/gateway/worker.rs";
    assert_eq!(lines(gateway, "use crate::log;\nuse crate::ranker::Frame;\n"), [2]);
    assert_eq!(lines(gateway, "use crate::{log, consumer::{Config, Poll}};\n"), [1]);
    assert_eq!(lines(gateway, "use crate::{\n    log::{self, ranker},\n    ranker as r,\n};\n"), [1]);
    assert_eq!(lines(gateway, "fn f() {\n    super::consumer::run();\n}\n"), [2]);
    assert_eq!(lines(worker, "use super::super::ranker;\n"), [1]);
    assert_eq!(lines(worker, "use crate::consumer_offsets;\n"), [1]);
    // Its own parts, a part that is called like a stage, a comment, a string; and who is no stage may.
    assert_eq!(lines(worker, "use crate::gateway::room;\nuse super::ranker;\n"), []);
    assert_eq!(lines(worker, "use super::super::log;\nuse super::{ranker, room};\n"), []);
    assert_eq!(lines(worker, "// crate::ranker\nlet a = \"crate::ranker\";\n"), []);
    assert_eq!(lines("dataplane/barrage/src/dev.rs", "use crate::{gateway, ranker};\n"), []);
    assert_eq!(lines("dataplane/barrage/src/log/gateways.rs", "use crate::gateway;\n"), []);
}
