//! Whose results they are, and whose they are not to tell: rows of several runs name their run, records name no user.

mod common;

use common::Bench;

const ONE: [&str; 11] =
    ["run", "--model", "nano", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1"];

#[test]
fn the_terminals_table_of_several_runs_says_whose_a_row_is() {
    let bench = Bench::new();
    for out in ["a", "b"] {
        let said = bench.ok(&[&ONE[..], &["--brief", "--out", out]].concat());
        assert!(!said.contains("machine  "), "one run needs no names: {said}");
    }
    let said = bench.ok(&["report", "a", "b", "--out", "both"]);
    let ids = ["a", "b"].map(|run| bench.record(run)["run"]["id"].as_str().unwrap().to_owned());
    let rows: Vec<&str> = said.lines().filter(|line| line.contains("reference plain f32")).collect();
    assert!(said.contains("machine") && rows.len() == 2, "{said}");
    for id in &ids {
        assert_eq!(rows.iter().filter(|row| row.contains(id.as_str())).count(), 1, "{id}: {said}");
        for face in ["table.md", "table.csv", "table.json"] {
            let text = std::fs::read_to_string(bench.path("both").join(face)).unwrap();
            assert!(text.contains(&format!(", {id}")), "{face}: the machine's name with {id}");
        }
    }
}

#[test]
fn a_record_names_no_home_folder() {
    let bench = Bench::new();
    let home = bench.path("home/anna");
    std::fs::create_dir_all(&home).unwrap();
    let out = home.join("run");
    let mut command = bench.command(&[&ONE[..], &["--out", out.to_str().unwrap(), "--prompt", "a turtle"]].concat());
    let output = command.env("HOME", &home).output().unwrap();
    assert!(output.status.success(), "{}", common::text(&output.stderr));
    let text = std::fs::read_to_string(out.join("record.json")).unwrap();
    assert!(!text.contains("anna"), "{}", text.lines().find(|line| line.contains("anna")).unwrap_or_default());
    let record = bench.record("home/anna/run");
    let words: Vec<&str> =
        record["run"]["command_line"].as_array().unwrap().iter().filter_map(|word| word.as_str()).collect();
    assert!(words.contains(&"~/run"), "{words:?}");
}
