//! Rows of papers: those of the models that a run has, from its record, in every face.

use ditbench_record::{
    Cell, CellKey, CellStage, Launch, ModelEntry, PaperCounts, PaperTime, Role, Run, Sample, StageSeconds, Status,
};
use ditbench_reports::table::{self, Table};
use ditbench_reports::{csv, html, markdown, published};

fn run(models: &[&str], paper: &PaperCounts) -> Run {
    let mut run = Run::default();
    let steps = StageSeconds { stage: "denoiser".into(), seconds: vec![0.5, 0.5] };
    let image = |image| Sample { image, total_s: 1.0, stages: vec![steps.clone()], ..Sample::default() };
    let launch = Launch { status: Status::Ok, samples: (0..3).map(image).collect(), ..Launch::default() };
    for model in models {
        let key = CellKey { model: (*model).to_owned(), height: 256, width: 256, ..CellKey::default() };
        run.models.push(ModelEntry {
            name: key.name(),
            height: 256,
            width: 256,
            paper: Some(paper.clone()),
            ..ModelEntry::default()
        });
        let stages = vec![CellStage { id: "denoiser".into(), role: Role::Denoiser, passes: 2 }];
        run.cells.push(Cell { key, status: Status::Ok, stages, launches: vec![launch.clone()], ..Cell::default() });
    }
    run
}

fn faces(run: &Run) -> (Table, [String; 3]) {
    let table = table::of_runs(&[run]);
    let mut lines = Vec::new();
    csv::write_table(&table, &mut lines).unwrap();
    let loaded = ditbench_record::store::LoadedRun { dir: "nowhere".into(), run: run.clone() };
    let page = html::of_runs(&[loaded], &table).unwrap();
    let faces = [String::from_utf8(lines).unwrap(), markdown::of_table(&table), page];
    (table, faces)
}

#[test]
fn a_run_shows_the_rows_of_its_own_models_papers_and_no_others() {
    let time =
        |hardware: &str, step_s| PaperTime { hardware: hardware.into(), size: 256, step_s, ..PaperTime::default() };
    let paper = PaperCounts {
        source: "EdgeDiT, arXiv 2603.28405: one forward pass at 256×256".into(),
        times: vec![time("Galaxy S25 Ultra", 0.08613), time("iPhone (model not named)", 0.07086)],
        ..PaperCounts::default()
    };
    let (table, faces) = faces(&run(&["edgedit-1", "edgedit-6"], &paper));
    assert_eq!(table.published.len(), 4);
    assert!(table.published.iter().all(|row| row.source == "EdgeDiT, arXiv 2603.28405" && row.image_s.is_none()));
    for face in &faces {
        assert!(face.contains("Galaxy S25 Ultra") && face.contains("EdgeDiT, arXiv 2603.28405"), "{face}");
        assert!(!face.contains("SnapGen++"), "{face}");
    }
    // Nobody says what ran it.
    assert!(faces[1].contains("runtime not published") && faces[2].contains("runtime not published"));
    assert!(faces[1].contains("86.1 ms"), "{}", faces[1]);
}

#[test]
fn a_record_that_holds_no_times_shows_snapgen_plus_pluss_for_its_models_alone() {
    let (table, faces) = faces(&run(&["small"], &PaperCounts::default()));
    assert_eq!(table.published, published::snapgenpp());
    assert!(
        faces.iter().all(|face| face.contains("iPhone 16 Pro Max") && face.contains("SnapGen++, arXiv 2601.08303v2"))
    );
    // A user's own model of that name is none of the paper's.
    let mut own = run(&["small"], &PaperCounts::default());
    own.models[0].config = serde_json::json!({ "files": { "model": {} } });
    assert!(self::faces(&own).0.published.is_empty());
    assert!(self::faces(&run(&["cdm-nano"], &PaperCounts::default())).0.published.is_empty());
}
