//! What the documents and example scripts say must be what the program takes: every command in them is one that it has,
//! with flags that it has. The book of documents (`mdbook build docs`) has every page once.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::Bench;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("md" | "sh" | "yml" | "yaml")) {
            found.push(path);
        }
    }
}

/// The commands of a text: what follows the program's name, up to the end of the line or of the command.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in text.lines() {
        let starts = ["ditbench ", "cargo run --release -- "];
        for start in starts {
            for (at, _) in line.match_indices(start) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '-') {
                    continue;
                }
                let rest = &line[at + start.len()..];
                let end = rest.find(['`', '|', ';', '#', '&', ')']).unwrap_or(rest.len());
                commands.push(rest[..end].split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    commands
}

#[test]
fn every_command_in_the_documents_is_one_that_the_program_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![root.join("README.md")];
    files(&root.join("docs"), &mut texts);
    files(&root.join("scripts"), &mut texts);
    let bench = Bench::new();
    let help = bench.ok(&["help"]);
    let names: BTreeSet<String> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert!(names.contains("run") && names.len() > 8, "{names:?}");
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in texts {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for words in commands(&text) {
            let Some(name) = words.first().filter(|name| names.contains(*name)) else { continue };
            let mut path = vec![name.as_str()];
            // `history import` has flags of its own.
            if name == "history" {
                path.extend(words.get(1).filter(|word| !word.starts_with('-')).map(String::as_str));
            }
            let key = path.join(" ");
            let help = helps.entry(key.clone()).or_insert_with(|| bench.ok(&[path.as_slice(), &["--help"]].concat()));
            for flag in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = flag.split('=').next().unwrap_or(flag).trim_end_matches([',', '.', ':', '"', '\'', ']']);
                let known = help.split([' ', '\n', ',', '=', '[']).any(|word| word == flag);
                seen += 1;
                if !known {
                    wrong.push(format!("{}: `ditbench {key}` has no {flag}", file.display()));
                }
            }
        }
    }
    assert!(seen > 30, "only {seen} flags were found: the search itself is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files that a summary of mdBook lists, in order.
fn chapters(summary: &str) -> Vec<&str> {
    let links = summary.lines().filter_map(|line| line.trim_start().strip_prefix("- ["));
    links.filter_map(|line| line.split_once("](")?.1.strip_suffix(')')).collect()
}

#[test]
fn the_book_has_every_page_once() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let book: toml::Table = read("book.toml").parse().expect("book.toml is TOML");
    assert_eq!(book["book"]["src"].as_str(), Some("."), "pages lie beside book.toml");
    let summary = read("SUMMARY.md");
    let listed = chapters(&summary);
    let names = std::fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
    pages.sort_unstable();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert!(pages.len() > 10, "{pages:?}");
    assert_eq!(sorted, pages, "docs/SUMMARY.md lists every page of docs/ once, and no other");
}

#[test]
fn a_summary_is_read_as_mdbook_reads_it() {
    let summary = "# Summary\n\n# Part\n\n- [One](ONE.md)\n  - [Two, below it](TWO.md)\n- [A draft]()\nwords (NO.md)\n";
    assert_eq!(chapters(summary), ["ONE.md", "TWO.md", ""]);
}
