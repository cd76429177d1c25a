//! The names of backends stand in the registry alone: everything else asks a backend for the property that it needs.
//!
//! Looked at are the sources that are built into the programs, without their tests. A literal counts that is a backend's name,
//! or begins with one and a colon (`candle:stock`); so does the path of a backend's crate.

use std::path::{Path, PathBuf};

/// The one place, from which the names are read.
const REGISTRY: &str = "worker/src/registry.rs";

/// Where a name may stand for now, and why. The list only ever gets shorter.
const KNOWN: [(&str, &str, &str); 8] = [
    ("reports/src/csv.rs", "reference", "the name of a column"),
    ("reports/src/judged.rs", "reference", "a word in a table"),
    ("reports/src/table.rs", "reference", "a word in a table"),
    ("reports/src/plots/canvas.rs", "ort candle tract reference", "a colour of its own, the same in every report"),
    ("reports/src/sample.rs", "ort candle tract reference", "a made-up record to try reports with"),
    ("reports/src/sample_judged.rs", "ort candle", "a made-up record to try reports with"),
    ("src/cli/run.rs", "reference", "a value of --quality"),
    ("src/run/sensitivity.rs", "ditbench_reference", "the 64-bit interpreter as an instrument"),
];

#[test]
fn no_backend_is_known_by_name_outside_the_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = names(&std::fs::read_to_string(root.join(REGISTRY)).unwrap());
    assert!(names.len() >= 5 && names.contains(&"candle".to_owned()), "{names:?}");
    let mut found: Vec<(String, String)> = Vec::new();
    for file in sources(root) {
        let at = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        // A backend's own crate may say its own name.
        let own = names.iter().find(|name| at.starts_with(&format!("backends/{name}/")));
        let named = named(&std::fs::read_to_string(&file).unwrap(), &names);
        let others = named.into_iter().filter(|name| own.is_none_or(|own| !name.ends_with(own.as_str())));
        found.extend(others.map(|name| (at.clone(), name)));
    }
    found.sort();
    found.dedup();
    let known: Vec<(String, String)> = KNOWN
        .iter()
        .flat_map(|(file, names, _)| names.split(' ').map(|name| ((*file).to_owned(), name.to_owned())))
        .collect();
    let new: Vec<_> = found.iter().filter(|place| place.0 != REGISTRY && !known.contains(place)).collect();
    assert!(new.is_empty(), "ask the backend for what you need of it, instead of its name:\n{new:#?}");
    let gone: Vec<_> = known.iter().filter(|place| !found.contains(place)).collect();
    assert!(gone.is_empty(), "no name stands there any more: take these off the list:\n{gone:#?}");
}

#[test]
fn a_name_is_found_however_it_is_written() {
    let names = ["ort".to_owned(), "candle".to_owned()];
    let found = |text: &str| named(text, &names);
    assert_eq!(found(r#"if cell.backend == "ort" {}"#), ["ort"]);
    assert_eq!(found(r#"let plan = ["candle:stock", "sort"];"#), ["candle"]);
    assert_eq!(found("use ditbench_ort::library;"), ["ditbench_ort"]);
    assert_eq!(found(r#"#[cfg(feature = "ort")]"#), ["ort"]);
    assert!(found("// \"ort\" in a comment\nlet report = \"the report\";").is_empty());
    assert!(found("fn a() {}\n#[cfg(test)]\nmod tests {\n const A: &str = \"ort\";\n}").is_empty());
}

/// The names of the registry's list.
fn names(registry: &str) -> Vec<String> {
    let list = registry.split("pub const NAMES").nth(1).and_then(|rest| rest.split(']').nth(1)).unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What of those names, and of their crates, stands in a source.
fn named(text: &str, names: &[String]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = lines.join("\n");
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_there = |name: &&String| {
        [format!("\"{name}\""), format!("\"{name}:")].iter().any(|literal| code.contains(literal.as_str()))
    };
    let crates = names.iter().map(|name| format!("ditbench_{name}"));
    let used = crates.filter(|name| code.contains(&format!("{name}::")));
    names.iter().filter(is_there).cloned().chain(used).collect()
}

/// The sources of all crates that are built into the programs.
fn sources(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["src", "fetch", "judge", "protocol", "worker", "workloads", "reports", "backends"]
        .map(|at| root.join(at))
        .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // Conformance is the suite of tests of all.
                if !["tests", "examples", "benches", "target", "conformance"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 300, "the sources are found");
    found
}
