//! The examples in every command's `--help` are commands that the program takes; those that are quick also run, and so do all of
//! the tutorial's, in its order. Completions and man pages know every command.

mod common;

use clap::{Command, CommandFactory, Parser};
use common::Bench;
use ditbench::cli::Cli;

/// The examples in a help text: each line's words, without its remark (after two blanks) and without a redirection.
fn examples(help: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let line = line.strip_prefix("  ")?;
        let line = line.split("  ").next()?.split(" > ").next()?;
        line.starts_with("ditbench ").then(|| words(line))
    };
    help.lines().filter_map(line).collect()
}

/// Words as a shell parts them, as far as our examples need it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    assert!(!quoted, "{line}: a quotation mark is not closed");
    words
}

/// Every command that `--help` lists: its words, and what follows its options in its own help.
fn visible(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, String)>) {
    for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help") {
        let path = [path, &[child.get_name().to_owned()]].concat();
        let help = child.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.push((path.clone(), help));
        visible(child, &path, found);
    }
}

fn commands() -> Vec<(Vec<String>, String)> {
    let mut commands = Vec::new();
    visible(&Cli::command(), &["ditbench".to_owned()], &mut commands);
    assert!(commands.len() > 15, "only {} commands were found: the search itself is broken", commands.len());
    commands
}

#[test]
fn every_command_has_examples_that_the_parser_takes() {
    let commands = commands();
    let mut wrong = Vec::new();
    for (path, help) in &commands {
        let found = examples(help);
        if found.is_empty() {
            wrong.push(format!("{}: no example in its --help: add some to src/cli/examples.rs", path.join(" ")));
        }
        // Where help is not read in a terminal it is 100 columns wide; a broken line cannot be copied.
        for line in help.lines().filter(|line| line.chars().count() > 100) {
            wrong.push(format!("{}: longer than 100 columns: {line}", path.join(" ")));
        }
        for example in found.iter().filter(|example| !example.starts_with(path)) {
            wrong.push(format!("{}: an example of another command: {}", path.join(" "), example.join(" ")));
        }
    }
    let top = Cli::command().get_after_help().map(ToString::to_string).unwrap_or_default();
    assert!(examples(&top).len() > 10, "{top}");
    for example in commands.iter().map(|(_, help)| help).chain([&top]).flat_map(|help| examples(help)) {
        if let Err(error) = Cli::try_parse_from(&example) {
            wrong.push(format!("{}: {error}", example.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_example_ends_before_its_remark_and_its_redirection() {
    let help = "Examples:\n  ditbench generate \"red apple\" -o a.png    a remark\n  ditbench man > ditbench.1\nother ditbench words";
    assert_eq!(
        examples(help),
        [&["ditbench", "generate", "red apple", "-o", "a.png"][..], &["ditbench", "man"]],
        "words, not remarks"
    );
}

/// Beginnings of examples that need nothing but the program, and take a second or two.
const QUICK: [&[&str]; 8] = [
    &["inspect"],
    &["completions"],
    &["man"],
    &["run", "--print-plan"],
    &["compare", "--print-gate"],
    &["export", "--model", "nano"],
    &["generate", "red apple", "--backend", "candle"],
    &["generate", "turtle", "--backend", "candle:stock"],
];

#[test]
fn examples_that_are_quick_run() {
    let bench = Bench::new();
    let mut ran = [0; QUICK.len()];
    for (path, _) in commands() {
        let path: Vec<&str> = path[1..].iter().map(String::as_str).collect();
        let help = bench.ok(&[path.as_slice(), &["--help"]].concat());
        for example in examples(&help) {
            let words: Vec<&str> = example[1..].iter().map(String::as_str).collect();
            let Some(quick) = QUICK.iter().position(|quick| words.starts_with(quick)) else { continue };
            bench.ok(&words);
            ran[quick] += 1;
        }
    }
    assert!(ran.iter().all(|&count| count > 0), "an entry of QUICK stands for no example: {ran:?}");
}

/// The tutorial's commands of ditbench, in order, each with the lines that it shows as their output.
fn lessons(page: &str) -> Vec<(Vec<String>, Vec<&str>)> {
    let mut lessons: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for block in page.split("\n```console\n").skip(1) {
        let block = block.split("\n```").next().unwrap_or(block);
        for line in block.lines() {
            match (line.strip_prefix("$ ditbench "), lessons.last_mut()) {
                (Some(command), _) => lessons.push((words(command.split("  ").next().unwrap_or(command)), Vec::new())),
                // Another program's command; what follows is not ours.
                (None, _) if line.starts_with("$ ") => {}
                (None, Some((_, shown))) => shown.push(line),
                (None, None) => {}
            }
        }
    }
    lessons
}

/// The words of a table's heading: what two blanks or more part.
fn headings(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").map(str::trim).filter(|word| !word.is_empty())
}

#[test]
fn the_tutorials_commands_run_in_its_order_and_make_its_tables() {
    let lessons = lessons(include_str!("../docs/TUTORIAL.md"));
    assert!(lessons.len() > 6, "only {} commands were found: the search itself is broken", lessons.len());
    let bench = Bench::new();
    let mut tables = 0;
    for (words, shown) in lessons {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = bench.run(&words);
        let (said, error) = (common::text(&output.stdout), common::text(&output.stderr));
        let code = output.status.code();
        // A machine that runs other tests decides how sure a verdict is.
        let fine: &[Option<i32>] = match words[0] {
            "compare" | "advise" => &[Some(0), Some(1), Some(3)],
            _ => &[Some(0)],
        };
        assert!(fine.contains(&code), "{words:?} ended with {code:?}: {said}\n{error}");
        // A heading of a table is the line that only names columns.
        for heading in shown.iter().filter(|line| line.starts_with("      ") && line.contains("threads  ")) {
            let missing: Vec<&str> = headings(heading).filter(|column| !said.contains(column)).collect();
            assert!(
                missing.is_empty(),
                "the tutorial shows columns {missing:?}, which {words:?} does not print: {said}"
            );
            tables += 1;
        }
    }
    assert!(tables > 0, "the tutorial shows no table");
}

#[test]
fn completions_know_every_command() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bench.ok(&["completions", shell]);
        for (path, _) in commands() {
            let name = path.last().expect("a name");
            assert!(script.contains(name.as_str()), "{shell} does not know {name}");
        }
        assert!(script.contains("--backend") || script.contains("-l backend"), "{shell} knows no flags");
    }
    assert!(bench.refused(&["completions", "ksh"]).contains("bash"), "the error names the shells there are");
}

#[test]
fn man_pages_are_written_for_every_command() {
    let bench = Bench::new();
    let page = bench.ok(&["man"]);
    assert!(page.contains(".TH ditbench 1") && page.contains("Exit codes"), "{page}");
    let said = bench.ok(&["man", "pages"]);
    assert_eq!(said.trim(), "pages/ditbench.1");
    for (path, _) in commands() {
        let file = bench.path("pages").join(format!("{}.1", path.join("-")));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(page.contains("Examples"), "{}: the examples are not in the page", file.display());
    }
    assert!(!bench.path("pages/ditbench-worker.1").exists(), "what is hidden has no page");
    std::fs::write(bench.path("file"), "").unwrap();
    assert!(bench.refused(&["man", "file"]).contains("cannot make file"));
}
