//! The same cell alone and in company, side by side: what it costs an image that something else is at work too.
//!
//! Contract: within one run, and of one kind of time; what is said of several cells is of one device and one kind of time too. Company
//! is a scenario of its own, and nothing here ranks one against the other.

use crate::metric::Metric;
use crate::table::{Row, Table, group, groups};
use crate::text;

/// A cell and the same one in company, both of one run.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Alone.
    pub alone: &'a Row,
    /// In company.
    pub company: &'a Row,
}

impl Beside<'_> {
    /// How many times as long an image takes in company; `None` where one of the two has no time, or they are of two kinds.
    pub fn times(&self) -> Option<f64> {
        let same = kind(self.alone) == kind(self.company);
        let times = self.company.best_s().filter(|_| same)? / self.alone.best_s()?;
        times.is_finite().then_some(times)
    }

    /// `3.10 times as long (1.20 s against 0.387 s alone)`; told of what, where that is not the steady image.
    fn words(&self) -> Option<String> {
        let (times, alone, company) = (self.times()?, self.alone.best_s()?, self.company.best_s()?);
        let kind = kind(self.alone).map(|kind| format!(", {kind}s")).unwrap_or_default();
        Some(format!(
            "{} as long ({} against {} alone{kind})",
            in_words(times),
            text::seconds(company),
            text::seconds(alone)
        ))
    }
}

/// What a row's time is of, where that is not the steady image.
pub fn kind(row: &Row) -> Option<&'static str> {
    match row.rank().0 {
        0 => Some("settled image"),
        2 => Some("first image"),
        _ => None,
    }
}

/// `3.10 times`.
pub fn in_words(times: f64) -> String {
    format!("{}\u{a0}times", text::significant(times, 3))
}

/// Every cell in company with its twin that is alone, by workload and device as tables are, and in their order.
pub fn pairs(table: &Table) -> Vec<Beside<'_>> {
    let rows = groups(table).into_iter().flat_map(|(_, rows)| rows);
    // How long something else takes in company says nothing.
    let is_good = |row: &Row| row.has_figures() && !row.is_wrong();
    let beside = |company: &'_ Row| company.key.company > 0 && is_good(company);
    rows.filter(|row| beside(row))
        .filter_map(|company| {
            let alone = company.key.alone();
            let twin = |row: &&Row| row.run == company.run && row.key == alone && is_good(row);
            Some(Beside { alone: table.rows.iter().find(twin)?, company })
        })
        .collect()
}

/// What there is to say of each workload, device, company and kind of time, with what it is about.
pub fn sentences(table: &Table) -> Vec<(String, String)> {
    let mut all: Vec<(String, Vec<Beside>)> = Vec::new();
    for pair in pairs(table).into_iter().filter(|pair| pair.times().is_some()) {
        let Some(company) = pair.company.key.in_company() else { continue };
        let about = format!("{}, alone and {company}", group(pair.alone));
        let is_alike = |pairs: &[Beside]| pairs.iter().all(|other| kind(other.alone) == kind(pair.alone));
        match all.iter_mut().find(|(known, pairs)| *known == about && is_alike(pairs)) {
            Some((_, pairs)) => pairs.push(pair),
            None => all.push((about, vec![pair])),
        }
    }
    all.into_iter().filter_map(|(about, pairs)| Some((about, of_pairs(&pairs)?))).collect()
}

/// Of the one that is fastest alone; and how far the others lie apart.
fn of_pairs(pairs: &[Beside]) -> Option<String> {
    let time = |pair: &&Beside| pair.alone.best_s().unwrap_or(f64::INFINITY);
    let fastest = pairs.iter().min_by(|a, b| time(a).total_cmp(&time(b)))?;
    let threads = fastest.company.key.company;
    let busy = crate::record::disturbed::several(threads, "thread");
    let share = fastest.company.shown(Metric::COMPANY_SHARE);
    let got = share.map(|share| format!(", and the company gets {share} of what it gets done alone"));
    let mut says = format!(
        "With {busy} kept busy beside it, {} takes {}{}.",
        fastest.alone.label(),
        fastest.words()?,
        got.unwrap_or_default()
    );
    let times: Vec<f64> = pairs.iter().filter_map(Beside::times).collect();
    let ends = times.iter().copied().reduce(f64::min).zip(times.iter().copied().reduce(f64::max));
    if let Some((least, most)) = ends.filter(|_| times.len() > 1) {
        says.push_str(&format!(
            " Over all {} configurations it is {} to {}.",
            times.len(),
            text::significant(least, 3),
            in_words(most)
        ));
    }
    Some(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cell, CellKey, Company, Launch, Quality, Reading, Run, Sample, Status, StepDivergence};
    use crate::table;

    /// A run of a cell alone and in company, each with its seconds.
    fn run(alone: f64, company: f64) -> Run {
        let cell = |threads: u32, seconds: f64| {
            let image = |image| Sample { image, total_s: seconds, ..Sample::default() };
            let (units_per_s, alone_units_per_s) = (Reading::Ok(50.0), Reading::Ok(80.0));
            let beside = Company { threads, units_per_s, alone_units_per_s, ..Company::default() };
            let launch = Launch {
                status: Status::Ok,
                samples: (0..4).map(image).collect(),
                company: (threads > 0).then_some(beside),
                ..Launch::default()
            };
            let key = CellKey { model: "nano".into(), threads: 2, company: threads, ..CellKey::default() };
            Cell { key, status: Status::Ok, launches: vec![launch], ..Cell::default() }
        };
        Run { cells: vec![cell(0, alone), cell(1, company)], ..Run::default() }
    }

    #[test]
    fn a_cell_in_company_is_held_against_the_same_one_alone() {
        let run = run(0.5, 1.55);
        let table = table::of_runs(&[&run]);
        let said = sentences(&table);
        let [(about, says)] = said.as_slice() else { panic!("{said:?}") };
        assert!(about.ends_with("alone and in company of 1"), "{about}");
        let plain = says.replace('\u{a0}', " ");
        assert!(plain.contains("With 1 thread kept busy beside it") && plain.contains("3.10 times as long"), "{plain}");
        assert!(plain.contains("the company gets 62.5 % of what it gets done alone"), "{plain}");
        // Never in one table, so never ranked against each other.
        assert_eq!(table::groups(&table).len(), 2);
    }

    /// Each is said of its own: the fastest of one device is nothing to another's cells, nor a first image to steady ones.
    #[test]
    fn devices_and_kinds_of_time_are_told_apart() {
        let mut run = run(0.5, 1.0);
        let add = |run: &mut Run, seconds: [f64; 2], change: &dyn Fn(&mut Cell)| {
            for mut cell in self::run(seconds[0], seconds[1]).cells {
                change(&mut cell);
                run.cells.push(cell);
            }
        };
        add(&mut run, [0.1, 0.5], &|cell| cell.key.device = "gpu".into());
        add(&mut run, [0.2, 0.4], &|cell| {
            cell.key.precision = "q4".into();
            cell.launches[0].samples.truncate(1);
        });
        run.cells[0].key.device = "cpu".into();
        run.cells[1].key.device = "cpu".into();
        for cell in &mut run.cells[4..] {
            cell.key.device = "cpu".into();
        }
        let said = sentences(&table::of_runs(&[&run]));
        let [processor, first, gpu] = said.as_slice() else { panic!("{said:?}") };
        assert!(gpu.0.contains("on gpu") && gpu.1.contains("5.00"), "{gpu:?}");
        assert!(processor.1.contains("2.00") && !processor.1.contains("first images"), "{processor:?}");
        assert!(first.1.contains("first images"), "{first:?}");
        assert!(said.iter().all(|(_, says)| !says.contains("configurations")), "{said:?}");
    }

    #[test]
    fn without_a_twin_or_a_time_there_is_nothing_to_say() {
        let mut only = run(0.5, 1.5);
        only.cells.remove(0);
        assert!(sentences(&table::of_runs(&[&only])).is_empty());
        let mut first = run(0.5, 1.5);
        first.cells[1].launches[0].samples.truncate(1);
        assert!(sentences(&table::of_runs(&[&first])).is_empty(), "a first image against steady ones says nothing");
        // Another run's cell is measured at another time.
        let (mut a, mut b) = (run(0.5, 1.5), run(0.5, 1.5));
        (a.run.id, b.run.id) = ("a".into(), "b".into());
        a.cells.remove(1);
        b.cells.remove(0);
        assert!(pairs(&table::of_runs(&[&a, &b])).is_empty());
    }

    #[test]
    fn how_long_something_else_takes_in_company_says_nothing() {
        for place in [0, 1] {
            let mut run = run(0.5, 1.5);
            run.cells.iter_mut().for_each(|cell| cell.key.precision = "f32".into());
            assert_eq!(pairs(&table::of_runs(&[&run])).len(), 1);
            let latents = vec![StepDivergence { step: 0, relative_l2: 1.0, cosine: 0.0 }];
            let reference = format!("{}io.npz", Quality::EXPECTED);
            run.cells[place].quality = Reading::Ok(Quality { reference, latents, ..Quality::default() });
            assert!(pairs(&table::of_runs(&[&run])).is_empty(), "{place}");
        }
    }
}
