//! Every output against a committed copy: a change of wording or of numbers is seen in review.
//! `UPDATE_SNAPSHOTS=1 cargo test` rewrites the copies.

use std::path::Path;

use ditbench_reports::{csv, markdown, sample, table};

fn snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (found, want)) in found.lines().zip(want.lines()).enumerate() {
        assert_eq!(found, want, "{name}, line {}", line + 1);
    }
    assert_eq!(found.lines().count(), want.lines().count(), "lines of {name}");
}

#[test]
fn markdown() {
    let run = sample::run();
    snapshot("table.md", &markdown::of_table(&table::of_runs(&[&run])));
}

#[test]
fn table_csv() {
    let run = sample::run();
    let mut out = Vec::new();
    csv::write_table(&table::of_runs(&[&run]), &mut out).unwrap();
    snapshot("table.csv", &String::from_utf8(out).unwrap());
}

#[test]
fn samples_csv() {
    let mut run = sample::run();
    // One cell of few samples, and those that failed, will do.
    run.cells.retain(|cell| cell.launches.len() < 2);
    let mut out = Vec::new();
    csv::write_samples(&run, &mut out).unwrap();
    snapshot("samples.csv", &String::from_utf8(out).unwrap());
}
