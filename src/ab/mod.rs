//! Two builds against each other: whole launches in A B B A order until every cell is decided.
//!
//! Contract: each build is a program of its own and is only asked to `run`; what it says is its record. First each makes
//! one image of every cell (correctness, placement), then launches are made in the order of the plan, a launch being a
//! `run --brief` of one cell. All records are kept below the directory of the comparison.

pub mod build;
mod count;
pub mod results;
mod side;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ditbench_reports::verdict::aa;
use ditbench_reports::verdict::noise::Noise;
use ditbench_reports::verdict::plan::{Build, Next, Plan, Settings as PlanSettings, Step};
use ditbench_reports::verdict::{self, Apart, Design, Options, Verdict};

pub use count::Valgrind;
pub use side::{Program, Side, SingleCell};

use crate::run::Progress;
use ditbench_worker::interrupt;

use crate::text;

/// What to compare, and how much to measure.
pub struct Comparison {
    /// The older build.
    pub base: Program,
    /// The newer one.
    pub head: Program,
    /// The cells.
    pub cells: Vec<SingleCell>,
    /// Images of a launch.
    pub images: usize,
    /// Pairs of launches, looks, budget; `None`: nothing is timed.
    pub plan: Option<PlanSettings>,
    /// Counts the instructions of an image of each cell and side.
    pub count: Option<Valgrind>,
    /// Thresholds and what is allowed.
    pub options: Options,
    /// Where records go.
    pub dir: PathBuf,
}

/// On a machine that is so busy that an image takes seconds, a check measures memory all the same: it does so where an image takes less
/// than a hundredth of the budget. A budget that is given leaves out cells that it has no room for, so it is the longest that there is.
const PATIENT: [&str; 2] = ["--budget", "2400h"];

/// Runs both builds and gives the verdict.
///
/// # Errors
/// A program that cannot be run, a record that cannot be read, Ctrl-C.
pub fn compare(comparison: Comparison) -> Result<Verdict> {
    let Comparison { base, head, cells, images, plan, count, mut options, dir } = comparison;
    let started = Instant::now();
    let timed = timed(&cells);
    let launches = plan.map_or(0, |plan| plan.most as usize) + usize::from(count.is_some());
    let progress = Progress::new(2 * timed.len() * launches);
    let patient: &[&str] = if count.is_some() { &PATIENT } else { &[] };
    let mut sides = check_both(base, head, &cells, &dir, &progress, patient)?;
    options.apart = apart(&sides)?;
    // What cannot be compared at all is refused before anything is counted.
    judge(&sides, &options)?;
    if let Some(valgrind) = &count {
        count_both(valgrind, &cells, &mut sides, &progress)?;
    }
    let Some(plan) = plan else {
        progress.finish();
        sides.0.save()?;
        sides.1.save()?;
        // Neither side's record was made at another time than the other's.
        options.design = Design::Paired;
        return judge(&sides, &options);
    };
    let mut plan = Plan::new(timed, plan, options);
    // What is wrong is known before anything is timed.
    plan.checked(judge(&sides, &plan.options())?);
    loop {
        match plan.next(started.elapsed()) {
            Next::Launch(steps) => {
                let over = |step: &Step| plan.leaves_out(step, started.elapsed());
                launch(&steps, &cells, &mut sides, images, &progress, &over)?;
            }
            Next::Look => {
                let verdict = judge(&sides, &plan.options())?;
                progress.line(&format!(
                    "{} {}",
                    text::clock(started.elapsed().as_secs_f64()),
                    verdict::faces::headline(&verdict)
                ));
                plan.look(verdict);
            }
            Next::Stop(_) => break,
        }
    }
    progress.finish();
    sides.0.save()?;
    sides.1.save()?;
    plan.verdict().context("no launch succeeded on either side, so there is nothing to judge; see the logs")
}

/// The same build against itself: what this machine's noise alone does.
///
/// # Errors
/// As [`compare`].
pub fn against_itself(comparison: Comparison, deals: usize, seed: u64) -> Result<(Noise, Verdict)> {
    let Comparison { base, head, cells, images, plan, count: _, mut options, dir } = comparison;
    let started = Instant::now();
    let plan = plan.unwrap_or_default();
    let pairs = plan.most.next_multiple_of(2);
    let timed = timed(&cells);
    let progress = Progress::new(2 * timed.len() * pairs as usize);
    let mut sides = check_both(base, head, &cells, &dir, &progress, &[])?;
    (options.apart, options.design) = (apart(&sides)?, Design::Paired);
    judge(&sides, &options)?;
    // No look and no early stop: the noise is wanted of all launches that the budget allows.
    let settings = PlanSettings { first: pairs, most: pairs, ..plan };
    let mut plan = Plan::new(timed, settings, options.clone());
    if let Next::Launch(steps) = plan.next(Duration::ZERO) {
        let over = |step: &Step| plan.leaves_out(step, started.elapsed());
        launch(&steps, &cells, &mut sides, images, &progress, &over)?;
    }
    progress.finish();
    sides.0.save()?;
    sides.1.save()?;
    Ok(aa::of_aa(&[sides.0.run()], &[sides.1.run()], &options, deals, seed)?)
}

fn timed(cells: &[SingleCell]) -> Vec<String> {
    cells.iter().filter(|cell| cell.timed).map(|cell| cell.id.clone()).collect()
}

/// One image of every cell from each build: whether it is right, and where it ran.
fn check_both(
    base: Program,
    head: Program,
    cells: &[SingleCell],
    dir: &Path,
    progress: &Progress,
    more: &[&str],
) -> Result<(Side, Side)> {
    let check = |program: Program, name: &str| {
        progress.now(format!("{name}: one image of every cell"));
        Side::check(program, cells, &dir.join(name), more)
    };
    Ok((check(base, "base")?, check(head, "head")?))
}

/// Counts each cell on both sides, one beside the other: what else runs does not change a count.
fn count_both(valgrind: &Valgrind, cells: &[SingleCell], sides: &mut (Side, Side), progress: &Progress) -> Result<()> {
    for cell in cells.iter().filter(|cell| cell.timed) {
        progress.now(format!("{}: counting the instructions of an image", cell.id));
        let (base, head) = (&mut sides.0, &mut sides.1);
        let (base, head) = std::thread::scope(|scope| {
            let base = scope.spawn(|| base.count(cell, valgrind));
            let head = head.count(cell, valgrind);
            (base.join(), head)
        });
        let base = base.unwrap_or_else(|_| bail!("counting base failed: a fault of this program"))?;
        for (name, outcome) in [("base", base), ("head", head?)] {
            progress.launch_done(&format!("{name} {}", cell.id), &outcome);
        }
    }
    Ok(())
}

/// How far head's results are from base's.
fn apart(sides: &(Side, Side)) -> Result<BTreeMap<String, Apart>> {
    results::apart((sides.0.dir(), sides.0.run()), (sides.1.dir(), sides.1.run()))
}

/// Makes these launches; from where `over` says so, the rest is left out.
fn launch(
    steps: &[Step],
    cells: &[SingleCell],
    sides: &mut (Side, Side),
    images: usize,
    progress: &Progress,
    over: &dyn Fn(&Step) -> bool,
) -> Result<()> {
    for step in steps {
        if over(step) {
            progress.line("the budget is spent");
            break;
        }
        let Some(cell) = cells.iter().find(|cell| cell.id == step.cell) else { continue };
        let (side, name) = match step.build {
            Build::Base => (&mut sides.0, "base"),
            Build::Head => (&mut sides.1, "head"),
        };
        progress.now(format!("{name}: {} launch {}", cell.id, step.pair + 1));
        let outcome = side.launch(cell, step.pair, images);
        if interrupt::requested() {
            bail!(
                "interrupted; the records so far are kept in {}",
                side.dir().parent().unwrap_or(side.dir()).display()
            );
        }
        progress.launch_done(&format!("{name} {}", cell.id), &outcome?);
    }
    Ok(())
}

fn judge(sides: &(Side, Side), options: &Options) -> Result<Verdict> {
    let base = verdict::Side::of_runs(sides.0.label(), [sides.0.run()]);
    let head = verdict::Side::of_runs(sides.1.label(), [sides.1.run()]);
    Ok(verdict::compare(&base, &head, options)?)
}

#[cfg(test)]
mod tests {
    use crate::plan::Seconds;

    /// A longer one would be refused, and a shorter one might leave out cells.
    #[test]
    fn the_budget_of_a_check_is_the_longest_that_there_is() {
        let budget: Seconds = super::PATIENT[1].parse().unwrap();
        assert!(Seconds::try_from(budget.get() + 1.0).is_err());
    }
}
