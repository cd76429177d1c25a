//! Every face of one verdict against a committed copy, and what no text from a record may do in any of them.
//! `UPDATE_SNAPSHOTS=1 cargo test` rewrites the copies.

use std::path::Path;

use ditbench_record::{CellKey, PlacementShare, Reading, Run, Status};
use ditbench_reports::verdict::faces::markdown::Room;
use ditbench_reports::verdict::{Difference, Options, Outcome, Side, Verdict, compare, faces};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, run};

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

/// What a backend might say to break a page, a table, a log or an annotation.
const NASTY: &str = "<script>alert(1)</script> | `x` %0A::error::\n\u{1b}[31m @team & \"q\"";

/// One cell of each kind.
fn verdict() -> Verdict {
    let times = |seed, by: f64, noise| factors(10, noise, seed).iter().map(|factor| factor * by).collect::<Vec<_>>();
    let side = |id: &str, head: bool| -> Run {
        let by = |change: f64| if head { change } else { 1.0 };
        let seed = if head { 50 } else { 1 };
        let mut cells = vec![
            cell(key("ort", "f32"), &times(seed, 1.0, 0.005)),
            cell(key("candle", "f32"), &times(seed + 1, by(1.12), 0.005)),
            cell(key("tract", "f32"), &times(seed + 2, by(1.02), 0.06)),
            cell(key("ort", "q4"), &times(seed + 3, by(0.8), 0.005)),
            cell(key("candle", "q4"), &times(seed + 4, by(0.5), 0.005)),
            cell(key("tract", "q4"), &times(seed + 5, 1.0, 0.005)),
        ];
        if head {
            let placement = &mut cells[4].placement[0];
            placement.entries[0].nodes = 90;
            placement.entries.push(PlacementShare { device: "elsewhere".into(), nodes: 10, time_share: None });
            cells[5].status = Status::Error;
            cells[5].reason = Some(NASTY.into());
            cells.push(cell(key("reference", "f32"), &times(9, 1.0, 0.005)));
        }
        let mut run = run(id, cells);
        run.machine.cpu_model = Reading::Ok(if head { NASTY.into() } else { "A made-up processor".to_owned() });
        run
    };
    let (base, head) = (side("20261123T200000Z-base", false), side("20261123T210000Z-head", true));
    let options = Options { allow: [Difference::Machine].into(), ..Options::default() };
    compare(&Side::of_runs("main", [&base]), &Side::of_runs("faster <kernel>", [&head]), &options).unwrap()
}

#[test]
fn text() {
    let verdict = verdict();
    assert_eq!(verdict.outcome, Outcome::Regressed);
    let found = faces::text::of_verdict(&verdict, false);
    snapshot("verdict.txt", &found);
    let all = faces::text::of_verdict(&verdict, true);
    assert!(all.contains("decoder") && all.lines().count() > found.lines().count() && !all.contains("not shown"));
    assert!(!found.contains('\u{1b}'));
}

#[test]
fn markdown() {
    let found = faces::markdown::of_verdict(&verdict(), Room::Comment, "");
    assert!(!found.contains("Shortened"), "it fits");
    snapshot("verdict.md", &found);
    for never in ["<script", "\u{1b}", "@team", "\n::"] {
        assert!(!found.contains(never), "{never}");
    }
    // A table row has as many cells as its head, whatever is in it.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows: Vec<&str> = found.lines().filter(|line| line.starts_with('|')).collect();
    for pair in rows.windows(2).filter(|pair| !pair[1].starts_with("| number") && !pair[1].starts_with("| cell")) {
        assert_eq!(cells(pair[0]), cells(pair[1]), "{}", pair[1]);
    }
}

/// A verdict over very many cells, of which the last alone is worse.
fn many(cells: u32) -> Verdict {
    let side = |id: &str, by: f64| {
        let cells = (1..=cells).map(|threads| {
            let by = if threads == cells { by } else { 1.0 };
            let times: Vec<f64> = factors(10, 0.002, u64::from(threads)).iter().map(|factor| factor * by).collect();
            cell(CellKey { threads, ..key("ort", "f32") }, &times)
        });
        run(id, cells.collect())
    };
    let (base, head) = (side("a", 1.0), side("b", 1.5));
    compare(&Side::of_runs("a", [&base]), &Side::of_runs("b", [&head]), &Options::default()).unwrap()
}

#[test]
fn markdown_of_many_cells_fits_into_a_comment_and_says_what_it_leaves_out() {
    let verdict = many(120);
    let found = faces::markdown::of_verdict(&verdict, Room::Comment, "everything is in ab/verdict.html");
    assert!(found.len() <= 65_536 && found.len() > 50_000, "{} bytes", found.len());
    assert!(found.starts_with("### ❌ ditbench: REGRESSED"), "{}", &found[..100]);
    let rows: Vec<&str> = found.lines().filter(|line| line.starts_with("| nano")).collect();
    assert!(rows[0].contains("**regressed**") && rows[0].contains("120 threads"), "{}", rows[0]);
    // Single steps are not told where the steps together say the same.
    let worse = verdict.regressions().filter(|(_, metric)| metric.metric.of_step().is_none()).count();
    assert_eq!(rows.iter().filter(|row| row.contains("**regressed**")).count(), worse);
    let note = found.lines().find(|line| line.contains("Shortened")).unwrap();
    assert!(note.contains("of 120 cells' details") && note.contains("ab/verdict.html"), "{note}");
    for (open, close) in [("<details>", "</details>"), ("<summary>", "</summary>"), ("<sub>", "</sub>")] {
        assert_eq!(found.matches(open).count(), found.matches(close).count(), "{open}");
    }
    assert!(
        found.contains("<details><summary>nano 64×64 · ort stock · f32 · cpu · 120 threads: regressed"),
        "the worse cell's details stay"
    );
    // A step's summary has room for more.
    let summary = faces::github::summary(&verdict, "");
    assert!(summary.len() > found.len() && !summary.contains("Shortened"), "{} bytes", summary.len());
    assert_eq!(summary.matches("<details>").count(), 120);
}

#[test]
fn what_a_record_says_stays_in_its_place_however_long_it_is() {
    let long = "x".repeat(200_000);
    let one = |id: &str| run(id, vec![cell(key("ort", "f32"), &factors(10, 0.002, 3))]);
    let (base, head) = (one("a"), one("b"));
    let verdict = compare(&Side::of_runs(long, [&base]), &Side::of_runs("b", [&head]), &Options::default()).unwrap();
    let found = faces::markdown::of_verdict(&verdict, Room::Comment, "");
    assert!(found.len() < 65_536 && found.contains("OK: nothing is worse") && found.contains("x…"), "{}", found.len());
}

#[test]
fn no_face_passes_on_what_a_terminal_would_obey_or_xml_does_not_allow() {
    let active = "\u{1b}]0;owned\u{7}\r\u{9b}2J \u{202e}\u{fffe}\u{ffff}\u{0}|";
    let side = |id: &str, status| {
        let mut cells =
            vec![cell(key("ort", "f32"), &factors(10, 0.002, 3)), cell(key("ort", "q4"), &factors(10, 0.002, 3))];
        (cells[1].status, cells[1].reason) = (status, Some(active.to_owned()));
        run(id, cells)
    };
    let (base, head) = (side("a", Status::Ok), side("b", Status::Error));
    let verdict = compare(&Side::of_runs(active, [&base]), &Side::of_runs("b", [&head]), &Options::default()).unwrap();
    let faces = [
        faces::text::of_verdict(&verdict, true),
        faces::markdown::of_verdict(&verdict, Room::Comment, active),
        faces::github::annotations(&verdict),
        faces::junit::of_verdict(&verdict).unwrap(),
        faces::html::of_verdict(&verdict),
    ];
    for (index, face) in faces.iter().enumerate() {
        let bad = face.chars().find(|c| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202e}' | '\u{fffe}' | '\u{ffff}')
        });
        assert_eq!(bad, None, "face {index}");
        assert!(face.contains("owned"), "face {index}");
    }
    quick_junit::Report::deserialize_from_str(&faces[3]).unwrap();
}

#[test]
fn github() {
    let found = faces::github::annotations(&verdict());
    snapshot("verdict-annotations.txt", &found);
    assert!(!found.contains('\u{1b}'));
    // Every line is one annotation of ours: nothing from a record begins a line.
    for line in found.lines() {
        assert!(
            ["::error title=", "::warning title=", "::notice title="].iter().any(|start| line.starts_with(start)),
            "{line}"
        );
        assert_eq!(line.matches("::").count() - line.matches("%250A::error::").count() * 2, 2, "{line}");
    }
    assert!(found.starts_with("::error") && found.contains("::notice title=improved%3A"));
    assert_eq!(faces::github::summary(&verdict(), ""), faces::markdown::of_verdict(&verdict(), Room::Comment, ""));
}

#[test]
fn junit() {
    let verdict = verdict();
    let found = faces::junit::of_verdict(&verdict).unwrap();
    snapshot("verdict-junit.xml", &found);
    let report = quick_junit::Report::deserialize_from_str(&found).unwrap();
    assert_eq!(report.test_suites.len(), verdict.cells.len());
    let failures: usize = report.test_suites.iter().map(|suite| suite.failures).sum();
    let cells_with_findings = verdict.cells.iter().filter(|cell| !cell.findings.is_empty()).count();
    assert_eq!(failures, verdict.regressions().count() + cells_with_findings);
    assert!(found.contains("type=\"inconclusive\""));
}

#[test]
fn html() {
    let verdict = verdict();
    let found = faces::html::of_verdict(&verdict);
    for never in ["<script", "http-equiv=\"refresh", "src=\"http", "href=\"http", "\u{1b}", "NaN", "faster <kernel>"] {
        assert!(!found.contains(never), "{never}");
    }
    assert!(found.contains("faster &lt;kernel&gt;") && found.contains("max_change = 0.02"));
    for cell in &verdict.cells {
        assert!(found.contains(&format!("<h3 id=\"{}\">", cell.id)));
    }
    let intervals = verdict.cells.iter().flat_map(|cell| &cell.metrics).filter(|metric| metric.low.is_some()).count();
    assert!(intervals > 10);
    assert_eq!(found.matches("<svg class=\"interval\"").count(), intervals);
    for (open, close) in [("<table", "</table>"), ("<tr", "</tr>"), ("<td", "</td>"), ("<details", "</details>")] {
        assert_eq!(found.matches(open).count(), found.matches(close).count(), "{open}");
    }
    if let Some(out) = std::env::var_os("DITBENCH_TEST_VERDICT_PAGE") {
        std::fs::write(out, &found).unwrap();
    }
}

#[test]
fn nothing_wrong_is_said_in_a_sentence() {
    let one = |id: &str| run(id, vec![cell(key("ort", "f32"), &factors(10, 0.002, 3))]);
    let (base, head) = (one("a"), one("b"));
    let verdict = compare(&Side::of_runs("a", [&base]), &Side::of_runs("b", [&head]), &Options::default()).unwrap();
    assert_eq!(faces::headline(&verdict), "OK: nothing is worse than allowed; 1 cell compared.");
    assert!(faces::html::of_verdict(&verdict).contains("Nothing is worse than allowed, and nothing improved"));
    assert_eq!(faces::github::annotations(&verdict).lines().count(), 1);
}
