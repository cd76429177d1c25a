//! Every face of one verdict against a committed copy, and what no text from a record may do in any of them.
//! `UPDATE_SNAPSHOTS=1 cargo test` rewrites the copies.

use std::path::Path;

use ditbench_record::{PlacementShare, Reading, Run, Status};
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
    let found = faces::markdown::of_verdict(&verdict());
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
    assert_eq!(faces::github::summary(&verdict()), faces::markdown::of_verdict(&verdict()));
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
