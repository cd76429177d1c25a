//! Writes the made-up run and its report, to look at the design: `cargo run -p ditbench-reports --example sample_report DIR`.

use std::path::PathBuf;

use ditbench_record::store::{LoadedRun, RunStore};
use ditbench_reports::{report, sample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("give a directory that holds no run")?);
    let store = RunStore::create(&dir, sample::run())?;
    for (name, png) in sample::images() {
        store.put_file(&name, &png)?;
    }
    let files = report::report(&[LoadedRun { dir, run: store.run().clone() }], &[], store.dir())?;
    println!("{}", files.html.display());
    Ok(())
}
