//! CSV: the table; a run's samples are [`ditbench_record::csv`]'s.
//!
//! Contract: one header line, RFC 4180 quoting, decimal points, empty where there is no value; a text is one line without
//! control characters. Columns are only ever added at the end.

use std::io::{self, Write};

use ditbench_record::Reading;
use ditbench_record::csv::{KEY_COLUMNS, key_values, more_columns};

use crate::caution::Caution;
use crate::estimate::Estimate;
use crate::metric::{Csv, Figure, Metric};
use crate::published::Published;
use crate::table::{Row, Table};
use crate::text::one_line;

/// A column of a table that holds words, and its place among all.
struct Words {
    place: u16,
    name: &'static str,
    of: fn(&Row) -> String,
}

/// What is no number of [`crate::metric::ALL`].
const WORDS: [Words; 12] = [
    Words { place: 10, name: "status", of: |row| row.status.name().to_owned() },
    Words { place: 20, name: "reason", of: |row| row.reason.clone().unwrap_or_default() },
    Words { place: 30, name: "numerics", of: |row| row.numerics.value().cloned().unwrap_or_default() },
    Words { place: 50, name: "interval", of: |row| of_estimate(row, |estimate| estimate.interval.clone()) },
    Words { place: 60, name: "launches", of: |row| of_estimate(row, |estimate| estimate.launches.to_string()) },
    Words { place: 70, name: "images", of: |row| of_estimate(row, |estimate| estimate.images.to_string()) },
    Words { place: 200, name: "reference", of: reference },
    Words { place: 260, name: "cautions", of: cautions },
    Words { place: 420, name: "cpus", of: |row| row.key.cpus.clone() },
    Words { place: 430, name: "machine", of: |row| row.machine.clone() },
    Words { place: 440, name: "conditions", of: |row| row.conditions.clone() },
    Words { place: 750, name: "held_back", of: held_back },
];

fn of_estimate(row: &Row, of: impl Fn(&Estimate) -> String) -> String {
    row.image_s.value().map(of).unwrap_or_default()
}

fn reference(row: &Row) -> String {
    match &row.reference {
        Reading::Ok(reference) => reference.clone(),
        Reading::Denied { why } | Reading::Absent { why } => format!("none: {why}"),
    }
}

/// By what; `nothing` where sensors told and nothing did; empty where that is not known.
fn held_back(row: &Row) -> String {
    match row.held_back.value() {
        Some(causes) if causes.is_empty() => "nothing".to_owned(),
        Some(causes) => causes.join("; "),
        None => String::new(),
    }
}

fn cautions(row: &Row) -> String {
    row.cautions.iter().map(Caution::short).collect::<Vec<_>>().join("; ")
}

/// A column of a table.
enum Column {
    Words(&'static Words),
    Number(Metric),
    Low(Metric),
    High(Metric),
}

impl Column {
    /// All of a table, in their order.
    fn all(table: &Table) -> Vec<Self> {
        let mut columns: Vec<(u16, Self)> = WORDS.iter().map(|words| (words.place, Self::Words(words))).collect();
        for metric in Metric::all() {
            match metric.definition().csv {
                Csv::Column(place) => columns.push((place, Self::Number(metric))),
                Csv::Bounded(place) => columns.extend([
                    (place, Self::Number(metric)),
                    (place, Self::Low(metric)),
                    (place, Self::High(metric)),
                ]),
                Csv::WhereKnown(place) if table.rows.iter().any(|row| row.value(metric).is_some()) => {
                    columns.push((place, Self::Number(metric)));
                }
                Csv::WhereKnown(_) | Csv::Not => {}
            }
        }
        // A stable sort: a number's bounds stay behind it.
        columns.sort_by_key(|(place, _)| *place);
        columns.into_iter().map(|(_, column)| column).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Words(words) => words.name.to_owned(),
            Self::Number(metric) => metric.name(),
            Self::Low(metric) => format!("{metric}_low"),
            Self::High(metric) => format!("{metric}_high"),
        }
    }

    fn of(&self, row: &Row) -> String {
        let figure =
            |metric: &Metric, of: fn(&Figure) -> Option<f64>| number(row.numbers.get(*metric).value().and_then(of));
        match self {
            Self::Words(words) => one_line(&(words.of)(row)),
            Self::Number(metric) => figure(metric, |figure| Some(figure.value)),
            Self::Low(metric) => figure(metric, |figure| figure.low),
            Self::High(metric) => figure(metric, |figure| figure.high),
        }
    }

    fn of_paper(&self, paper: &Published) -> String {
        match self {
            Self::Words(Words { name: "status", .. }) => "published".to_owned(),
            Self::Words(Words { name: "reason", .. }) => format!("other hardware: {}", paper.source),
            Self::Number(metric) => number(paper.value(*metric)),
            Self::Words(_) | Self::Low(_) | Self::High(_) => String::new(),
        }
    }
}

/// A number as it is read back, or nothing: what is infinite, such as the PSNR of identical pictures, is none.
fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default()
}

/// The table, one line for each cell, then the paper's rows for the models that are in it, with `published` as their run
/// and status. Behind all other columns stands what else names a cell, where one has a value in it
/// ([`more_columns`]). Seconds,
/// bytes, 10⁹ FLOPs a second.
///
/// # Errors
/// Whatever `out` fails with.
pub fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let columns = Column::all(table);
    let more = more_columns(table.rows.iter().map(|row| &row.key));
    let names = columns.iter().map(Column::name).chain(more.iter().map(|column| column.name()));
    writer.write_record(["run"].iter().chain(&KEY_COLUMNS).map(|name| (*name).to_owned()).chain(names))?;
    for row in &table.rows {
        let more = more.iter().map(|column| column.of(&row.key));
        let values = columns.iter().map(|column| column.of(row)).chain(more);
        writer.write_record(std::iter::once(one_line(&row.run)).chain(key_values(&row.key)).chain(values))?;
    }
    for paper in table.published.iter().filter(|paper| table.rows.iter().any(|row| row.key.name() == paper.model)) {
        // By name, because most columns stay empty.
        let of_key = |column: &&str| match *column {
            "model" => paper.model.clone(),
            "height" | "width" => paper.size.to_string(),
            "backend" => paper.runtime.clone().unwrap_or_default(),
            "device" | "machine" => paper.hardware.clone(),
            "precision" => paper.precision.unwrap_or_default().to_owned(),
            "steps" => paper.steps.map(|steps| steps.to_string()).unwrap_or_default(),
            _ => String::new(),
        };
        let values = columns.iter().map(|column| column.of_paper(paper)).chain(more.iter().map(|_| String::new()));
        writer
            .write_record(["published".to_owned()].into_iter().chain(KEY_COLUMNS.iter().map(of_key)).chain(values))?;
    }
    writer.flush()
}
