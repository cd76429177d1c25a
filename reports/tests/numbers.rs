//! The list of numbers: each reaches every face, means one thing everywhere, and what older programs wrote goes on.

use std::collections::{BTreeMap, BTreeSet};

use ditbench_record::store::LoadedRun;
use ditbench_record::{
    self as record, Company, Count, Counted, Counter, Counters, ImageQuality, MemoryMark, MemoryPass, ModelEntry, Peak,
    Reading, Run, Stage, StageCompile, StageCounts, Telemetry, WeightsUse,
};
use ditbench_reports::history::series::extract;
use ditbench_reports::metric::{Basis, Csv, Followed, Judged, Metric, Shown, Unit};
use ditbench_reports::table::{self, Row};
use ditbench_reports::text::lowercase_first;
use ditbench_reports::verdict::{Options, Side, compare};
use ditbench_reports::{csv, html, markdown, sample_judged, sample_phone};

#[path = "common/launches.rs"]
mod launches;
use launches::{factors, one_cell};

/// A timed run in which every number of a cell is there: 680 timed images, which a 99th percentile takes.
fn timed() -> Run {
    let mut run = one_cell("20261123T200000Z-full", &factors(170, 0.01, 1));
    let stage = |name: &str| Stage { name: name.into(), flops: 1_000_000_000, ..Stage::default() };
    run.models = vec![ModelEntry {
        name: "nano".into(),
        height: 64,
        width: 64,
        text_tokens: Some(16),
        stages: ["text_encoder", "denoiser", "decoder"].map(stage).to_vec(),
        ..ModelEntry::default()
    }];
    let peak = Peak { kind: "f32".into(), threads: 2, value: 100.0, unit: "GFLOP/s".into(), ..Peak::default() };
    run.machine.peaks = vec![peak];
    let cell = &mut run.cells[0];
    cell.numerics = Reading::Ok("f32".into());
    cell.weights =
        Some(WeightsUse { disk_bytes: Some(20 << 20), resident_bytes: Some(30 << 20), ..WeightsUse::default() });
    let counted = Counted { instructions: 1_000_000_000, stages: stage_counts(), ..Counted::default() };
    cell.counted = Some(Reading::Ok(counted));
    let mark = MemoryMark { high_water: Some(1010 << 20), rss_anon: Some(700 << 20), ..MemoryMark::default() };
    cell.memory_pass =
        Reading::Ok(MemoryPass { marks: vec![mark], runtime_peak_bytes: Some(500 << 20), ..MemoryPass::default() });
    for launch in &mut cell.launches {
        // 20 W from first to last.
        let mut ended = 0.0;
        for sample in &mut launch.samples {
            ended += sample.total_s;
            sample.ended_s = Some(ended);
        }
        let reading = |second: u32| Telemetry {
            at_s: f64::from(second),
            moment: "during".into(),
            readings: [("package_energy_j".to_owned(), Reading::Ok(20.0 * f64::from(second)))].into(),
        };
        launch.telemetry = (0..20).map(reading).collect();
        let (units_per_s, alone_units_per_s) = (Reading::Ok(60.0), Reading::Ok(100.0));
        launch.company = Some(Company { threads: 1, units_per_s, alone_units_per_s, ..Company::default() });
        let events = Counter::ALL.map(|counter| (counter, Reading::Ok("user space".to_owned())));
        launch.counters = Some(Counters { events: events.into(), stages: Reading::Ok(stage_counts()) });
        for sample in &mut launch.samples {
            sample.counts = Counter::ALL.map(|counter| (counter, Count { count: 5e8, counted: 1.0 })).into();
        }
        launch.compile =
            vec![StageCompile { stage: "denoiser".into(), export_s: 1.5, load_s: 0.5, ..StageCompile::default() }];
    }
    if let Reading::Ok(quality) = &mut cell.quality {
        quality.image = Reading::Ok(ImageQuality {
            relative_l2: 0.01,
            psnr_db: Some(41.5),
            ssim: Reading::Ok(0.99),
            ssimulacra2: Reading::Ok(88.0),
            ..ImageQuality::default()
        });
    }
    run
}

fn stage_counts() -> Vec<StageCounts> {
    let of = |(stage, instructions): (&str, &[f64])| StageCounts {
        stage: stage.into(),
        instructions: instructions.to_vec(),
    };
    [("text_encoder", &[1e8][..]), ("denoiser", &[4e8, 3e8]), ("decoder", &[1e8])].map(of).to_vec()
}

/// A sustained run of a phone on its battery, in which every number of such runs is there.
fn sustained() -> Run {
    let mut run = sample_phone::run();
    run.run.sustained_s = Some(600.0);
    run
}

/// A run on a GPU whose driver tells of its memory.
fn on_gpu() -> Run {
    let mut run = one_cell("20261123T210000Z-gpu", &factors(3, 0.01, 1));
    let cell = &mut run.cells[0];
    cell.key.device = "cuda".into();
    for launch in &mut cell.launches {
        let memory = |moment: &str, bytes: f64| Telemetry {
            moment: moment.into(),
            readings: [("gpu_memory_bytes".to_owned(), Reading::Ok(bytes))].into(),
            ..Telemetry::default()
        };
        launch.telemetry = vec![memory("before", 1e9), memory("during", 3e9)];
    }
    run
}

fn csv_of(runs: &[&Run]) -> (Vec<String>, Vec<BTreeMap<String, String>>) {
    let mut out = Vec::new();
    csv::write_table(&table::of_runs(runs), &mut out).unwrap();
    let mut reader = ::csv::Reader::from_reader(out.as_slice());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.deserialize().map(Result::unwrap).collect();
    (header, rows)
}

#[test]
fn every_number_reaches_every_face() {
    let (timed, judged, sustained, gpu) = (timed(), sample_judged::run(), sustained(), on_gpu());
    let table = table::of_runs(&[&timed, &judged, &sustained, &gpu]);
    let (header, lines) = csv_of(&[&timed, &judged, &sustained, &gpu]);
    let json = serde_json::to_value(&table).unwrap();
    let words = markdown::of_table(&table);
    let loaded = |run: &Run| LoadedRun { dir: "nowhere".into(), run: run.clone() };
    let page = html::of_runs(&[loaded(&timed), loaded(&judged), loaded(&sustained), loaded(&gpu)], &table).unwrap();
    let series = [&timed, &sustained].map(|run| extract(run).unwrap().points);
    let is_followed = |metric: Metric| series.iter().flat_map(|points| points.keys()).any(|key| key.metric == metric);
    for metric in Metric::all() {
        let (row, name) = (metric.definition(), metric.name());
        let there = table.rows.iter().any(|row| row.value(metric).is_some());
        assert_eq!(there, row.shown != Shown::Verdicts, "{name}: is it in the made-up records?");
        let filled = || lines.iter().any(|line| !line[&name].is_empty());
        match row.csv {
            Csv::Column(_) => assert!(filled(), "{name} is not in the CSV"),
            Csv::WhereKnown(_) => {
                assert!(filled(), "{name} is not in the CSV");
                assert!(!csv_of(&[&judged]).0.contains(&name), "{name} is in the CSV of a run that has none");
            }
            Csv::Bounded(_) => {
                assert!(
                    filled() && header.contains(&format!("{name}_low")) && header.contains(&format!("{name}_high"))
                );
            }
            Csv::Not => assert!(!header.contains(&name), "{name}"),
        }
        let in_json = |row: &serde_json::Value| row["numbers"][&name]["ok"]["value"].is_number();
        assert_eq!(json["rows"].as_array().unwrap().iter().any(in_json), there, "{name} in the JSON");
        if there {
            let column = format!("| {} |", lowercase_first(row.heading));
            assert!(words.contains(&column), "{name}: there is no column {column} in\n{words}");
            let cell = format!("data-label=\"{}\"><b class=\"value\">", row.heading);
            assert!(page.contains(&cell), "{name} is not on the page");
        }
        match row.history {
            Followed::As { .. } => assert!(is_followed(metric), "{name} has no series"),
            Followed::Not { .. } => assert!(!is_followed(metric), "{name}"),
        }
    }
}

/// What a verdict compares is what a table shows: one name, one estimator.
#[test]
fn a_verdict_and_a_table_say_the_same() {
    for run in [timed(), sample_judged::run(), sustained()] {
        let rows = table::of_runs(&[&run]).rows;
        let verdict = compare(&Side::of_runs("a", [&run]), &Side::of_runs("b", [&run]), &Options::default()).unwrap();
        let mut compared = 0;
        for cell in &verdict.cells {
            let row: &Row = rows.iter().find(|row| Some(&row.key) == cell.key.as_ref()).unwrap();
            for one in &cell.metrics {
                match one.metric.of_step() {
                    Some(step) => assert_eq!(one.base, row.steps_s.get(step as usize).copied(), "{}", one.metric),
                    None => assert_eq!(one.base, row.value(one.metric), "{}", one.metric),
                }
                compared += 1;
            }
            if run.judging.is_none() && !run.is_sustained() {
                for metric in Metric::judged().filter(|metric| metric.definition().shown != Shown::Pictures) {
                    let is_of_cells = metric.basis() != Basis::Iterations && !metric.is_of_sustained_launches();
                    assert_eq!(cell.metric(metric).is_some(), is_of_cells, "{metric}");
                }
            }
        }
        assert!(compared > 3);
        let settled = verdict.cells.iter().any(|cell| cell.metric(Metric::SETTLED).is_some());
        assert_eq!(settled, run.is_sustained(), "settled images are judged where there are any");
    }
}

#[test]
fn compile_is_export_and_load_and_only_load_is_judged() {
    let run = timed();
    let row = &table::of_runs(&[&run]).rows[0];
    let value = |name: &str| row.value(Metric::named(name).unwrap()).unwrap();
    assert_eq!((value("export_s"), value("load_s"), value("compile_s")), (1.5, 0.5, 2.0));
    let gate = |name: &str| matches!(Metric::named(name).unwrap().definition().gate, Judged::By { .. });
    assert_eq!((gate("compile_s"), gate("export_s"), gate("load_s")), (false, false, true));
}

#[test]
fn one_stage_of_which_nothing_is_known_leaves_placement_unknown_everywhere() {
    let mut run = timed();
    let unknown = record::StagePlacement { stage: "decoder".into(), asked: "cpu".into(), ..Default::default() };
    run.cells[0].placement.push(unknown);
    let row = &table::of_runs(&[&run]).rows[0];
    let why = row.numbers.get(Metric::PLACEMENT).why().unwrap();
    assert!(why.contains("nodes of the decoder"), "{why}");
    let verdict = compare(&Side::of_runs("a", [&run]), &Side::of_runs("b", [&run]), &Options::default()).unwrap();
    assert!(verdict.cells[0].metric(Metric::PLACEMENT).is_none());
    assert!(verdict.cells[0].unchecked.iter().any(|note| note.contains("a fall-back would go unnoticed")));
}

/// Medians of launches, not of all their images: one launch of many images does not outweigh the others, in any number.
#[test]
fn the_launch_is_the_sample_of_every_timed_number() {
    let mut run = one_cell("a", &[1.0, 2.0, 3.0]);
    let more = run.cells[0].launches[2].samples[1].clone();
    run.cells[0].launches[2].samples.extend((5..50).map(|image| record::Sample { image, ..more.clone() }));
    let row = &table::of_runs(&[&run]).rows[0];
    let twice = |seconds: f64| Some(2.0 * seconds);
    assert_eq!(row.value(Metric::IMAGE), twice(2.0));
    assert_eq!(row.value(Metric::TEXT_ENCODER), twice(0.1));
    assert_eq!(row.value(Metric::DENOISER_STEP), twice(0.6));
    assert_eq!(row.value(Metric::DECODER), twice(0.69));
    assert_eq!(row.steps_s, [1.2, 1.2]);
}

#[test]
fn identical_pictures_have_no_psnr_in_files_and_the_most_in_a_gate() {
    let mut run = timed();
    if let Reading::Ok(quality) = &mut run.cells[0].quality {
        quality.image = Reading::Ok(ImageQuality { identical: true, ..ImageQuality::default() });
    }
    let row = &table::of_runs(&[&run]).rows[0];
    assert!(row.is_identical() && row.says(Metric::PSNR).as_deref() == Some("identical"));
    assert_eq!(csv_of(&[&run]).1[0]["psnr_db"], "");
    let verdict = compare(&Side::of_runs("a", [&run]), &Side::of_runs("b", [&run]), &Options::default()).unwrap();
    assert_eq!(verdict.cells[0].metric(Metric::PSNR).unwrap().base, Some(60.0));
    assert_eq!(Metric::PSNR.unit(), Unit::Decibels);
}

/// What the CSV of today calls otherwise than that of the first program did. `CHANGELOG.md` lists them.
const RENAMED: [(&str, &str); 4] =
    [("p50_s", "image_s"), ("low_s", "image_s_low"), ("high_s", "image_s_high"), ("step_s", "denoiser_step_s")];

/// Whether a column may say now what it says.
type MaySay = fn(&str) -> bool;

/// What the CSV of today says otherwise of an old record than that of the first program did, by column: its judges have learned
/// more. Cautions say that nobody looked for other load; a few-bit cell has no share of a peak that is of other operations.
const OTHERWISE: [(&str, MaySay); 2] = [("cautions", |_| true), ("peak_share", |now| now.is_empty())];

#[test]
fn the_csv_of_an_old_record_is_what_it_was() {
    let run = record::parse(include_str!("data/record-v1.json")).unwrap();
    let mut out = Vec::new();
    csv::write_table(&table::of_runs(&[&run]), &mut out).unwrap();
    // As the first program wrote it from the same record.
    let old = include_str!("data/record-v1.csv");
    let records = |file: &[u8]| -> Vec<Vec<String>> {
        let reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(file).into_records();
        reader.map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    };
    let (now, mut want) = (records(&out), records(old.as_bytes()));
    let header = want[0].clone();
    let mut otherwise = BTreeSet::new();
    for (now, want) in now.iter().zip(&mut want).skip(1) {
        for ((now, want), column) in now.iter().zip(want).zip(&header) {
            if now != want && OTHERWISE.iter().any(|(name, may)| name == column && may(now)) {
                otherwise.insert(column.as_str());
                now.clone_into(want);
            }
        }
    }
    assert_eq!(otherwise.into_iter().collect::<Vec<_>>(), OTHERWISE.map(|(name, _)| name));
    for (_, name) in RENAMED {
        assert!(now[0].iter().any(|column| column == name), "{name}");
    }
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    for (line, record) in now.iter().enumerate() {
        let renamed = |field: &String| {
            let old = RENAMED.iter().find(|(_, now)| line == 0 && now == field);
            old.map_or_else(|| field.clone(), |(old, _)| (*old).to_owned())
        };
        writer.write_record(record.iter().take(header.len()).map(renamed)).unwrap();
    }
    let found = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    want.iter().for_each(|record| writer.write_record(record).unwrap());
    let want = String::from_utf8(writer.into_inner().unwrap()).unwrap();
    for (found, want) in found.lines().zip(want.lines()) {
        assert_eq!(found, want);
    }
    assert_eq!(found, want);
    let changes = include_str!("../../CHANGELOG.md");
    for (old, now) in RENAMED {
        assert!(changes.contains(&format!("`{old}` is `{now}`")), "the changelog does not say that {old} is {now}");
    }
}
