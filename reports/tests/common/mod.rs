//! What the tests of the history share: small records.

use std::sync::OnceLock;

use ditbench_record::{self, Run};

/// The text of a real record as it lies in a file.
pub const GOLDEN: &str = include_str!("../data/record-v1.json");

/// Run `number` of a row of runs, a minute after the one before, with times of its own: three cells, two of them good.
pub fn numbered(number: usize) -> Run {
    static BASE: OnceLock<Run> = OnceLock::new();
    let mut run = BASE
        .get_or_init(|| {
            let mut run = ditbench_record::parse(GOLDEN).unwrap();
            run.cells.remove(0);
            run.cells.truncate(2);
            run.cells.push(ditbench_record::parse(GOLDEN).unwrap().cells.pop().unwrap());
            run
        })
        .clone();
    run.run.id = format!("run-{number:05}");
    run.run.created = format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + number / 1440, number / 60 % 24, number % 60);
    // A shift of the level in the middle, and a little that looks random.
    let level = if number >= 20 { 1.1 } else { 1.0 } * (1.0 + 0.01 * ((number * 37 % 11) as f64 / 11.0));
    for sample in run.cells.iter_mut().flat_map(|cell| &mut cell.launches).flat_map(|launch| &mut launch.samples) {
        sample.total_s *= level;
    }
    run
}
