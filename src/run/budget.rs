//! What a budget has room for: which cells are compared with one another, what their launches are expected to take, and rows for those that
//! are left out.

use std::time::Duration;

use anyhow::Result;
use ditbench_record::disturbed::several;
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, Status, Warning};
use ditbench_reports::stats;

use super::resolve::Resolved;
use super::schedule::{self, CellState, Expected, Least, Terms};
use super::{Settings, launch};
use crate::plan::Estimate;
use crate::text::seconds;

/// How the note of a row begins that has fewer launches than its comparison was to have.
const FEWER: &str = "The budget had no room for all of its launches: ";
/// How much longer than expected a run may take before a budget that was proposed is too short.
const SPARE: f64 = 1.15;

/// Puts cells into comparisons, in the order of the plan, with what their launches are expected to take.
pub(super) fn prepare(states: &mut [CellState], cells: &[Resolved], estimates: &[Estimate], settings: &Settings) {
    for (state, comparison) in states.iter_mut().zip(comparisons(cells)) {
        state.comparison = comparison;
    }
    for ((state, cell), estimate) in states.iter_mut().zip(cells).zip(estimates) {
        state.expected = estimate.times.as_ref().map(|guess| {
            let times = &guess.value;
            let images = if state.once { 1 } else { settings.images.get() };
            let least = match settings.sustained_s.filter(|_| !cell.cell.is_yardstick) {
                Some(time) => Least { launch_s: times.ready_s + time.get(), images_s: time.get() },
                None => Least::of(times.ready_s, times.first_image_s, times.image_s(), images),
            };
            let has_pass = !settings.brief && launch::has_memory_pass(times.first_image_s, settings);
            let pass_s = times.ready_s + times.first_image_s + times.image_s();
            let beside_s = if has_pass { pass_s } else { 0.0 };
            Expected { least, beside_s, is_from_here: guess.basis.is_from_here() }
        });
    }
}

/// The least that the last launch of a row shows a launch to take, which took so long with its images; `None` if it made none.
pub(super) fn least(row: &Row, took: Duration, most: usize) -> Option<Least> {
    let samples = &row.launches.last()?.samples;
    let (first, further) = samples.split_first()?;
    let further: Vec<f64> = further.iter().map(|image| image.total_s).collect();
    let ready_s = (took.as_secs_f64() - first.total_s - further.iter().sum::<f64>()).max(0.0);
    Some(Least::of(ready_s, first.total_s, stats::median(&further).unwrap_or(first.total_s), most))
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

/// The words of the plan: what there is room for, and what not; `None` where there is room for all or nothing is left out.
pub(super) fn foresees(states: &[CellState], cells: &[Resolved], settings: &Settings) -> Option<String> {
    let terms = Terms::of(settings, settings.budget_s.duration());
    let out = schedule::left_out(states, terms);
    if out.is_empty() {
        return None;
    }
    let tried = out.iter().any(|&place| states[place].expected.is_some_and(|expected| !expected.is_from_here));
    let unless = if tried { "unless they turn out quicker, " } else { "" };
    Some(format!(
        "The budget of {} has no room for all of them: {unless}{} will be left out ({}). --budget {} has room for all.",
        seconds(settings.budget_s.get()),
        several(out.len(), "cell"),
        named(&out, cells),
        proposed(schedule::needed_s(states, settings.launches.get()))
    ))
}

/// `tiny 512×512 f32; tiny 512×512 q4`: the comparisons of cells.
fn named(places: &[usize], cells: &[Resolved]) -> String {
    let mut names: Vec<String> = places.iter().map(|&place| &cells[place]).map(comparison).collect();
    names.dedup();
    names.join("; ")
}

fn comparison(cell: &Resolved) -> String {
    format!("{} {}", cell.cell.choice, cell.key.precision)
}

/// Puts rows into the record for cells that the budget had no room for, notes to those that have fewer launches than they were to have, and says both.
///
/// # Errors
/// The record cannot be written.
pub(super) fn close(
    store: &mut RunStore,
    states: &[CellState],
    cells: &[Resolved],
    settings: &Settings,
    spent_s: f64,
) -> Result<()> {
    let launches = settings.launches.get();
    let enough = proposed(spent_s + schedule::needed_s(states, launches));
    let budget = seconds(settings.budget_s.get());
    store.update(|run| {
        for row in &mut run.cells {
            row.warnings.retain(|warning| !matches!(warning, Warning::Said(words) if words.starts_with(FEWER)));
        }
    })?;
    let mut out = Vec::new();
    for (place, (state, cell)) in states.iter().zip(cells).enumerate() {
        let missing = state.missing(launches);
        if missing == 0 {
            continue;
        }
        if state.made > 0 {
            let had = format!("{} of {}", state.made, several(state.made + missing, "launch"));
            let words = format!("{FEWER}{had} in {budget}. --budget {enough} has room for all.");
            store.update(|run| {
                if let Some(row) = run.cells.iter_mut().find(|row| row.key == cell.key) {
                    row.warnings.push(Warning::Said(words));
                }
            })?;
            continue;
        }
        let each = schedule::next_s(states, place).map(|each| format!(" of about {} each", seconds(each)));
        let why = format!(
            "left out: the budget of {budget} had no room for its {}{}. --budget {enough} has room for it",
            several(missing, "launch"),
            each.unwrap_or_default()
        );
        store.put_cell(Row {
            device: cell.recorded_device(),
            ..Row::failed(cell.key.clone(), Status::Interrupted, why)
        })?;
        out.push(place);
    }
    if !out.is_empty() {
        crate::text::show(&format!(
            "\n{} left out of the budget of {budget}: {}. A run with --budget {enough} has room for all of the plan; {} adds them to this one.\n",
            several(out.len(), "cell"),
            named(&out, cells),
            crate::text::command(["ditbench".as_ref(), "run".as_ref(), "--resume".as_ref(), store.dir().as_os_str()])
        ));
    }
    Ok(())
}

impl Terms {
    /// Of a run with so much of its budget left.
    pub(super) fn of(settings: &Settings, left: Duration) -> Self {
        Self { launches: settings.launches.get(), left, leaves_out: settings.leaves_out }
    }
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
    use ditbench_record::{Launch, Sample};

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
    fn what_a_launch_took_is_images_and_getting_ready() {
        let image = |total_s| Sample { total_s, ..Sample::default() };
        let launch = Launch { samples: [5.0, 4.0, 4.0, 7.0].map(image).to_vec(), ..Launch::default() };
        let row = Row { launches: vec![launch], ..Row::default() };
        assert_eq!(least(&row, Duration::from_secs(22), 30), Some(Least { launch_s: 11.0, images_s: 9.0 }));
        assert_eq!(least(&Row::default(), Duration::from_secs(22), 30), None);
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
