//! A result further from the reference's than its precision explains: its times are of something else.

use ditbench_record::{Cell, Quality, Reading, StepDivergence};
use ditbench_reports::caution::Caution;
use ditbench_reports::headline;
use ditbench_reports::table::{groups, of_runs};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, run};

fn off_by(backend: &str, by: f64, relative_l2: f64) -> Cell {
    let factors: Vec<f64> = factors(8, 0.01, 3).iter().map(|factor| factor * by).collect();
    let latents = vec![StepDivergence { step: 1, relative_l2, cosine: 1.0 }];
    let quality = Quality { reference: format!("{}io.npz", Quality::EXPECTED), latents, ..Quality::default() };
    Cell { quality: Reading::Ok(quality), ..cell(key(backend, "f32"), &factors) }
}

#[test]
fn the_fastest_is_not_the_one_that_computes_something_else() {
    let run = run("a", vec![off_by("ort", 1.0, 1e-6), off_by("candle", 0.001, 1.0), off_by("tract", 2.0, 2e-6)]);
    let table = of_runs(&[&run]);
    let groups = groups(&table);
    let rows = &groups[0].1;
    let last = rows.last().unwrap();
    assert_eq!(last.key.backend, "candle");
    assert!(last.cautions.iter().any(|caution| matches!(caution, Caution::WrongResult { .. })), "{:?}", last.cautions);
    assert!(rows[..2].iter().all(|row| !row.is_wrong()));
    let points = headline::of_table(&table);
    let says = &points[0].says;
    assert!(says.starts_with(&rows[0].label()) && rows[0].key.backend == "ort", "{says}");
    assert!(says.ends_with(&format!("Left out, because the result is wrong: {}.", last.label())), "{says}");
}
