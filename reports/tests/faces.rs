//! Every output against a committed copy: a change of wording or of numbers is seen in review.
//! `UPDATE_SNAPSHOTS=1 cargo test` rewrites the copies.

use std::path::Path;

use ditbench_record::store::LoadedRun;
use ditbench_record::{Launch, Reading, Run, Status};
use ditbench_reports::metric::Metric;
use ditbench_reports::{csv, headline, html, markdown, report, sample, sample_phone, table, text};

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
    ditbench_record::csv::write_samples(&run, &mut out).unwrap();
    snapshot("samples.csv", &String::from_utf8(out).unwrap());
}

/// What a terminal would obey, in every text of a record that a table shows.
#[test]
fn no_table_passes_on_what_a_terminal_would_obey() {
    let active = "![x](http://evil/leak.png)\r\n\u{1b}]0;owned\u{7}\u{9b}2J|\u{202e}\u{fffe}";
    let mut run = sample::run();
    run.run.id = active.into();
    run.cells[0].key.device = active.into();
    run.cells[0].key.model = active.into();
    for cell in &mut run.cells {
        cell.warnings.push(active.into());
        cell.reason = cell.reason.is_some().then(|| active.into());
        cell.launches.iter_mut().flat_map(|launch| &mut launch.samples).for_each(|s| s.removed = Some(active.into()));
    }
    let absent = table::Absent { machine: active.into(), reason: active.into() };
    let dir = tempfile::tempdir().unwrap();
    let runs = [LoadedRun { dir: dir.path().to_owned(), run: run.clone() }];
    let files = report::report(&runs, &[absent], dir.path()).unwrap();
    let mut samples = Vec::new();
    ditbench_record::csv::write_samples(&run, &mut samples).unwrap();
    let faces = [
        ("Markdown", std::fs::read_to_string(files.markdown).unwrap()),
        ("CSV", std::fs::read_to_string(files.csv).unwrap()),
        ("samples", String::from_utf8(samples).unwrap()),
        ("page", std::fs::read_to_string(files.html).unwrap()),
    ];
    for (name, face) in faces {
        let bad = face.chars().find(|c| {
            (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202e}' | '\u{fffe}' | '\u{ffff}')
        });
        assert_eq!(bad, None, "{name}");
        assert!(face.contains("owned"), "{name}");
        assert!(name != "Markdown" || !face.contains("![x]("), "a picture would be fetched");
        assert!(
            name == "page" || name == "Markdown" || face.lines().all(|line| !line.starts_with('\u{fffd}')),
            "{name}"
        );
    }
}

#[test]
fn a_machine_without_a_record_is_in_every_face_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let absent = table::Absent { machine: "adb:X1".into(), reason: "X1 is unauthorized: tap Allow".into() };
    let runs = [LoadedRun { dir: dir.path().to_owned(), run: sample::run() }];
    let files = report::report(&runs, &[absent], dir.path()).unwrap();
    for (file, machine) in [(files.html, "<b>adb:X1:</b>"), (files.markdown, "**adb:X1**:"), (files.json, "adb:X1")] {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(machine) && text.contains("X1 is unauthorized: tap Allow"), "{}", file.display());
    }
}

/// The three numbers of a phone, in every face: seconds an image when settled, joules an image, and what held it back.
#[test]
fn a_sustained_run_is_told_by_what_it_settled_at() {
    let mut run = sample_phone::run();
    run.run.sustained_s = Some(600.0);
    // One that is faster over the whole launch, and slower when it has settled.
    let (calm, hasty) = (0, 1);
    for launch in &mut run.cells[hasty].launches {
        let count = launch.samples.len();
        for (index, sample) in launch.samples.iter_mut().enumerate() {
            sample.total_s = if index > count - count.div_ceil(3) { 9.0 } else { 0.5 };
        }
    }
    let table = table::of_runs(&[&run]);
    let value = |cell: usize, name: &str| table.rows[cell].value(Metric::named(name).unwrap()).unwrap();
    assert!(value(hasty, "image_s") < value(calm, "image_s") && value(hasty, "settled_s") > value(calm, "settled_s"));
    let ranked = &table::groups(&table)[0].1;
    assert_eq!(ranked[0].key, run.cells[calm].key, "rows are ranked by settled");
    assert_eq!(value(hasty, "at_first_s"), 0.5);
    let causes = table.rows[calm].held_back.value().unwrap();
    assert!(causes[0].starts_with("big cores were limited to"), "{causes:?}");
    let words = markdown::of_table(&table);
    let headline = words.lines().next().unwrap();
    for want in [
        "is the fastest, ",
        " an image when settled (",
        "It takes ",
        " readings).",
        "It was held back after ",
        "big cores",
    ] {
        assert!(headline.contains(want), "no \"{want}\" in {headline}");
    }
    let head = words.lines().find(|line| line.starts_with("| backend")).unwrap();
    assert!(
        head.starts_with("| backend | precision | threads | settled | at first | first cap | image, p50 |"),
        "{head}"
    );
    let line = words.lines().find(|line| line.starts_with("| ort")).unwrap();
    assert!(line.contains(" readings) |") && line.contains(" on mid+big |"), "{line}");
    assert!(
        words.contains("was held back during the measurement (big cores"),
        "what held it back stands below: {words}"
    );
    let mut csv = Vec::new();
    csv::write_table(&table, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let columns = "settled_s,at_first_s,first_cap_min,energy_samples,battery_share_per_hour,held_back";
    assert!(csv.lines().next().unwrap().contains(columns), "{csv}");
    let json = serde_json::to_value(&table).unwrap();
    assert!(json["rows"][0]["held_back"]["ok"][0].as_str().unwrap().contains("big cores"));
    // A phone of which nothing tells whether it was held back does not say that nothing did.
    for launch in run.cells.iter_mut().flat_map(|cell| &mut cell.launches) {
        launch.telemetry.clear();
    }
    let words = markdown::of_table(&table::of_runs(&[&run]));
    assert!(words.contains("Whether anything held it back is not known"), "{words}");
    assert!(!words.contains("never"), "{words}");
}

/// A phone that sensors watched, and that nothing held back.
#[test]
fn never_is_an_answer_and_unknown_is_none() {
    let mut run = sample_phone::run();
    run.run.sustained_s = Some(600.0);
    for moment in run.cells.iter_mut().flat_map(|cell| &mut cell.launches).flat_map(|launch| &mut launch.telemetry) {
        moment.readings.retain(|name, _| name != "cpu_big_allowed_mhz");
        moment.readings.insert("thermal_status".into(), Reading::Ok(0.0));
    }
    let words = markdown::of_table(&table::of_runs(&[&run]));
    assert!(words.contains("| never |") && words.contains("Nothing held it back."), "{words}");
}

#[test]
fn a_launch_that_fails_late_takes_no_figure_from_any_face() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = sample::run();
    let cell = run.cells.iter_mut().find(|cell| cell.launches.len() > 1).unwrap();
    let killed = Launch { status: Status::Oom, reason: Some("killed at 3 GiB".into()), ..Launch::default() };
    cell.launches.push(killed);
    (cell.status, cell.reason) = (Status::Oom, Some("killed at 3 GiB".into()));
    let (key, whole) = (cell.key.clone(), sample::run());
    let p50 = |run: &Run| {
        let table = table::of_runs(&[run]);
        table.rows.iter().find(|row| row.key == key).and_then(|row| row.p50_s()).map(text::seconds).unwrap()
    };
    assert_eq!(p50(&run), p50(&whole));
    let headline: Vec<String> =
        headline::of_table(&table::of_runs(&[&run])).into_iter().map(|point| point.says).collect();
    assert!(headline.iter().any(|says| says.contains("In 1 of ")), "{headline:?}");
    let failed =
        |run: &Run| html::of_runs(&[LoadedRun { dir: dir.path().into(), run: run.clone() }], &table::of_runs(&[run]));
    let count = |page: &str| page.matches("class=\"failed\"").count();
    let (page, before) = (failed(&run).unwrap(), failed(&whole).unwrap());
    assert_eq!(count(&page), count(&before), "no row more is without figures");
    assert!(page.contains("killed at 3 GiB") && page.contains("failed launches"));
    let words = markdown::of_table(&table::of_runs(&[&run]));
    assert!(words.contains(&p50(&whole).replace('\u{a0}', " ")) && words.contains("killed at 3 GiB"), "{words}");
}
