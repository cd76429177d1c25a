//! What a phone's battery gave while images were made.
//!
//! Contract: from the record alone. Vendors give the current in µA or in mA without saying which: the unit is decided once for
//! a run, from all that was seen, and the evidence is told. Where it is undecided, where it would be no phone's power, or where a
//! charger was plugged in, there are no watts, and the reason stands in their place.

use crate::record::{Cell, Launch, Reading, Run, Sample, Telemetry};
use crate::stats::median;
use crate::{sustained, text};

/// More than this no phone gives for longer than a blink.
const MOST_W: f64 = 25.0;
/// Less than this no phone takes while its cores compute.
const LEAST_W: f64 = 0.2;
/// Fewer samples than this are no mean.
const FEW: usize = 3;
/// A charge counter that fell by less, in Ah, says too little.
const LEAST_AH: f64 = 0.01;

/// Readings of the current as a source gives it, the best first, and what the source is.
const SOURCES: [(&str, &str); 3] = [
    ("battery_current_raw", "/sys/class/power_supply"),
    ("battery_current_service_raw", "dumpsys battery, \"current now\""),
    ("battery_current_cmd_raw", "cmd battery get current_now"),
];
/// The reading of the charge that is left, as the phone gives it.
const COUNTER: &str = "battery_charge_raw";

/// How the current of a run's phone is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Meter {
    /// The reading that it is from.
    reading: &'static str,
    /// Where the phone has it from.
    pub source: &'static str,
    /// Amperes of one of its counts.
    amperes: f64,
    /// Why this unit and no other.
    pub evidence: String,
}

/// Energy of a cell's images.
#[derive(Clone, Debug, PartialEq)]
pub struct Energy {
    /// Joules of one image.
    pub joules: f64,
    /// Mean watts while images were made.
    pub watts: f64,
    /// Samples of which this is the mean; 0 where the charge counter alone told.
    pub samples: usize,
    /// Percent of the battery that an hour of this takes, where its size is known.
    pub percent_per_hour: Option<f64>,
    /// Where the phone has it from.
    pub source: &'static str,
}

/// How a run's current is to be read; why it cannot be; `None` for a run in which no current was read.
pub fn meter(run: &Run) -> Option<Reading<Meter>> {
    let launches = || run.cells.iter().flat_map(|cell| &cell.launches);
    let (reading, source) = SOURCES
        .into_iter()
        .find(|(reading, _)| launches().any(|l| l.telemetry.iter().any(|m| value(m, reading).is_some())))?;
    let counts = |launches: &mut dyn Iterator<Item = &Launch>| {
        let during = launches.flat_map(during).filter_map(|moment| value(moment, reading));
        let mut counts: Vec<f64> = during.map(f64::abs).collect();
        counts.sort_by(f64::total_cmp);
        counts
    };
    let volts: Vec<f64> =
        launches().flat_map(|l| &l.telemetry).filter_map(|moment| value(moment, "battery_v")).collect();
    let Some(volts) = median(&volts) else { return Some(Reading::absent("the battery's voltage is not known")) };
    let all = counts(&mut launches());
    // Nearly the largest: a single nonsense decides nothing.
    let most = *all.get((all.len() * 19).div_ceil(20).checked_sub(1)?)?;
    // Only where nothing else feeds the phone must the battery give what it uses.
    let alone = median(&counts(&mut launches().filter(|launch| charging(launch) == Some(false))));
    let watts = |count: f64, amperes: f64| count * amperes * volts;
    let impossible = |(name, amperes): (&str, f64)| {
        if watts(most, amperes) > MOST_W {
            return Some(format!("{name} would be {} W", text::significant(watts(most, amperes), 2)));
        }
        let alone = alone.filter(|&alone| watts(alone, amperes) < LEAST_W)?;
        Some(format!("{name} would be {} W, without a charger", text::significant(watts(alone, amperes), 1)))
    };
    let (micro, milli) = (("µA", 1e-6), ("mA", 1e-3));
    let seen = format!("up to {} at {} V", text::significant(most, 4), text::significant(volts, 3));
    let taken = |(name, amperes): (&str, f64), why: String| {
        Reading::Ok(Meter { reading, source, amperes, evidence: format!("{name}: {seen}; {why}") })
    };
    Some(match (impossible(micro), impossible(milli)) {
        (None, Some(why)) => taken(micro, why),
        (Some(why), None) => taken(milli, why),
        (None, None) => Reading::absent(format!(
            "the current ({seen}) may be in µA or in mA: a charger was plugged in, so that neither is impossible"
        )),
        (Some(one), Some(other)) => {
            Reading::absent(format!("the current ({seen}) cannot be that of a phone at work: {one}, {other}"))
        }
    })
}

/// Watts at moments of a launch.
///
/// # Errors
/// Why there are none.
pub fn watts(launch: &Launch, meter: &Meter) -> Result<Vec<(f64, f64)>, String> {
    on_its_own(launch)?;
    let (mut watts, mut volts) = (Vec::new(), None);
    let mut impossible = 0;
    for moment in during(launch) {
        volts = value(moment, "battery_v").or(volts);
        if let (Some(count), Some(volts)) = (value(moment, meter.reading), volts) {
            let power = count.abs() * meter.amperes * volts;
            if power <= MOST_W { watts.push((moment.at_s, power)) } else { impossible += 1 }
        }
    }
    // One in twenty may be nonsense, and is left out.
    if impossible * 20 > watts.len() {
        return Err(format!("{impossible} samples of the current are impossible for a phone: more than {MOST_W:.0} W"));
    }
    Ok(watts)
}

/// The energy of one image of a cell, or why it is not known.
pub fn of_cell(run: &Run, cell: &Cell, meter: Option<&Reading<Meter>>) -> Reading<Energy> {
    let of_launch = |launch: &Launch| -> Result<Energy, String> {
        match meter {
            Some(Reading::Ok(meter)) => by_current(run, launch, meter),
            Some(Reading::Denied { why } | Reading::Absent { why }) => by_counter(run, launch).map_err(|_| why.clone()),
            None => by_counter(run, launch),
        }
    };
    let (mut known, mut why) = (Vec::new(), "no launch succeeded".to_owned());
    for launch in cell.good_launches() {
        match of_launch(launch) {
            Ok(energy) => known.push(energy),
            Err(reason) => why = reason,
        }
    }
    let Some(first) = known.first() else { return Reading::absent(why) };
    // A launch of more samples is known better.
    let weight = |energy: &Energy| energy.samples.max(1) as f64;
    let whole: f64 = known.iter().map(weight).sum();
    let mean =
        |of: &dyn Fn(&Energy) -> f64| known.iter().map(|energy| weight(energy) * of(energy)).sum::<f64>() / whole;
    let percent = known.iter().all(|energy| energy.percent_per_hour.is_some());
    Reading::Ok(Energy {
        joules: mean(&|energy| energy.joules),
        watts: mean(&|energy| energy.watts),
        samples: known.iter().map(|energy| energy.samples).sum(),
        percent_per_hour: percent.then(|| mean(&|energy| energy.percent_per_hour.unwrap_or_default())),
        source: first.source,
    })
}

/// The images that a launch is summed up by: where heat is what is measured, the settled ones.
pub(crate) fn images<'a>(run: &Run, launch: &'a Launch) -> Vec<&'a Sample> {
    if run.is_sustained() { sustained::settled_images(launch) } else { launch.timed() }
}

fn by_current(run: &Run, launch: &Launch, meter: &Meter) -> Result<Energy, String> {
    let images = images(run, launch);
    let (Some(first), Some(last)) = (images.first(), images.last()) else {
        return Err("there is only the first image".into());
    };
    let from = first.ended_s.map(|end| end - first.total_s);
    let (Some(from), Some(to)) = (from, last.ended_s) else { return Err("images without times".into()) };
    let watts: Vec<f64> =
        watts(launch, meter)?.into_iter().filter(|(at, _)| (from..=to).contains(at)).map(|w| w.1).collect();
    if watts.len() < FEW {
        return Err(format!("only {} samples of the current fall within the images that count", watts.len()));
    }
    let watts_mean = watts.iter().sum::<f64>() / watts.len() as f64;
    Ok(Energy {
        joules: watts_mean * seconds(&images),
        watts: watts_mean,
        samples: watts.len(),
        percent_per_hour: percent_per_hour(launch, watts_mean),
        source: meter.source,
    })
}

/// By the charge that was left before and after: coarse, and of the whole launch.
fn by_counter(run: &Run, launch: &Launch) -> Result<Energy, String> {
    on_its_own(launch)?;
    let images = images(run, launch);
    if images.is_empty() {
        return Err("there is only the first image".into());
    }
    let unknown = || "no source reports the battery's current".to_owned();
    let charges: Vec<(f64, f64)> =
        launch.telemetry.iter().filter_map(|moment| Some((moment.at_s, value(moment, COUNTER)?))).collect();
    let (first, last) = charges.first().zip(charges.last()).ok_or_else(unknown)?;
    let unit = ampere_hours(launch).ok_or_else(unknown)?;
    let (fell, hours) = ((first.1 - last.1) * unit, (last.0 - first.0) / 3600.0);
    let volts = volts(launch).ok_or_else(unknown)?;
    if fell < LEAST_AH || hours <= 0.0 {
        return Err("no source reports the battery's current, and its charge fell by too little to tell".into());
    }
    let watts = fell / hours * volts;
    if !(LEAST_W..=MOST_W).contains(&watts) {
        return Err(format!("by its charge the battery would have given {} W", text::significant(watts, 2)));
    }
    Ok(Energy {
        joules: watts * seconds(&images),
        watts,
        samples: 0,
        percent_per_hour: percent_per_hour(launch, watts),
        source: "the charge before and after",
    })
}

/// Mean seconds of an image.
fn seconds(images: &[&Sample]) -> f64 {
    images.iter().map(|image| image.total_s).sum::<f64>() / images.len() as f64
}

/// Percent of the battery that an hour at so many watts takes.
fn percent_per_hour(launch: &Launch, watts: f64) -> Option<f64> {
    let full = full_charge(launch)? * ampere_hours(launch)?;
    Some(100.0 * watts / volts(launch)? / full)
}

/// The charge of the full battery, in counts, by what is left of it and the percent that this is.
fn full_charge(launch: &Launch) -> Option<f64> {
    launch.telemetry.iter().find_map(|moment| {
        let percent = value(moment, "battery_percent").filter(|&percent| percent >= 5.0)?;
        Some(100.0 * value(moment, COUNTER)? / percent)
    })
}

/// Ampere-hours of a count: the unit in which the full battery is one of a phone's or a tablet's.
fn ampere_hours(launch: &Launch) -> Option<f64> {
    let full = full_charge(launch)?;
    [1e-6, 1e-3].into_iter().find(|unit| (0.5..=15.0).contains(&(full * unit)))
}

fn volts(launch: &Launch) -> Option<f64> {
    median(&launch.telemetry.iter().filter_map(|moment| value(moment, "battery_v")).collect::<Vec<_>>())
}

/// Whether a charger was plugged in at any time; `None` where nothing tells.
fn charging(launch: &Launch) -> Option<bool> {
    let told: Vec<f64> = launch.telemetry.iter().filter_map(|moment| value(moment, "charging")).collect();
    (!told.is_empty()).then(|| told.iter().any(|charging| *charging > 0.0))
}

/// Only on its own battery does a phone take from it what it uses.
fn on_its_own(launch: &Launch) -> Result<(), String> {
    match charging(launch) {
        Some(false) => Ok(()),
        Some(true) => Err("a charger was plugged in: the battery's power is not that of the run".into()),
        None => Err("it is not known whether a charger was plugged in".into()),
    }
}

fn during(launch: &Launch) -> impl Iterator<Item = &Telemetry> {
    launch.telemetry.iter().filter(|moment| moment.moment == "during")
}

fn value(moment: &Telemetry, name: &str) -> Option<f64> {
    moment.readings.get(name).and_then(Reading::value).copied().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Status, Steady, SteadyState};

    /// A run of one launch: an image a second, and a sample of the current with each.
    fn run(currents: &[f64], volts: f64, charging: f64) -> Run {
        let ok = |name: &str, value: f64| (name.to_owned(), Reading::Ok(value));
        let count = currents.len();
        let telemetry = currents.iter().enumerate().map(|(at, current)| Telemetry {
            at_s: at as f64 + 0.5,
            moment: "during".into(),
            readings: [ok("battery_current_raw", *current), ok("battery_v", volts), ok("charging", charging)].into(),
        });
        let sample =
            |image: u32| Sample { image, total_s: 1.0, ended_s: Some(f64::from(image) + 1.0), ..Sample::default() };
        let launch = Launch {
            status: Status::Ok,
            telemetry: telemetry.collect(),
            samples: (0..count as u32).map(sample).collect(),
            steady: SteadyState { state: Steady::Flat, ..SteadyState::default() },
            ..Launch::default()
        };
        let cell = Cell { status: Status::Ok, launches: vec![launch], ..Cell::default() };
        Run { cells: vec![cell], ..Run::default() }
    }

    fn unit(run: &Run) -> Reading<f64> {
        match meter(run).unwrap() {
            Reading::Ok(meter) => Reading::Ok(meter.amperes),
            Reading::Denied { why } | Reading::Absent { why } => Reading::absent(why),
        }
    }

    fn energy(run: &Run) -> Reading<Energy> {
        of_cell(run, &run.cells[0], meter(run).as_ref())
    }

    #[test]
    fn the_unit_is_that_in_which_a_phone_is_possible() {
        let micro = run(&[-850_000.0, -900_000.0, -12_000.0], 4.0, 0.0);
        assert_eq!(unit(&micro), Reading::Ok(1e-6));
        let Some(Reading::Ok(meter)) = meter(&micro) else { panic!() };
        assert_eq!(meter.evidence, "µA: up to 900000 at 4.00 V; mA would be 3600 W");
        assert_eq!(unit(&run(&[850.0, 20.0, 900.0], 3.9, 0.0)), Reading::Ok(1e-3));
    }

    #[test]
    fn near_zero_the_unit_of_a_run_stays() {
        // Full, on a cable, in µA: as mA it would have been 52 W. There are no watts: the charger feeds the phone.
        let full = run(&[-11_718.0; 5], 4.446, 1.0);
        assert_eq!(unit(&full), Reading::Ok(1e-6));
        assert!(energy(&full).why().is_some_and(|why| why.contains("charger")), "{:?}", energy(&full));
        // Charging switched off on the cable: nothing tells the unit.
        let off = run(&[976.0; 5], 3.815, 1.0);
        assert!(unit(&off).why().is_some_and(|why| why.contains("may be in µA or in mA")), "{:?}", unit(&off));
        // -25000, a second later -15000: one phone, one unit, and no 60 W.
        let falls = run(&[-25_000.0, -15_000.0, -25_000.0, -15_000.0], 4.0, 1.0);
        assert_eq!(unit(&falls), Reading::Ok(1e-6));
        // On its battery it would be no phone's at work in either unit.
        let alone = run(&[-25_000.0, -15_000.0, -25_000.0, -15_000.0], 4.0, 0.0);
        assert!(unit(&alone).why().is_some_and(|why| why.contains("cannot be that of a phone")), "{:?}", unit(&alone));
        assert!(energy(&alone).why().is_some(), "60 W must not be");
    }

    #[test]
    fn joules_are_watts_times_seconds_of_the_images_that_count() {
        let mut one = run(&[-9_000_000.0 / 4.0, -1_000_000.0, -1_200_000.0, -800_000.0, -1_000_000.0], 4.0, 0.0);
        let Reading::Ok(energy_of_one) = energy(&one) else { panic!("{:?}", energy(&one)) };
        assert_eq!((energy_of_one.joules, energy_of_one.samples), (4.0, 4), "the first image does not count");
        assert_eq!((energy_of_one.percent_per_hour, energy_of_one.source), (None, "/sys/class/power_supply"));
        let readings = &mut one.cells[0].launches[0].telemetry[0].readings;
        readings.insert(COUNTER.into(), Reading::Ok(2_500_000.0));
        readings.insert("battery_percent".into(), Reading::Ok(50.0));
        let percent = energy(&one).value().and_then(|energy| energy.percent_per_hour);
        assert_eq!(percent, Some(20.0), "1 A of 5 Ah");
        one.cells[0].launches[0].samples.truncate(3);
        assert!(energy(&one).why().is_some_and(|why| why.contains("only 2 samples")), "{:?}", energy(&one));
    }

    #[test]
    fn a_sample_that_no_phone_gives_leaves_no_watts() {
        let spike = run(&[-1_000_000.0, -1_000_000.0, -1_000_000.0, -15_000_000.0, -1_000_000.0], 4.0, 0.0);
        assert!(energy(&spike).why().is_some(), "60 W in one sample");
    }

    #[test]
    fn what_nothing_tells_is_not_known() {
        let mut silent = run(&[-850_000.0; 5], 4.0, 0.0);
        for moment in &mut silent.cells[0].launches[0].telemetry {
            moment.readings.remove("charging");
        }
        assert!(energy(&silent).why().is_some_and(|why| why.contains("not known whether a charger")));
        let mut none = run(&[-850_000.0; 5], 4.0, 0.0);
        for moment in &mut none.cells[0].launches[0].telemetry {
            moment.readings.remove("battery_current_raw");
        }
        assert_eq!(meter(&none), None);
        assert!(energy(&none).why().is_some_and(|why| why.contains("no source")), "{:?}", energy(&none));
    }

    #[test]
    fn the_charge_before_and_after_tells_where_nothing_else_does() {
        let mut long = run(&[0.0; 600], 4.0, 0.0);
        let telemetry = &mut long.cells[0].launches[0].telemetry;
        for moment in telemetry.iter_mut() {
            moment.readings.remove("battery_current_raw");
        }
        for (at, charge) in [(0, 2_500_000.0), (599, 2_350_250.0)] {
            telemetry[at].readings.insert(COUNTER.into(), Reading::Ok(charge));
            telemetry[at].readings.insert("battery_percent".into(), Reading::Ok(50.0));
        }
        let Reading::Ok(found) = energy(&long) else { panic!("{:?}", energy(&long)) };
        assert!((found.watts - 3.6).abs() < 1e-9 && found.samples == 0, "{found:?}");
        assert_eq!(found.source, "the charge before and after");
        // A tenth of a percent is too little.
        long.cells[0].launches[0].telemetry[599].readings.insert(COUNTER.into(), Reading::Ok(2_495_000.0));
        assert!(energy(&long).why().is_some_and(|why| why.contains("too little")));
    }
}
