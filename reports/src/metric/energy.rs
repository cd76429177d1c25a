//! The energy of an image: of a phone what its battery gave ([`crate::energy`]), else what the processor's packages used, by their
//! counter beside the timed images.
//!
//! Contract: of the counter, only readings between the beginning of the first timed image and the end of the last count, two of
//! them at least. One that ran over says nothing.

use super::taken::Figure;
use crate::energy::{self, Energy};
use crate::record::{Cell, Launch, Reading, Run, Telemetry};
use crate::stats::median;

/// Joules that all packages of the processor have used since some moment.
const PACKAGES: &str = "package_energy_j";

pub(super) fn of_image(run: &Run, cell: &Cell) -> Reading<Figure> {
    if run.machine.phone.is_some() {
        return of_battery(run, cell).map(|energy| energy.joules.into());
    }
    if !cell.is_on_processor() {
        return Reading::absent("it ran on another device, and only the processor's energy is known here");
    }
    let of_launches: Vec<Reading<Counted>> = cell.good_launches().map(|launch| of_packages(run, launch)).collect();
    let joules: Vec<f64> = of_launches.iter().filter_map(Reading::value).map(|counted| counted.joules).collect();
    match (median(&joules), of_launches.first()) {
        (Some(joules), _) => Reading::Ok(joules.into()),
        (None, Some(first)) => first.map(|counted| counted.joules.into()),
        (None, None) => Reading::absent(crate::estimate::NO_LAUNCH),
    }
}

/// How many readings [`of_image`] is made of.
pub(super) fn samples(run: &Run, cell: &Cell) -> Reading<Figure> {
    // A count of readings, exact as a float.
    let figure = |count: usize| Figure::from(count as f64);
    if run.machine.phone.is_some() {
        return of_battery(run, cell).map(|energy| figure(energy.samples));
    }
    of_image(run, cell).map(|_| {
        let of_launches = cell.good_launches().map(|launch| of_packages(run, launch));
        figure(of_launches.filter_map(|counted| counted.value().map(|counted| counted.readings)).sum())
    })
}

/// The share of a phone's battery that an hour takes.
pub(super) fn battery_share_per_hour(run: &Run, cell: &Cell) -> Reading<Figure> {
    if run.machine.phone.is_none() {
        return Reading::absent("only a phone reports its battery's capacity");
    }
    of_battery(run, cell).and_then(|energy| {
        let share = energy.percent_per_hour.map(|percent| Figure::from(percent / 100.0));
        Reading::or_absent(share, "the phone does not report its battery's capacity")
    })
}

fn of_battery(run: &Run, cell: &Cell) -> Reading<Energy> {
    energy::of_cell(run, cell, energy::meter(run).as_ref())
}

/// Joules of an image by a counter.
struct Counted {
    joules: f64,
    /// Readings of the counter within the timed images.
    readings: usize,
}

/// Mean power over the images that count, times the seconds of one of them.
fn of_packages(run: &Run, launch: &Launch) -> Reading<Counted> {
    let timed = energy::images(run, launch);
    let ends: Option<Vec<f64>> = timed.iter().map(|image| image.ended_s).collect();
    let Some(ends) = ends.filter(|ends| !ends.is_empty()) else {
        return Reading::absent("there are no timed images, or the record does not say when they were made");
    };
    let (from, to) = (ends[0] - timed[0].total_s, ends[ends.len() - 1]);
    let of = |one: &Telemetry| Some((one.at_s, *one.readings.get(PACKAGES)?.value()?));
    let within: Vec<(f64, f64)> =
        launch.telemetry.iter().filter_map(of).filter(|(at, _)| (from..=to).contains(at)).collect();
    let (Some(first), Some(last)) = (within.first(), within.last()) else { return Reading::absent(why_not(launch)) };
    let (seconds, joules) = (last.0 - first.0, last.1 - first.1);
    if seconds <= 0.0 {
        return Reading::absent(why_not(launch));
    }
    if joules < 0.0 {
        return Reading::absent("the processor's energy counter overflowed");
    }
    let of_images: f64 = timed.iter().map(|image| image.total_s).sum();
    let joules = joules / seconds * of_images / timed.len() as f64;
    Reading::Ok(Counted { joules, readings: within.len() })
}

/// The sensor's own reason, if it has one.
fn why_not(launch: &Launch) -> String {
    let readings = || launch.telemetry.iter().filter_map(|one| one.readings.get(PACKAGES));
    if readings().any(|reading| reading.value().is_some()) {
        return "the timed images were too short: two readings within them are needed, and there is one a second"
            .to_owned();
    }
    let said = readings().find_map(|reading| reading.why().map(str::to_owned));
    said.unwrap_or_else(|| "no sensor of energy was read".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::{Device, Sample, Status, Steady, SteadyState};

    /// A first image of 2 s, then four of half a second each from 2 s to 4 s on, with a reading each second.
    fn cell(readings: impl Fn(f64) -> Option<Reading<f64>>) -> Cell {
        let image = |image: u32, ended_s: f64, total_s: f64| Sample {
            image,
            total_s,
            ended_s: Some(ended_s),
            ..Sample::default()
        };
        let launch = Launch {
            status: Status::Ok,
            samples: vec![
                image(0, 2.0, 2.0),
                image(1, 2.5, 0.5),
                image(2, 3.0, 0.5),
                image(3, 3.5, 0.5),
                image(4, 4.0, 0.5),
            ],
            steady: SteadyState { state: Steady::Steady, from: Some(1), said: String::new() },
            telemetry: (0..6)
                .map(|second| {
                    let at_s = f64::from(second);
                    let readings = readings(at_s).map(|value| (PACKAGES.to_owned(), value));
                    Telemetry { at_s, moment: "during".into(), readings: BTreeMap::from_iter(readings) }
                })
                .collect(),
            ..Launch::default()
        };
        Cell { launches: vec![launch], ..Cell::default() }
    }

    fn joules(cell: &Cell) -> Reading<f64> {
        of_image(&Run::default(), cell).map(|figure| figure.value)
    }

    #[test]
    fn power_over_the_timed_images_times_the_seconds_of_one() {
        // 20 W while the timed images are made, ten times as much before and after.
        let counter = |at: f64| match at {
            at if at <= 2.0 => 200.0 * at,
            at if at <= 4.0 => 400.0 + 20.0 * (at - 2.0),
            at => 440.0 + 200.0 * (at - 4.0),
        };
        let counted = cell(|at| Some(Reading::Ok(counter(at))));
        assert_eq!(joules(&counted), Reading::Ok(10.0));
        assert_eq!(samples(&Run::default(), &counted).map(|figure| figure.value), Reading::Ok(3.0), "at 2, 3 and 4 s");
        assert!(battery_share_per_hour(&Run::default(), &counted).why().is_some());
        // What goes by between two images is no part of either.
        let mut apart = cell(|at| Some(Reading::Ok(counter(at))));
        for image in &mut apart.launches[0].samples[1..] {
            image.total_s = 0.25;
        }
        assert_eq!(joules(&apart), Reading::Ok(5.0));
    }

    #[test]
    fn the_processors_energy_is_not_another_devices() {
        let mut counted = cell(|at| Some(Reading::Ok(20.0 * at)));
        let of = |kind: &str| Some(Device { kind: Some(kind.into()), ..Device::default() });
        for (kind, known) in [("cpu", true), ("gpu", false), ("npu", false)] {
            counted.device = of(kind);
            assert_eq!(joules(&counted).value().is_some(), known, "{kind}");
            assert_eq!(samples(&Run::default(), &counted).value().is_some(), known, "{kind}");
        }
        assert!(joules(&counted).why().unwrap().contains("device"), "{:?}", joules(&counted));
    }

    #[test]
    fn a_phones_is_its_batterys() {
        let run = crate::sample_phone::run();
        let cell = run.cells.iter().find(|cell| cell.has_result()).unwrap();
        let own = energy::of_cell(&run, cell, energy::meter(&run).as_ref());
        assert_eq!(of_image(&run, cell).map(|figure| figure.value), own.map(|energy| energy.joules));
        assert_eq!(samples(&run, cell).map(|figure| figure.value), own.map(|energy| energy.samples as f64));
        let share = battery_share_per_hour(&run, cell).map(|figure| figure.value);
        assert!(share.value().is_some_and(|share| (0.01..1.0).contains(share)), "{share:?}");
    }

    #[test]
    fn what_no_sensor_says_is_absent_with_its_reason() {
        let why = |readings: &dyn Fn(f64) -> Option<Reading<f64>>| joules(&cell(readings)).why().unwrap().to_owned();
        assert!(why(&|_| None).contains("no sensor"));
        assert!(why(&|_| Some(Reading::denied("root only"))).contains("root only"));
        assert!(why(&|at| Some(Reading::Ok(-at))).contains("overflowed"));
        assert!(why(&|at| (at == 3.0).then_some(Reading::Ok(1.0))).contains("too short"));
        let mut unknown = cell(|at| Some(Reading::Ok(at)));
        unknown.launches[0].samples.iter_mut().for_each(|image| image.ended_s = None);
        assert!(joules(&unknown).why().unwrap().contains("does not say when"));
    }
}
