//! The house stays without circles: no two files of a crate need one another, not even by way of others.
//!
//! Between crates cargo sees to it. Within one, this reads the `use` lines and the paths written out in code. A module and
//! the files inside it are one room: a parent that names its children and a child that takes a type of its parent are no
//! circle. Names that a parent hands on (`pub use child::Name`) count as the child's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[test]
fn no_files_need_one_another_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates = vec![root.join("src")];
    for folder in ["workloads", "reports", "backends"] {
        crates.push(root.join(folder).join("src"));
        let inside = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path().join("src"));
        crates.extend(inside);
    }
    crates.extend(["fetch", "judge", "protocol", "worker"].map(|name| root.join(name).join("src")));
    crates.retain(|source| source.join("lib.rs").is_file());
    assert!(crates.len() >= 14, "the crates of the workspace are found: {crates:?}");
    let found: Vec<String> = crates.iter().flat_map(|source| circles(&Crate::read(source), root, source)).collect();
    assert!(found.is_empty(), "files that need one another:\n{found:#?}");
}

#[test]
fn a_circle_is_found_and_a_parent_with_its_child_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("src");
    let write = |name: &str, text: &str| {
        let path = source.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::Thing;\nuse crate::b::two;");
    write("a.rs", "use crate::b::two;\npub struct Thing;");
    write("b/mod.rs", "mod deep;\npub use deep::two;\npub struct Own;");
    write("b/deep.rs", "use super::Own;\npub fn two() {}");
    write("c.rs", "#[cfg(test)]\nmod tests { use crate::a::Thing; }");
    assert_eq!(circles(&Crate::read(&source), folder.path(), &source), Vec::<String>::new());
    // By a name that the crate's root hands on, and by a path in code.
    write("b/deep.rs", "use super::Own;\npub fn two() { let _ = crate::Thing; }");
    let found = circles(&Crate::read(&source), folder.path(), &source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a.rs") && found[0].contains("b/deep.rs"), "{found:?}");
}

/// A crate's modules by path, each with its file and its code without comments, strings and tests.
struct Crate {
    modules: BTreeMap<Vec<String>, (PathBuf, String)>,
    /// What a module hands on: (module, name) → the module that has it.
    handed_on: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl Crate {
    fn read(source: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut folders = vec![(source.to_owned(), Vec::<String>::new())];
        while let Some((folder, path)) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let file = entry.unwrap().path();
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                if file.is_dir() {
                    folders.push((file, [path.clone(), vec![name]].concat()));
                } else if file.extension().is_some_and(|kind| kind == "rs") && name != "main" && name != "tests" {
                    let module = match name.as_str() {
                        "mod" | "lib" => path.clone(),
                        _ => [path.clone(), vec![name]].concat(),
                    };
                    let code = code(&std::fs::read_to_string(&file).unwrap());
                    modules.insert(module, (file, code));
                }
            }
        }
        let mut all = Self { modules, handed_on: BTreeMap::new() };
        for (module, (_, code)) in &all.modules.clone() {
            for statement in
                code.split(';').filter_map(|s| s.trim().strip_prefix("pub use ").or_else(|| inner(s, "pub use ")))
            {
                for path in leaves(statement) {
                    let Some((name, _)) = path.split_last() else { continue };
                    let target = all.resolve(module, &path);
                    if target != *module {
                        all.handed_on.insert((module.clone(), name.clone()), target);
                    }
                }
            }
        }
        all
    }

    /// The module that a path, as written in `from`, leads to.
    fn resolve(&self, from: &[String], path: &[String]) -> Vec<String> {
        let mut at: Vec<String> = from.to_vec();
        let mut parts = path.iter().peekable();
        let mut rooted = false;
        while let Some(part) = parts.peek() {
            match part.as_str() {
                "crate" => at.clear(),
                "super" => {
                    at.pop();
                }
                "self" => {}
                _ => break,
            }
            rooted = true;
            parts.next();
        }
        // A path that begins with a name is the module's own child, or another crate's.
        if !rooted
            && parts.peek().is_none_or(|part| !self.modules.contains_key(&[at.clone(), vec![(*part).clone()]].concat()))
        {
            return from.to_vec();
        }
        for part in parts {
            let next = [at.clone(), vec![part.clone()]].concat();
            if self.modules.contains_key(&next) {
                at = next;
            } else if let Some(target) = self.handed_on.get(&(at.clone(), part.clone())) {
                return target.clone();
            } else {
                break;
            }
        }
        at
    }

    /// The modules that a module needs, apart from its own parents and children.
    fn needs(&self, module: &[String]) -> BTreeSet<Vec<String>> {
        let code = &self.modules[module].1;
        let mut paths: Vec<Vec<String>> = Vec::new();
        for statement in code.split(';') {
            if let Some(used) = inner(statement, "use ") {
                paths.extend(leaves(used));
            }
        }
        for start in ["crate::", "super::"] {
            for (at, _) in code.match_indices(start) {
                let end = code[at..]
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .unwrap_or(code.len() - at);
                paths.push(code[at..at + end].trim_end_matches(':').split("::").map(str::to_owned).collect());
            }
        }
        let apart = |other: &Vec<String>| !other.starts_with(module) && !module.starts_with(other);
        paths
            .iter()
            .map(|path| self.resolve(module, path))
            .filter(apart)
            .filter(|m| self.modules.contains_key(m))
            .collect()
    }
}

/// What follows `word` where it begins a line of a statement.
fn inner<'a>(statement: &'a str, word: &str) -> Option<&'a str> {
    let at = statement.rfind(word)?;
    let before = statement[..at].chars().next_back();
    before.is_none_or(char::is_whitespace).then(|| &statement[at + word.len()..])
}

/// The paths of a `use` statement, its braces multiplied out.
fn leaves(statement: &str) -> Vec<Vec<String>> {
    let statement = statement.trim();
    if let Some(open) = statement.find('{') {
        let head: Vec<String> = parts(&statement[..open]);
        let (mut depth, mut from, mut found) = (0, open + 1, Vec::new());
        for (at, c) in statement.char_indices().skip_while(|(at, _)| *at < open) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (c == ',' && depth == 1) || (c == '}' && depth == 0) {
                let tails = leaves(&statement[from..at]);
                found.extend(tails.into_iter().map(|tail| [head.clone(), tail].concat()));
                from = at + 1;
            }
        }
        return found;
    }
    let path = parts(statement.split(" as ").next().unwrap_or_default());
    if path.is_empty() { Vec::new() } else { vec![path] }
}

fn parts(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Code without comments and without what is only built for tests.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let text = lines.join("\n");
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Sets of files that reach one another, a line each.
fn circles(all: &Crate, root: &Path, source: &Path) -> Vec<String> {
    let needs: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        all.modules.keys().map(|module| (module, all.needs(module))).collect();
    let reach = |from: &Vec<String>| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = todo.pop() {
            for next in needs.get(&module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    todo.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = all.modules.keys().map(|m| (m, reach(m))).collect();
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (module, far) in &reached {
        if !far.contains(*module) || told.contains(*module) {
            continue;
        }
        let ring: Vec<&Vec<String>> = far.iter().filter(|other| reached[other].contains(*module)).collect();
        told.extend(ring.iter().map(|m| (*m).clone()));
        let name = |m: &Vec<String>| all.modules[m].0.strip_prefix(source).unwrap().display().to_string();
        let arrows: Vec<String> = ring
            .iter()
            .flat_map(|m| needs[*m].iter().filter(|n| ring.contains(n)).map(|n| format!("{} -> {}", name(m), name(n))))
            .collect();
        let files: Vec<String> = ring.iter().map(|m| name(m)).collect();
        let place = source.strip_prefix(root).unwrap_or(source).display();
        found.push(format!("{place} {}: {}", files.join(" "), arrows.join(", ")));
    }
    found
}
