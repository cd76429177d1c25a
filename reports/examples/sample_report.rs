//! Writes the made-up run and its report, and below `bounded` the same under bounds, to look at the design: `cargo run -p ditbench-reports --example sample_report DIR`.

use std::path::PathBuf;

use ditbench_record::store::{LoadedRun, RunStore};
use ditbench_reports::advice::{Bound, Question};
use ditbench_reports::metric::Metric;
use ditbench_reports::{report, sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("give a directory that holds no run")?);
    let store = RunStore::create(&dir, sample::run())?;
    for (name, png) in sample::images() {
        store.put_file(&name, &png)?;
    }
    let files = report::report(&[LoadedRun { dir, run: store.run().clone() }], &[], store.dir())?;
    println!("{}", files.html.display());
    let bounds = vec![
        Bound::at_most(Metric::IMAGE, 4.6),
        Bound::at_most(Metric::PEAK, f64::from(1 << 30)),
        Bound::at_least(Metric::SSIMULACRA2, 70.0),
    ];
    let question = Question { bounds, ..Question::default() };
    let loaded = LoadedRun { dir: store.dir().to_owned(), run: store.run().clone() };
    let files = report::answering(&question, &[loaded], &[], &store.dir().join("bounded"))?;
    println!("{}", files.html.display());
    Ok(())
}
