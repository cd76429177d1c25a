//! A pipeline that is not a text encoder, a denoiser and a decoder goes through every face: here two denoisers, and no text.

use ditbench_record::store::{LoadedRun, RunStore, read};
use ditbench_record::{
    CellStage, ModelEntry, ProfileRow, Reading, Role, Run, Sample, Stage, StageCompile, StageSeconds, csv as samples,
};
use ditbench_reports::history::series::extract;
use ditbench_reports::metric::Metric;
use ditbench_reports::table::{self, Table};
use ditbench_reports::verdict::{Options, Outcome, Side, compare};
use ditbench_reports::{csv, html, markdown};

#[path = "common/launches.rs"]
mod launches;
use launches::{factors, one_cell};

const STAGES: [(&str, Role, &[f64]); 3] = [
    ("denoiser_64", Role::Denoiser, &[0.1, 0.1, 0.1]),
    ("denoiser_256", Role::Denoiser, &[0.5, 0.5]),
    ("decoder", Role::Decoder, &[0.25]),
];

/// A cascade whose second denoiser takes `second` times as long.
fn cascade(id: &str, launches: usize, second: f64) -> Run {
    let mut run = one_cell(id, &factors(launches, 0.005, launches as u64));
    let cell = &mut run.cells[0];
    cell.key.model = "made-up-cascade".into();
    cell.key.steps = 3;
    cell.key.own.clear();
    cell.stages =
        STAGES.map(|(id, role, passes)| CellStage { id: id.into(), role, passes: passes.len() as u32 }).to_vec();
    for launch in &mut cell.launches {
        launch.compile = STAGES
            .map(|(stage, ..)| StageCompile { stage: stage.into(), load_s: 0.1, ..StageCompile::default() })
            .to_vec();
        for sample in &mut launch.samples {
            let level = sample.total_s / 2.0;
            let stage = |(stage, _, seconds): (&str, Role, &[f64])| {
                let times = level * if stage == "denoiser_256" { second } else { 1.0 };
                StageSeconds { stage: stage.into(), seconds: seconds.iter().map(|seconds| times * seconds).collect() }
            };
            let stages = STAGES.map(stage).to_vec();
            *sample = Sample { stages, harness_s: 0.01 * level, ..sample.clone() };
            sample.total_s = sample.in_stages_s() + sample.harness_s;
        }
    }
    let part = |(stage, ..): (&str, Role, &[f64])| ProfileRow {
        stage: stage.into(),
        op: "Linear".into(),
        nodes: 1,
        seconds: 0.1,
        ..ProfileRow::default()
    };
    cell.profile = Reading::Ok(STAGES.map(part).to_vec());
    let graph =
        |(name, ..): (&str, Role, &[f64])| Stage { name: name.into(), flops: 1_000_000_000, ..Stage::default() };
    run.models = vec![ModelEntry {
        name: "made-up-cascade".into(),
        height: 64,
        width: 64,
        stages: STAGES.map(graph).to_vec(),
        ..ModelEntry::default()
    }];
    run
}

fn table_of(run: &Run) -> Table {
    table::of_runs(&[run])
}

#[test]
fn it_is_kept_in_a_record_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = cascade("kept", 3, 1.0);
    drop(RunStore::create(dir.path(), run.clone()).unwrap());
    assert_eq!(read(dir.path()).unwrap().run, run);
    let text = std::fs::read_to_string(dir.path().join("record.json")).unwrap();
    assert!(!text.contains("text_encoder"), "what it has not is not there");
}

#[test]
fn its_samples_have_a_column_for_each_of_the_stages_that_share_a_role() {
    let mut out = Vec::new();
    samples::write_samples(&cascade("a", 1, 1.0), &mut out).unwrap();
    let mut reader = ::csv::Reader::from_reader(&out[..]);
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[header.len() - 2..], ["denoiser_64_s", "denoiser_256_s"]);
    let first = reader.records().next().unwrap().unwrap();
    let value = |name: &str| &first[header.iter().position(|column| column == name).unwrap()];
    assert_eq!((value("text_encoder_s"), value("steps_s").split(' ').count()), ("", 5));
    assert_eq!(value("steps_s"), format!("{} {}", value("denoiser_64_s"), value("denoiser_256_s")));
    assert!(value("decoder_s").parse::<f64>().is_ok());
    // An ordinary pipeline has the columns that it had.
    let mut out = Vec::new();
    samples::write_samples(&one_cell("b", &[1.0]), &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().lines().next().unwrap().ends_with(",removed,cpus"));
}

#[test]
fn its_numbers_are_by_role_and_what_it_has_not_is_absent_with_the_reason() {
    let run = cascade("a", 7, 1.0);
    let row = &table_of(&run).rows[0];
    let near = |found: Option<f64>, want: f64| {
        assert!(found.is_some_and(|found| (found / want - 1.0).abs() < 0.02), "{found:?}")
    };
    near(row.value(Metric::DECODER), 0.25);
    near(row.value(Metric::DENOISER_STEP), 0.1);
    assert_eq!(row.steps_s.len(), 5);
    assert_eq!(row.numbers.get(Metric::TEXT_ENCODER).why(), Some("this model has no text encoder"));
    let stages = row.stages_s.as_ref().unwrap();
    near(Some(stages.total_s()), row.p50_s().unwrap());
    // 3 + 2 + 1 passes of 10⁹ operations.
    near(row.value(Metric::GIGAFLOPS), 6.0 / row.p50_s().unwrap());
    let mut out = Vec::new();
    csv::write_table(&table_of(&run), &mut out).unwrap();
    let mut reader = ::csv::Reader::from_reader(&out[..]);
    let column = reader.headers().unwrap().iter().position(|name| name == "text_encoder_s").unwrap();
    assert_eq!(&reader.records().next().unwrap().unwrap()[column], "");
    let found = extract(&run).unwrap();
    assert!(found.points.keys().all(|key| key.metric != Metric::TEXT_ENCODER), "no series of what is not there");
    assert!(found.points.keys().any(|key| key.metric == Metric::DENOISER_STEP));
}

#[test]
fn the_page_names_its_stages_and_speaks_of_no_text() {
    let run = cascade("a", 7, 1.0);
    let table = table_of(&run);
    let words = markdown::of_table(&table);
    let page = html::of_runs(&[LoadedRun { dir: "nowhere".into(), run }], &table).unwrap();
    for text in [&words, &page] {
        assert!(!text.contains("0 text tokens") && !text.contains("0\u{a0}text"), "{text}");
    }
    assert!(page.contains("denoiser 64 ×3, denoiser 256 ×2, decoder"), "the plot says which comes first");
    assert!(page.contains("denoiser 256: "), "each stage is listed");
    let plot = page.split("<svg").find(|plot| plot.contains("denoiser steps (5")).unwrap();
    assert!(!plot.contains("text encoder"), "{plot}");
    assert!(!words.lines().any(|line| line.contains("text encoder")), "{words}");
}

#[test]
fn a_slower_second_denoiser_is_a_regression_of_its_own_steps() {
    let (base, head) = (cascade("a", 12, 1.0), cascade("b", 12, 1.3));
    let verdict =
        compare(&Side::of_runs("base", [&base]), &Side::of_runs("head", [&head]), &Options::default()).unwrap();
    let cell = &verdict.cells[0];
    assert_eq!(verdict.outcome, Outcome::Regressed, "{cell:?}");
    let change = |metric: Metric| cell.metric(metric).and_then(|one| one.change);
    assert!(change(Metric::IMAGE).is_some_and(|change| change > 0.1), "{:?}", change(Metric::IMAGE));
    assert!(change(Metric::DENOISER_STEP.step(4)).is_some_and(|change| change > 0.25));
    assert!(change(Metric::DENOISER_STEP.step(0)).is_none_or(|change| change.abs() < 0.05));
    assert!(cell.metric(Metric::TEXT_ENCODER).is_none());
}
