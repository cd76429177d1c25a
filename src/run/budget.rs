//! What a budget has room for: which cells are compared with one another, what their launches are expected to take, and rows for those that
//! are left out.

use std::time::Duration;

use anyhow::Result;
use ditbench_record::disturbed::several;
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, Kind, Status, Warning};
use ditbench_reports::stats;

use super::resolve::Resolved;
use super::schedule::{CellState, ENOUGH, Expected, Schedule, Terms};
use super::{Settings, launch, resume};
use crate::environment::Common;
use crate::plan::{Estimate, Guess, Seconds, Times};
use crate::text::seconds;

/// How much longer than expected a run may take before a budget that was proposed is too short.
const SPARE: f64 = 1.15;

/// Puts cells into comparisons, in the order of the plan, with what their launches are expected to take.
pub(super) fn prepare(states: &mut [CellState], cells: &[Resolved], estimates: &[Estimate]) {
    for ((state, comparison), estimate) in states.iter_mut().zip(comparisons(cells)).zip(estimates) {
        state.comparison = comparison;
        let expected = |times: &Guess<Times>| Expected {
            times: times.value,
            is_measured: times.basis.is_measured(),
            guessed: estimate.guessed,
        };
        state.expected = estimate.times.as_ref().map(expected);
    }
}

/// The comparison of each cell: cells of one group, workload and precision are made together or not at all.
fn comparisons(cells: &[Resolved]) -> Vec<usize> {
    let mut known: Vec<&Resolved> = Vec::new();
    cells
        .iter()
        .map(|cell| {
            let same = |other: &&Resolved| {
                // What others are held against comes with the first of them.
                let (one, two) = ((other.cell.group, &other.key.precision), (cell.cell.group, &cell.key.precision));
                other.cell.choice == cell.cell.choice && (cell.cell.is_yardstick || one == two)
            };
            known.iter().position(same).unwrap_or_else(|| {
                known.push(cell);
                known.len() - 1
            })
        })
        .collect()
}

/// The words of the plan: what there is no room for; `None` where there is room for all or nothing is left out.
pub(super) fn foresees(
    schedule: &Schedule,
    states: &[CellState],
    cells: &[Resolved],
    settings: &Settings,
) -> Option<String> {
    let out = schedule.left_out();
    if out.is_empty() {
        return None;
    }
    let is_guess = |&place: &usize| states[place].expected.is_some_and(|expected| !expected.is_measured);
    let unless = if out.iter().any(is_guess) { ", unless images turn out quicker" } else { "" };
    let (left_out, names) = (several(out.len(), "cell"), named(&out, cells));
    let budget = seconds(settings.budget_s.get());
    let enough = enough(schedule).map(|enough| format!(" --budget {enough} has room for the whole plan."));
    Some(format!(
        "The budget of {budget} has no room for {left_out}, which will be left out{unless}: {names}.{}",
        enough.unwrap_or_default()
    ))
}

/// `tiny 512×512 f32; tiny 512×512 q4`: the comparisons of cells, each once.
fn named(places: &[usize], cells: &[Resolved]) -> String {
    let mut names: Vec<String> = Vec::new();
    for cell in places.iter().map(|&place| &cells[place]) {
        let name = format!("{} {}", cell.cell.choice, cell.key.precision);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join("; ")
}

/// Puts rows into the record for cells that the budget had no room for, warnings to those that have fewer launches than were asked for, and says
/// how to add what was left out.
///
/// # Errors
/// The record cannot be written.
pub(super) fn close(
    store: &mut RunStore,
    (states, terms): (&[CellState], Terms),
    cells: &[Resolved],
    settings: &Settings,
    common: &Common,
) -> Result<()> {
    let (launches, budget) = (settings.launches.get(), seconds(settings.budget_s.get()));
    let schedule = Schedule::new(states, terms);
    let anew: Vec<CellState> = states.iter().map(|state| CellState { made: 0, ..state.clone() }).collect();
    let whole = enough(&Schedule::new(&anew, terms));
    let mut out = Vec::new();
    for (place, (state, cell)) in states.iter().zip(cells).enumerate() {
        if !state.is_open(launches) {
            continue;
        }
        if state.made > 0 {
            let fewer = Kind::FewerLaunches {
                made: small(state.made),
                wanted: small(state.wanted(launches)),
                budget: settings.budget_s.to_string(),
                enough: whole.clone(),
            };
            store.update(|run| {
                if let Some(row) = run.cells.iter_mut().find(|row| row.key == cell.key) {
                    row.warnings.push(Warning::from(fewer));
                }
            })?;
            continue;
        }
        let each = schedule.launch_s(place).map(|each| format!(" of about {}", seconds(each)));
        let is_left_out = |other: &&CellState| other.made == 0 && other.is_open(launches);
        let compared = states.iter().filter(is_left_out).filter(|other| other.comparison == state.comparison).count();
        let with = match compared - 1 {
            0 => String::new(),
            others => format!(", and as many of the {} that it is compared with", several(others, "cell")),
        };
        let why = format!(
            "left out: the budget of {budget} had no room for {}{}{with}{}",
            several(state.wanted(launches.min(ENOUGH)), "launch"),
            each.unwrap_or_default(),
            whole.as_ref().map(|whole| format!("; --budget {whole} has room for the whole plan")).unwrap_or_default()
        );
        store.put_cell(Row {
            device: cell.recorded_device(),
            ..Row::failed(cell.key.clone(), Status::Interrupted, why)
        })?;
        out.push(place);
    }
    if !out.is_empty() {
        // A run that goes on has a budget of its own, for what is missing.
        let budget_of_rest = enough(&schedule).unwrap_or_else(|| settings.budget_s.to_string());
        crate::text::show(&format!(
            "\n{} did not fit into the budget of {budget}: {}. To add what is missing: {} --budget {budget_of_rest}\n",
            several(out.len(), "cell"),
            named(&out, cells),
            resume::command(store.dir(), common)
        ));
    }
    Ok(())
}

impl Terms {
    /// Of a run with so much of its budget left, in which launches took so many seconds beside their processes.
    pub(super) fn of(settings: &Settings, left: Duration, around_s: &[f64]) -> Self {
        Self {
            launches: settings.launches.get(),
            images: settings.images.get(),
            sustained_s: settings.sustained_s.map(Seconds::get),
            memory_pass_below_s: launch::memory_pass_below_s(settings),
            around_s: stats::median(around_s).unwrap_or(0.0),
            left_s: left.as_secs_f64(),
            leaves_out: settings.leaves_out,
        }
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A budget that has room for all that a schedule wants; `None` where how long that takes is not known.
fn enough(schedule: &Schedule) -> Option<String> {
    schedule.needed_s().map(proposed)
}

/// A budget that has room for so many seconds, as `--budget` takes it: `45s`, `6m`, `25m`, `3h`.
fn proposed(seconds: f64) -> String {
    let seconds = SPARE * seconds;
    let up = |unit: f64, step: f64| ((seconds / unit / step).ceil() * step).max(step);
    match seconds {
        s if s <= 55.0 => format!("{}s", up(1.0, 5.0)),
        s if s <= 600.0 => format!("{}m", up(60.0, 1.0)),
        s if s <= 7200.0 => format!("{}m", up(60.0, 5.0)),
        _ => format!("{}h", up(3600.0, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanFile;

    #[test]
    fn a_groups_backends_for_a_workload_in_one_precision_are_one_comparison_in_the_order_of_the_plan() {
        let plan = "[[group]]\nmodel = ['nano', 'tiny']\nbackend = ['candle', 'tract']\nprecision = ['q4', 'f32']\n\
                    [[group]]\nmodel = 'nano'\nbackend = 'candle:stock'\nprecision = ['q4', 'f32']";
        let mut cells = PlanFile::parse(plan, "t").unwrap().cells(2).unwrap();
        let yardstick =
            crate::plan::Cell { is_yardstick: true, backend: "reference".parse().unwrap(), ..cells[5].clone() };
        cells.push(yardstick);
        let cells: Vec<Resolved> = cells.into_iter().map(Resolved::of).collect();
        assert_eq!(comparisons(&cells), [0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 2]);
    }

    #[test]
    fn what_is_named_is_named_once() {
        let group = |backend| format!("[[group]]\nmodel = 'nano'\nbackend = '{backend}'\nprecision = ['q4', 'f32']\n");
        let plan = PlanFile::parse(&(group("candle") + &group("tract")), "t").unwrap();
        let cells: Vec<Resolved> = plan.cells(2).unwrap().into_iter().map(Resolved::of).collect();
        let precisions: Vec<&str> = cells.iter().map(|cell| cell.key.precision.as_str()).collect();
        assert_eq!(precisions, ["q4", "f32", "q4", "f32"]);
        assert_eq!(named(&[0, 1, 2, 3], &cells).split("; ").count(), 2);
    }

    #[test]
    fn budgets_are_proposed_as_people_write_them() {
        let all = [0.0, 11.0, 44.0, 100.0, 300.0, 1000.0, 8000.0].map(proposed);
        assert_eq!(all, ["5s", "15s", "55s", "2m", "6m", "20m", "3h"]);
        for budget in all {
            assert!(budget.parse::<crate::plan::Seconds>().is_ok(), "{budget}");
        }
    }
}
