//! Plots: made from the table and the records, as SVG by plotters, in the page's colours, readable at 360 pixels.
//!
//! Contract: each plot is a [`Figure`] with an accessible name, a caption in plain words and, where points are numbered, a
//! key. A workload without the data for a plot has no such figure.

mod axis;
mod bars;
mod canvas;
pub(crate) mod history;
pub(crate) mod map;
mod panels;
pub(crate) mod parallel;
mod points;
pub(crate) mod profile;
pub(crate) mod scale;
mod strips;
mod sustained;
pub(crate) mod timeline;

pub use canvas::PlotError;

use crate::record::{Cell, Run};
use crate::table::{Row, Table, workload};

/// A cell, its run, and its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub run: &'a Run,
    pub cell: &'a Cell,
    pub row: &'a Row,
}

/// A plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows, for links: `stages`, `samples`, `memory`, `quality`, `peak`, `divergence`, `scale`.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// An SVG element whose colours are CSS classes of the page (`f-…` fills, `s-…` strokes).
    pub svg: String,
    /// What it shows and how to read it, in a sentence or a few.
    pub caption: String,
    /// What the numbers in it stand for: number, CSS class of its colour, label.
    pub key: Vec<(usize, String, String)>,
}

/// The plots of each workload that ended well, in the order in which workloads appear.
///
/// # Errors
/// The drawing library fails: a fault of this program.
pub fn of_runs(runs: &[&Run], table: &Table) -> Result<Vec<(String, Vec<Figure>)>, PlotError> {
    let mut groups: Vec<(String, Vec<Entry>)> = Vec::new();
    // The table has one row for each cell, in the same order.
    let cells = runs.iter().flat_map(|run| run.cells.iter().map(move |cell| (*run, cell)));
    for ((run, cell), row) in cells.zip(&table.rows) {
        if !row.has_figures() {
            continue;
        }
        let name = workload(&cell.key);
        let entry = Entry { run, cell, row };
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, entries)) => entries.push(entry),
            None => groups.push((name, vec![entry])),
        }
    }
    groups
        .into_iter()
        .map(|(name, mut entries)| {
            entries.sort_by(|a, b| a.row.rank().0.cmp(&b.row.rank().0).then(a.row.rank().1.total_cmp(&b.row.rank().1)));
            let figures = [
                sustained::curves(&name, &entries)?,
                bars::stages(&name, &entries)?,
                points::quality(&name, &entries)?,
                strips::samples(&name, &entries)?,
                bars::memory(&name, &entries)?,
                bars::share_of_peak(&name, &entries)?,
                points::divergence(&name, &entries)?,
            ];
            Ok((name, figures.into_iter().flatten().collect()))
        })
        .collect()
}
