//! `ditbench profile`: where the time of an image goes, and which operation changed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ditbench_record::store;
use ditbench_record::{Cell, ProfileRow, Run, one_line};
use ditbench_reports::profile::{Change, Side, diff};
use ditbench_reports::verdict::{differences, named};

use super::Common;
use super::run::{RunArgs, run};
use crate::text::{seconds, show, table};

/// Arguments of `ditbench profile`.
#[derive(Debug, clap::Args)]
pub struct ProfileArgs {
    /// Compare two profiled runs: which operation changed
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    diff: Option<Vec<PathBuf>>,
    #[command(flatten)]
    run: RunArgs,
}

impl ProfileArgs {
    /// Whether it measures, rather than compares what was measured.
    pub fn runs(&self) -> bool {
        self.diff.is_none()
    }
}

/// Lines of a comparison that are shown.
const SHOWN: usize = 15;

/// Runs with profiling on: one launch of a few images a cell unless said otherwise; or compares two such runs.
///
/// # Errors
/// As `ditbench run`; a run that holds no profile.
pub fn profile(mut args: ProfileArgs, common: &Common) -> Result<ExitCode> {
    if let Some([before, after]) = args.diff.as_deref() {
        return compare(before, after).map(|()| ExitCode::SUCCESS);
    }
    args.run.profiled();
    run(&args.run, common)
}

fn compare(before: &Path, after: &Path) -> Result<()> {
    let ((old_run, old), (new_run, new)) = (profiled(before)?, profiled(after)?);
    let differ = differences(&old_run, &new_run).into_iter().map(|(_, says)| says);
    for says in differ.chain(named(&old_run, &new_run)) {
        show(&format!("Measured under different conditions: {}.\n", one_line(&says)));
    }
    let mut pairs: Vec<(&Cell, &Cell)> =
        new.iter().filter_map(|new| Some((old.iter().find(|old| old.key == new.key)?, new))).collect();
    if let ([old], [new], true) = (old.as_slice(), new.as_slice(), pairs.is_empty()) {
        show(&format!("The two cells differ: {} and {}.\n\n", old.key, new.key));
        pairs.push((old, new));
    }
    if pairs.is_empty() {
        bail!(
            "{} and {} have no profiled cell in common: profile the same model, backend, precision and threads, or one cell in each",
            before.display(),
            after.display()
        );
    }
    for (old, new) in pairs {
        let rows = |cell: &Cell| cell.profile.value().cloned().unwrap_or_default();
        print_changes(&new.key.id(), &rows(old), &rows(new));
    }
    show(
        "Times are those of one pass under the profiler, from one process each: a change of a few percent is noise. \
         `ditbench ab` shows whether a change is real.\n",
    );
    Ok(())
}

fn print_changes(name: &str, before: &[ProfileRow], after: &[ProfileRow]) {
    let total = |rows: &[ProfileRow]| rows.iter().map(|row| row.seconds).sum::<f64>();
    let (was, is) = (seconds(total(before)), seconds(total(after)));
    show(&format!("{name}: one pass of each stage, {was} before, {is} after.\n\n"));
    for (side, title) in [(Side::Op, "operation"), (Side::BlockAndOp, "block and operation")] {
        let changes = diff(before, after, side);
        let moved: f64 = changes.iter().map(|change| change.difference_s().abs()).sum();
        let shown = changes.iter().take(SHOWN).map(|change| line(change, moved));
        show(&table(&["stage", title, "before", "after", "ratio", "share of all change"], shown));
        show("\n");
    }
}

fn line(change: &Change, moved: f64) -> Vec<String> {
    let time = |seconds_: Option<f64>| seconds_.map_or_else(|| "-".to_owned(), seconds);
    vec![
        change.stage.replace('_', " "),
        change.what.clone(),
        time(change.before_s),
        time(change.after_s),
        change.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}x")),
        if moved > 0.0 { format!("{:+.1} %", 100.0 * change.difference_s() / moved) } else { "-".to_owned() },
    ]
}

/// A run, and its profiled cells.
fn profiled(run: &Path) -> Result<(Run, Vec<Cell>)> {
    let loaded = store::read(run).with_context(|| format!("cannot read {}", run.display()))?;
    let cells = loaded.run.cells.iter();
    let profiled: Vec<Cell> =
        cells.filter(|cell| cell.profile.value().is_some_and(|rows| !rows.is_empty())).cloned().collect();
    if profiled.is_empty() {
        bail!("{} has no profile: make one with `ditbench profile`, or with `ditbench run --profile`", run.display());
    }
    Ok((loaded.run, profiled))
}
