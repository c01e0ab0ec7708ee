//! The floors of the house: a part imports only what stands below it, so that it can be read, changed and tested without
//! what stands above. And how many files may import each other in a circle.

use super::imports::{Import, Library};

/// Files that import each other, at the most.
const CIRCLE_MAX: usize = 8;

/// A module whose parts stand on floors.
struct House {
    /// The `src` folder of its library.
    root: &'static str,
    /// The module; empty is the library itself.
    module: &'static str,
    /// Parts from the lowest floor up. Parts of one floor do not import each other.
    floors: &'static [&'static [&'static str]],
}

const HOUSES: [House; 4] = [
    House {
        root: "dataplane/core/src",
        module: "",
        floors: &[
            &[
                "blocking",
                "certificate",
                "clock",
                "hash",
                "health",
                "host",
                "http_client",
                "last_error",
                "room",
                "token",
                "trace",
                "words",
            ],
            &["admin", "age", "heat", "log", "moderation", "rate_limit"],
            &["store"],
            &["link"],
            &["routes"],
        ],
    },
    House {
        root: "dataplane/cluster/src",
        module: "",
        floors: &[
            &["endpoint", "store", "topic_reader", "trace"],
            &["kafka", "rate_limit", "routes"],
            &["log", "membership", "settings"],
            &["room_deletion"],
        ],
    },
    // Stages meet only in the log, the store and the links between them: they stand on one floor.
    House {
        root: "dataplane/barrage/src",
        module: "",
        floors: &[&["embedded"], &["consumer", "gateway", "ranker"], &["dev", "roles"], &["cli"]],
    },
    House {
        root: "dataplane/barrage/src",
        module: "gateway",
        floors: &[
            &["checks", "config", "encode", "error", "metrics", "problem"],
            &["state"],
            &["transport"],
            &["publish"],
            &["delivery"],
            &["connection"],
            &["http"],
            &["worker"],
        ],
    },
];

/// Imports that go up, or from a part that stands on no floor.
pub(crate) fn arrows_up(library: &Library) -> Vec<String> {
    let houses = HOUSES.iter().filter(|house| library.root == house.root);
    houses.flat_map(|house| library.imports.iter().filter_map(|import| house.refuses(library, import))).collect()
}

/// Circles that are too large.
pub(crate) fn large_circles(library: &Library) -> Vec<String> {
    let large = library.circles().into_iter().filter(|circle| circle.len() > CIRCLE_MAX);
    let text = |circle: Vec<Vec<String>>| {
        let files: Vec<_> = circle.iter().map(|path| library.modules[path].file.as_str()).collect();
        format!("{} files import each other, at most {CIRCLE_MAX}:\n  {}", files.len(), files.join("\n  "))
    };
    large.map(text).collect()
}

/// The largest circle of a library, for people.
pub(crate) fn summary(library: &Library) -> String {
    let (root, files) = (&library.root, library.modules.len());
    match library.circles().first() {
        None => format!("{root}: {files} files, no circle"),
        Some(circle) => {
            let names: Vec<_> = circle.iter().map(|path| path.join("::")).collect();
            format!("{root}: {files} files, the largest circle has {}: {}", circle.len(), names.join(", "))
        }
    }
}

impl House {
    fn refuses(&self, library: &Library, import: &Import) -> Option<String> {
        let (from, to) = (self.part(&import.from)?, self.part(&import.to)?);
        if from == self.module {
            return None;
        }
        let (file, line) = (&library.modules[&import.from].file, import.line);
        let floor = |part: &str| self.floors.iter().position(|floor| floor.contains(&part));
        let Some(height) = floor(from) else {
            return Some(format!("{file}:{line}: `{from}` stands on no floor: put it into the list of floors.rs"));
        };
        let below = floor(to).is_some_and(|floor| floor < height);
        (from != to && !below).then(|| format!("{file}:{line}: `{from}` imports `{to}`, which is not below it"))
    }

    /// The part that a module is of; the module itself for what stands in its own file.
    fn part<'p>(&'p self, path: &'p [String]) -> Option<&'p str> {
        let inside = if self.module.is_empty() { path } else { path.strip_prefix(&[self.module.to_owned()])? };
        Some(inside.first().map_or(self.module, String::as_str))
    }
}

#[test]
fn an_arrow_up_is_refused() {
    let gateway = |file: &str, text: &str| {
        let lib = ("lib.rs", "mod gateway;\nmod embedded;\n");
        let wings = "mod metrics;\nmod state;\nmod worker;\nmod attic;\npub use worker::Worker;\n";
        let mut files = vec![lib, ("embedded.rs", ""), ("dev.rs", ""), ("gateway.rs", wings)];
        files.extend(["metrics", "state", "worker", "attic"].map(|name| match name {
            "metrics" => ("gateway/metrics.rs", ""),
            "state" => ("gateway/state.rs", ""),
            "worker" => ("gateway/worker.rs", "pub struct Worker;\n"),
            _ => ("gateway/attic.rs", ""),
        }));
        files.retain(|(name, _)| *name != file);
        files.push((file, text));
        let mut library = super::imports::library(&files);
        library.root = "dataplane/barrage/src".to_owned();
        arrows_up(&library)
    };
    assert_eq!(gateway("gateway/worker.rs", "use super::{metrics::M, state};\nuse crate::embedded::log;\n"), [""; 0]);
    let up = ["a/src/gateway/state.rs:2: `state` imports `worker`, which is not below it"];
    assert_eq!(gateway("gateway/state.rs", "use super::metrics;\nuse super::worker::Worker;\n"), up);
    let hidden = ["a/src/gateway/state.rs:1: `state` imports `worker`, which is not below it"];
    assert_eq!(gateway("gateway/state.rs", "use crate::gateway::Worker;\n"), hidden);
    let parent = ["a/src/gateway/state.rs:1: `state` imports `gateway`, which is not below it"];
    assert_eq!(gateway("gateway/state.rs", "use super::Deps;\n"), parent);
    let stage = ["a/src/gateway/state.rs:1: `gateway` imports `dev`, which is not below it"];
    assert_eq!(gateway("gateway/state.rs", "use crate::dev::Options;\n"), stage);
    let homeless = ["a/src/gateway/attic.rs:1: `attic` stands on no floor: put it into the list of floors.rs"];
    assert_eq!(gateway("gateway/attic.rs", "use super::metrics;\n"), homeless);
}

#[test]
fn a_large_circle_is_refused() {
    let circle = |files: usize| {
        let names: Vec<String> = (0..files).map(|number| format!("m{number}")).collect();
        let texts = (0..files).map(|number| format!("use crate::{}::X{number};\n", names[(number + 1) % files]));
        let mut sources = vec![("lib.rs".to_owned(), String::new())];
        sources.extend(names.iter().map(|name| format!("{name}.rs")).zip(texts));
        let sources: Vec<_> = sources.iter().map(|(file, text)| (file.as_str(), text.as_str())).collect();
        large_circles(&super::imports::library(&sources)).len()
    };
    assert_eq!((circle(CIRCLE_MAX), circle(CIRCLE_MAX + 1)), (0, 1));
}
