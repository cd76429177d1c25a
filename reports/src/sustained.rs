//! A sustained run in numbers: how fast images come at first, from a cool machine; how fast when it has settled; how long until
//! something held it back, and what.
//!
//! Contract: of launches of `--sustained` alone, in which nothing but time ends a launch. A process's first image, with cold caches,
//! is no part of either level: "at first" is the first tenth of the others, "settled" the last third.

use std::borrow::Cow;

use crate::estimate::NO_LAUNCH;
use crate::record::{Cell, Launch, Reading, Run, Sample, Steady, SteadyState, held};
use crate::stats::median;

/// Fewer images than this have no beginning and end to be told apart.
const FEW: usize = 6;
/// A change within the settled part, as a share, above which it had not settled.
const STILL: f64 = 0.05;
/// Why other runs have none of these numbers.
const NOT_SUSTAINED: &str = "only runs with --sustained go on long enough to tell";

/// The images of a launch that count here, in order.
pub fn images(launch: &Launch) -> Vec<&Sample> {
    launch.samples.iter().filter(|sample| sample.image > 0 && sample.removed.is_none()).collect()
}

/// The last third of them.
pub fn settled_images(launch: &Launch) -> Vec<&Sample> {
    let mut images = images(launch);
    images.drain(..images.len() - images.len().div_ceil(3));
    images
}

/// A launch as it is summed up where nothing but its settled part counts: of a sustained run, with the process's first image and the
/// settled ones; else, or with too few images to tell, as it is.
pub fn settled_part<'a>(run: &Run, launch: &'a Launch) -> Cow<'a, Launch> {
    if !run.is_sustained() || images(launch).len() < FEW {
        return Cow::Borrowed(launch);
    }
    let settled: Vec<u32> = settled_images(launch).iter().map(|sample| sample.image).collect();
    let mut part = launch.clone();
    part.samples.retain(|sample| sample.image == 0 || settled.contains(&sample.image));
    // All of them count, whatever the whole launch did.
    part.steady = SteadyState { state: Steady::Flat, ..SteadyState::default() };
    Cow::Owned(part)
}

/// How fast a launch was at both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Median seconds of an image in the first tenth.
    pub at_first_s: f64,
    /// Median seconds of an image in the last third.
    pub settled_s: f64,
}

/// Both levels of a launch; why it has none.
pub fn levels(launch: &Launch) -> Reading<Levels> {
    let images = images(launch);
    let of = |images: &[&Sample]| median(&images.iter().map(|image| image.total_s).collect::<Vec<_>>());
    let levels = || {
        let at_first_s = of(&images[..images.len().div_ceil(10)])?;
        Some(Levels { at_first_s, settled_s: of(&settled_images(launch))? })
    };
    if images.len() < FEW {
        let count = images.len();
        return Reading::absent(format!(
            "{count} images after the first are too few to tell the beginning from the end: give a longer --sustained"
        ));
    }
    Reading::or_absent(levels(), NO_LAUNCH)
}

/// How much slower images still became within the settled part, as a share (less than 0: faster); `None` where they had settled.
pub fn still_moves(launch: &Launch) -> Option<f64> {
    let settled: Vec<f64> = settled_images(launch).iter().map(|image| image.total_s).collect();
    let (before, after) = settled.split_at(settled.len() / 2);
    let change = median(after)? / median(before)? - 1.0;
    (change.abs() > STILL).then_some(change)
}

fn of_sustained(run: &Run, launch: &Launch, of: fn(&Levels) -> f64) -> Reading<f64> {
    if run.is_sustained() { levels(launch).map(of) } else { Reading::absent(NOT_SUSTAINED) }
}

/// Seconds of an image of a launch when it has settled.
pub fn settled(run: &Run, launch: &Launch) -> Reading<f64> {
    of_sustained(run, launch, |levels| levels.settled_s)
}

/// Seconds of an image of a launch at first.
pub fn at_first(run: &Run, launch: &Launch) -> Reading<f64> {
    of_sustained(run, launch, |levels| levels.at_first_s)
}

/// When a sensor first said that a launch was held back, in seconds after it began.
pub fn first_cap_s(run: &Run, launch: &Launch) -> Option<f64> {
    held::spans(launch, &run.machine).first().map(|span| span.0)
}

/// Minutes until a sensor first said that a launch was held back: of the launch in which that was soonest.
pub fn first_cap_min(run: &Run, cell: &Cell) -> Reading<f64> {
    if !run.is_sustained() {
        return Reading::absent(NOT_SUSTAINED);
    }
    match cell.good_launches().filter_map(|launch| first_cap_s(run, launch)).min_by(f64::total_cmp) {
        Some(seconds) => Reading::Ok(seconds / 60.0),
        None => held_back(run, cell).and_then(|_| Reading::absent("no sensor said so while it ran")),
    }
}

/// What held a cell's launches back, each cause once and at its worst; empty where nothing did; why it is not known.
pub fn held_back(run: &Run, cell: &Cell) -> Reading<Vec<String>> {
    let causes = held::worst(cell.good_launches(), &run.machine);
    if !causes.is_empty() {
        return Reading::Ok(causes.iter().map(ToString::to_string).collect());
    }
    if cell.good_launches().next().is_none() {
        return Reading::absent(NO_LAUNCH);
    }
    if cell.good_launches().all(held::is_watched) {
        return Reading::Ok(Vec::new());
    }
    Reading::absent("nothing tells what clock the cores are allowed, nor how hot the machine takes itself to be")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{self, Metric};
    use crate::record::{Cluster, Machine, PhoneFacts, Status, Telemetry};

    /// A launch whose images took these seconds, the first one nine.
    fn launch(seconds: &[f64]) -> Launch {
        let images = (0..).zip(std::iter::once(&9.0).chain(seconds));
        let sample = |(image, &total_s): (u32, &f64)| Sample { image, total_s, ..Sample::default() };
        Launch { status: Status::Ok, samples: images.map(sample).collect(), ..Launch::default() }
    }

    fn seen(moments: &[(f64, f64)]) -> Vec<Telemetry> {
        let allowed = |mhz| [("cpu_big_allowed_mhz".to_owned(), Reading::Ok(mhz))].into();
        let moment = |&(at_s, mhz): &(f64, f64)| Telemetry { at_s, moment: "during".into(), readings: allowed(mhz) };
        moments.iter().map(moment).collect()
    }

    fn phone(launches: Vec<Launch>) -> Run {
        let big = Cluster { name: "big".into(), cpus: "4".into(), max_mhz: Some(3000.0), ..Cluster::default() };
        let phone = PhoneFacts { clusters: vec![big], ..PhoneFacts::default() };
        let mut run = Run { machine: Machine { phone: Some(phone), ..Machine::default() }, ..Run::default() };
        run.run.sustained_s = Some(600.0);
        run.cells = vec![Cell { status: Status::Ok, launches, ..Cell::default() }];
        run
    }

    #[test]
    fn the_first_and_the_settled_level_are_told_apart() {
        let hot: Vec<f64> = (0..119).map(|image| if image < 40 { 1.0 } else { 1.3 }).collect();
        assert_eq!(levels(&launch(&hot)), Reading::Ok(Levels { at_first_s: 1.0, settled_s: 1.3 }));
        assert!(levels(&launch(&hot[..5])).why().is_some_and(|why| why.starts_with("5 images")));
        // The median of the launches, as of every number; one with too few images for it has none.
        let mut run = phone([1.0, 2.0, 3.0].map(|level| launch(&[level; 9])).to_vec());
        run.cells[0].launches.insert(0, launch(&[9.0; 2]));
        let settled = |run: &Run| metric::of(Metric::SETTLED, run, &run.cells[0]).map(|figure| figure.value);
        assert_eq!(settled(&run), Reading::Ok(2.0));
        run.run.sustained_s = None;
        assert!(settled(&run).why().is_some_and(|why| why.contains("--sustained")));
    }

    #[test]
    fn what_is_settled_can_stand_for_a_whole_launch() {
        let hot: Vec<f64> = (0..30).map(|image| if image < 10 { 1.0 } else { 1.3 }).collect();
        let run = phone(vec![launch(&hot)]);
        let of = |run: &Run| {
            let part = settled_part(run, &run.cells[0].launches[0]).into_owned();
            (
                part.first().map(|image| image.total_s),
                part.timed().iter().map(|image| image.total_s).collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&run), (Some(9.0), vec![1.3; 10]));
        let mut short = run.clone();
        short.run.sustained_s = None;
        assert_eq!(of(&short).1.len(), 30, "a short launch is as it is");
    }

    #[test]
    fn a_launch_that_still_slows_down_at_its_end_has_not_settled() {
        let slowing: Vec<f64> = (0..90).map(|image| 1.0 + 0.01 * f64::from(image)).collect();
        let change = still_moves(&launch(&slowing)).unwrap();
        assert!((0.05..0.15).contains(&change), "{change}");
        assert_eq!(still_moves(&launch(&[1.3; 90])), None);
    }

    #[test]
    fn the_soonest_cap_of_all_launches_is_the_first() {
        let with = |moments: &[(f64, f64)]| Launch { telemetry: seen(moments), ..launch(&[1.0; 9]) };
        let capped = with(&[(0.0, 3000.0), (90.0, 2100.0), (150.0, 1500.0)]);
        let run = phone(vec![with(&[(0.0, 3000.0), (120.0, 1800.0)]), capped, with(&[(0.0, 3000.0)])]);
        assert_eq!(first_cap_min(&run, &run.cells[0]), Reading::Ok(1.5));
        let said = held_back(&run, &run.cells[0]);
        assert_eq!(said, Reading::Ok(vec!["big cores were limited to 50 % of their clock".to_owned()]), "at its worst");
        // Nothing held it back, as far as sensors tell; and nothing tells.
        let cool = phone(vec![with(&[(0.0, 3000.0), (300.0, 3000.0)])]);
        assert_eq!(held_back(&cool, &cool.cells[0]), Reading::Ok(Vec::new()));
        assert!(first_cap_min(&cool, &cool.cells[0]).why().is_some());
        let blind = phone(vec![launch(&[1.0; 9])]);
        assert!(held_back(&blind, &blind.cells[0]).why().is_some(), "unknown is not \"nothing\"");
    }
}
