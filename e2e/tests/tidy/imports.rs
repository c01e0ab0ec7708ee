//! Which file of a crate imports which: `use` declarations and paths that begin with `crate`, `super`, `self` or the name
//! of a child module, followed through re-exports to the file that has the item. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{code_only, end_of_item, line_of, words};
use super::panics::{without_test_modules, without_tests};
use super::tree::Source;

/// The modules of one library, and what each imports.
pub(crate) struct Library {
    /// Its `src` folder.
    pub(crate) root: String,
    pub(crate) modules: BTreeMap<Path, Module>,
    pub(crate) imports: BTreeSet<Import>,
}

/// A path of a module from the crate's root, which is empty.
pub(crate) type Path = Vec<String>;

pub(crate) struct Module {
    pub(crate) file: String,
    code: String,
    uses: Vec<Use>,
}

/// A module of one file names something of a module of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: Path,
    pub(crate) to: Path,
    pub(crate) line: usize,
}

/// One path of a `use` declaration, or one that stands in code.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    path: Path,
    /// What the module calls it; `*` is everything.
    name: Option<String>,
    at: usize,
}

/// Every library of the tree.
pub(crate) fn libraries(sources: &[Source]) -> Vec<Library> {
    let program = without_test_modules(sources);
    let root = |source: &&Source| source.path.strip_suffix("/lib.rs").map(str::to_owned);
    program.iter().filter_map(root).map(|root| Library::new(root, &program)).collect()
}

impl Library {
    fn new(root: String, program: &[&Source]) -> Self {
        let mut modules = BTreeMap::new();
        for source in program {
            let Some(path) = path_of(&root, &source.path) else { continue };
            let code = without_tests(&source.text);
            let uses = uses(&code);
            modules.insert(path, Module { file: source.path.clone(), code, uses });
        }
        let mut library = Self { root, modules, imports: BTreeSet::new() };
        library.imports = library.modules.keys().flat_map(|path| library.imports_of(path)).collect();
        library
    }

    fn imports_of(&self, from: &Path) -> Vec<Import> {
        let module = &self.modules[from];
        let children = self.modules.keys().filter(|path| path.len() == from.len() + 1 && path.starts_with(from));
        let children: Vec<&str> = children.filter_map(|path| path.last()).map(String::as_str).collect();
        let found = module.uses.iter().cloned().chain(inline(&module.code, &children));
        let resolved = found.filter_map(|used| {
            let base = self.base(from, &module.code, &used);
            let to = self.resolve(&base, &used.path, 0)?;
            (to != *from).then(|| Import { from: from.clone(), to, line: line_of(&module.code, used.at) })
        });
        resolved.collect()
    }

    /// Where a path begins: an inline module is one level deeper than its file.
    fn base(&self, from: &Path, code: &str, used: &Use) -> Path {
        let mut base = from.clone();
        for at in words(code, "mod").take_while(|at| *at < used.at) {
            let item = &code[at..end_of_item(code, at)];
            if item.contains('{') && at + item.len() > used.at {
                base.push("an inline module".to_owned());
            }
        }
        base
    }

    /// The module whose file has what a path names; `None` where that is of another crate.
    fn resolve(&self, base: &[String], path: &[String], depth: usize) -> Option<Path> {
        let (mut at, mut rest) = (base.to_vec(), path);
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Path::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first if self.modules.contains_key(&child(&at, first)) => {}
            _ => return None,
        }
        while let Some(name) = rest.first()
            && self.modules.contains_key(&child(&at, name))
        {
            at.push(name.clone());
            rest = &rest[1..];
        }
        while !self.modules.contains_key(&at) {
            at.pop()?;
        }
        let re_exported = rest.first().filter(|_| depth < 8).and_then(|name| self.re_exported(&at, name, depth));
        Some(re_exported.unwrap_or(at))
    }

    /// Where a name comes from that a module has from elsewhere.
    fn re_exported(&self, module: &Path, name: &str, depth: usize) -> Option<Path> {
        let of = &self.modules[module];
        if let Some(used) = of.uses.iter().find(|used| used.name.as_deref() == Some(name)) {
            return self.resolve(module, &used.path, depth + 1);
        }
        of.uses.iter().filter(|used| used.name.as_deref() == Some("*")).find_map(|used| {
            let from = self.resolve(module, &used.path, depth + 1)?;
            let has =
                |kind| words(&self.modules[&from].code, name).any(|at| self.modules[&from].code[..at].ends_with(kind));
            ["fn ", "struct ", "enum ", "trait ", "type ", "const ", "static "].into_iter().any(has).then_some(from)
        })
    }

    /// Files that import each other, directly or by way of others: the circles of more than one file, largest first.
    pub(crate) fn circles(&self) -> Vec<Vec<Path>> {
        let mut to: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
        for import in &self.imports {
            to.entry(&import.from).or_default().insert(&import.to);
        }
        let reached: BTreeMap<&Path, BTreeSet<&Path>> = to.keys().map(|from| (*from, reach(from, &to))).collect();
        let mut circles: Vec<Vec<Path>> = Vec::new();
        for (from, all) in &reached {
            let back = |other: &&&Path| reached.get(**other).is_some_and(|reached| reached.contains(*from));
            let circle: Vec<Path> = all.iter().filter(back).map(|path| (*path).clone()).collect();
            if circle.len() > 1 && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }
}

fn reach<'a>(from: &'a Path, to: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        let next = to.get(at).into_iter().flatten().copied().filter(|next| reached.insert(*next));
        open.extend(next.collect::<Vec<_>>());
    }
    reached
}

fn child(module: &[String], name: &str) -> Path {
    [module, &[name.to_owned()]].concat()
}

/// `root/a/b.rs` is `a::b`; `lib.rs` is the root. A program beside the library is another crate.
fn path_of(root: &str, file: &str) -> Option<Path> {
    let inside = file.strip_prefix(root)?.strip_prefix('/')?.strip_suffix(".rs")?;
    match inside {
        "lib" => Some(Path::new()),
        "main" => None,
        _ if inside.starts_with("bin/") => None,
        _ => Some(inside.split('/').map(str::to_owned).collect()),
    }
}

/// All paths of `use` declarations.
fn uses(code: &str) -> Vec<Use> {
    let mut found = Vec::new();
    for (from, to) in declarations(code) {
        tree(code, from + "use".len(), to - 1, &[], &mut found);
    }
    found
}

/// Where `use` declarations begin and end; `use<'a>` of a bound is none.
fn declarations(code: &str) -> impl Iterator<Item = (usize, usize)> {
    let begins = |at: &usize| {
        let before = code[..*at].trim_end();
        let begins = before.is_empty() || before.ends_with([';', '}', '{', ']', ')', '#']) || before.ends_with("pub");
        begins && code[at + "use".len()..].starts_with(' ')
    };
    words(code, "use").filter(begins).map(|at| (at, end_of_item(code, at)))
}

/// The paths of `a::{b, c::d as e}`, which stands from `from` to `to`.
fn tree(code: &str, from: usize, to: usize, before: &[String], found: &mut Vec<Use>) {
    let text = code[from..to].trim_end();
    let at = from + text.len() - text.trim_start().len();
    let text = text.trim_start();
    if let Some(open) = text.find('{') {
        let path = [before, &segments(&text[..open])].concat();
        let inner = (at + open + 1, at + text.rfind('}').unwrap_or(text.len()));
        let (mut start, mut depth) = (inner.0, 0_usize);
        for (offset, c) in code[inner.0..inner.1].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    tree(code, start, inner.0 + offset, &path, found);
                    start = inner.0 + offset + 1;
                }
                _ => {}
            }
        }
        return tree(code, start, inner.1, &path, found);
    }
    if text.is_empty() {
        return;
    }
    let (path, alias) = text.split_once(" as ").map_or((text, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path = [before, &segments(path)].concat();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let mut name = alias.map(str::to_owned).or_else(|| path.last().cloned());
    if path.last().is_some_and(|last| last == "*") {
        path.pop();
        name = Some("*".to_owned());
    }
    found.push(Use { path, name, at });
}

fn segments(path: &str) -> Path {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Paths in code that begin with a keyword or a child module.
fn inline(code: &str, children: &[&str]) -> Vec<Use> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let declared: Vec<_> = declarations(code).collect();
    let mut found = Vec::new();
    for first in ["crate", "super", "self"].iter().chain(children) {
        for at in words(code, first) {
            let text = &code[at..];
            let path = &text[..text.find(|c| !part(c)).unwrap_or(text.len())];
            let declared = declared.iter().any(|(from, to)| (*from..*to).contains(&at));
            let begins = !declared && !code[..at].ends_with("::") && !code[..at].ends_with('.');
            if begins && path[first.len()..].starts_with("::") {
                found.push(Use { path: segments(path), name: None, at });
            }
        }
    }
    found
}

#[cfg(test)]
pub(crate) fn library(files: &[(&str, &str)]) -> Library {
    let sources: Vec<_> = files.iter().map(|(file, text)| Source::new(&format!("a/src/{file}"), *text)).collect();
    libraries(&sources).remove(0)
}

#[test]
fn imports_are_followed_to_the_file_that_has_the_item() {
    let a = library(&[
        ("lib.rs", "mod a;\nmod b;\npub use a::x::X;\nfn f() {\n    b::run();\n}\n"),
        ("a.rs", "mod x;\nmod y;\npub use self::x::{X, f as g};\n"),
        ("a/x.rs", "pub struct X;\npub fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n"),
        (
            "a/y.rs",
            "use super::{\n    X,\n    x,\n};\n// crate::b\nfn f() -> impl use<'a> {\n    super::super::b::run()\n}\n",
        ),
        ("b.rs", "use std::io;\nuse crate::{X, a::{self, g}};\nmod inner {\n    use super::super::a::y;\n}\n"),
    ]);
    let imports: Vec<_> =
        a.imports.iter().map(|i| format!("{}:{}->{}", i.from.join("::"), i.line, i.to.join("::"))).collect();
    assert_eq!(
        imports,
        [
            ":3->a::x",
            ":5->b",
            "a:3->a::x",
            "a::y:2->a::x",
            "a::y:3->a::x",
            "a::y:7->b",
            "b:2->a",
            "b:2->a::x",
            "b:4->a::y"
        ],
    );
}

#[test]
fn circles_are_files_that_reach_each_other() {
    let a = library(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("a.rs", "use crate::b::B;\n"),
        ("b.rs", "use crate::c::C;\n"),
        ("c.rs", "use crate::{a::A, d::D};\n"),
        ("d.rs", "pub struct D;\n"),
    ]);
    assert_eq!(a.circles(), [[["a"], ["b"], ["c"]]]);
    let code = code_only("use a::b; // use c::d;");
    assert_eq!(uses(&code).len(), 1);
}
