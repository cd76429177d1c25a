//! What there is to caution of a cell: found in its record alone.

use super::{Caution, FEW_LAUNCHES};
use crate::record::disturbed;
use crate::record::held;
use crate::record::{Cell, Kind, Launch, Run, Status, Steady};
use crate::tolerance::{self, Suspicion};
use crate::{roof, stats, sustained, withheld};

/// What a reader should know of a cell. A cell without a good launch has its reason and no cautions but the recorded ones.
pub fn of_cell(run: &Run, cell: &Cell) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if cell.has_result() {
        let good: Vec<&Launch> = cell.good_launches().collect();
        of_failures(cell, &good, &mut cautions);
        match cell.device.as_ref().filter(|device| !device.shows_speed()) {
            // What disturbs times disturbs nothing here.
            Some(device) => cautions.push(Caution::Unreal {
                why: withheld::reason(&cell.key.device, device),
                nature: device.nature.clone(),
            }),
            None => {
                of_launches(run, &good, &mut cautions);
                of_machine(run, cell, &good, &mut cautions);
            }
        }
        for stage in &cell.placement {
            if let Some(share) = stage.share_on_asked().filter(|share| *share < 1.0) {
                cautions.push(Caution::FallBack { stage: stage.stage.clone(), share, asked: stage.asked.clone() });
            }
        }
        cautions.extend(tolerance::suspect(run, cell).map(|found| match found {
            Suspicion::Wrong(why) => Caution::WrongResult { why },
            Suspicion::Disputed(why) => Caution::DisputedResult { why },
        }));
        if cell.quality.value().and_then(|quality| quality.rerun_equal_bytes.value()) == Some(&false) {
            cautions.push(Caution::NotRepeatable);
        }
    }
    cautions.extend(
        cell.weights.iter().flat_map(|weights| &weights.expanded).map(|what| Caution::Expanded { what: what.clone() }),
    );
    for warning in &cell.warnings {
        let caution = match warning.kind() {
            Some(Kind::NotDeterministic) => Caution::NotRepeatable,
            _ => Caution::Said { what: warning.to_string() },
        };
        if !cautions.contains(&caution) {
            cautions.push(caution);
        }
    }
    cautions
}

fn of_failures(cell: &Cell, good: &[&Launch], cautions: &mut Vec<Caution>) {
    let all = cell.launches.len();
    if let Some(bad) = cell.launches.iter().find(|launch| launch.status != Status::Ok) {
        let reason = bad.reason.clone().unwrap_or_else(|| bad.status.name().to_owned());
        cautions.push(Caution::FailedLaunches { launches: all - good.len(), of: all, reason });
    }
}

fn of_launches(run: &Run, good: &[&Launch], cautions: &mut Vec<Caution>) {
    let sustained = run.is_sustained();
    let launches = good.iter().filter(|launch| held::back(launch, &run.machine).is_some()).count();
    if launches > 0 {
        let what = held::words(&held::worst(good.iter().copied(), &run.machine));
        cautions.push(Caution::HeldBack { launches, of: good.len(), what, sustained });
    }
    if sustained {
        let moved: Vec<f64> = good.iter().filter_map(|launch| sustained::still_moves(launch)).collect();
        if let Some(&change) = moved.iter().max_by(|a, b| a.abs().total_cmp(&b.abs())) {
            cautions.push(Caution::NotSettled { launches: moved.len(), of: good.len(), change });
        }
    }
    let drifting: Vec<&&Launch> =
        good.iter().filter(|launch| !matches!(launch.steady.state, Steady::Steady | Steady::Flat)).collect();
    // That it slows down is what a sustained launch is made for.
    if let Some(first) = drifting.first().filter(|_| !sustained) {
        let state = first.steady.state.name();
        cautions.push(Caution::NotSteady { launches: drifting.len(), of: good.len(), state });
    }
    if (1..FEW_LAUNCHES).contains(&good.len()) {
        cautions.push(Caution::FewLaunches { launches: good.len() });
    }
    let totals: Vec<Vec<f64>> =
        good.iter().map(|launch| launch.timed().iter().map(|sample| sample.total_s).collect()).collect();
    if let Some((fast_s, slow_s)) = two_groups(&totals) {
        cautions.push(Caution::Bimodal { fast_s, slow_s });
    }
    let outliers: usize = totals.iter().map(|totals| stats::outliers::tukey_outliers(totals).len()).sum();
    if outliers > 0 {
        cautions.push(Caution::Outliers { samples: outliers, of: totals.iter().map(Vec::len).sum() });
    }
    let removed: Vec<&String> =
        good.iter().flat_map(|launch| &launch.samples).filter_map(|sample| sample.removed.as_ref()).collect();
    if !removed.is_empty() {
        let mut causes: Vec<String> = removed.iter().map(|cause| (*cause).clone()).collect();
        causes.sort();
        causes.dedup();
        cautions.push(Caution::Removed { samples: removed.len(), causes });
    }
}

/// What the machine's state does to the times of launches.
fn of_machine(run: &Run, cell: &Cell, good: &[&Launch], cautions: &mut Vec<Caution>) {
    // Runs that judge pictures time nothing.
    if good.iter().all(|launch| launch.samples.is_empty()) {
        return;
    }
    let (threads, of) = (cell.key.threads, good.len());
    let cpus = good.iter().filter_map(|launch| disturbed::cpus_for(&run.machine, launch)).min();
    if let Some(cpus) = cpus.filter(|&cpus| threads > cpus) {
        cautions.push(Caution::MoreThreads { threads, cpus });
    }
    let loads = good.iter().filter_map(|launch| launch.foreign.value());
    let mut busy: Vec<_> = loads.clone().filter(|load| disturbed::is_busy(load, threads)).collect();
    busy.sort_by(|a, b| a.share().total_cmp(&b.share()));
    if let Some(most) = busy.last() {
        cautions.push(Caution::Busy { launches: busy.len(), of, load: (*most).clone() });
    }
    let stolen: Vec<f64> = loads.filter_map(disturbed::stolen).collect();
    if let Some(share) = stolen.iter().copied().max_by(f64::total_cmp) {
        cautions.push(Caution::Stolen { launches: stolen.len(), of, share });
    }
    if let Some(why) = good.iter().find_map(|launch| launch.foreign.why()) {
        cautions.push(Caution::LoadUnknown { why: why.to_owned() });
    }
    let short = good.iter().filter_map(|launch| disturbed::short_of_memory(launch));
    if let Some(percent) = short.max_by(f64::total_cmp) {
        cautions.push(Caution::ShortOfMemory { percent });
    }
    if let Some(why) = roof::doubt_of(run, cell) {
        cautions.push(Caution::DoubtfulPeak { why });
    }
}

/// Whether the launches' medians split in two at a gap of at least 5 %, which is also wider than either group's own
/// spread: the medians of both groups. At least 4 launches, two in each group.
fn two_groups(totals: &[Vec<f64>]) -> Option<(f64, f64)> {
    let mut medians: Vec<f64> = totals.iter().filter_map(|totals| stats::median(totals)).collect();
    medians.sort_by(f64::total_cmp);
    if medians.len() < 4 {
        return None;
    }
    let cut = (2..=medians.len() - 2)
        .max_by(|&a, &b| (medians[a] - medians[a - 1]).total_cmp(&(medians[b] - medians[b - 1])))?;
    let (fast, slow) = medians.split_at(cut);
    let gap = slow[0] - fast[fast.len() - 1];
    let spread = |group: &[f64]| group[group.len() - 1] - group[0];
    let clear = gap > 0.05 * fast[0] && gap > spread(fast).max(spread(slow));
    clear.then(|| stats::median(fast).zip(stats::median(slow))).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;
    use crate::record::{
        CellKey, CpusUsed, ForeignLoad, Machine, Peak, PlacementShare, Reading, Sample, StagePlacement, SteadyState,
    };

    /// Two CPUs for ten seconds, of which others took this share.
    fn load(foreign: f64) -> ForeignLoad {
        let waited_s = Reading::absent("no pressure information");
        ForeignLoad { cpus: 2, wall_s: 10.0, busy_s: 15.0 + 20.0 * foreign, own_s: 15.0, stolen_s: 0.0, waited_s }
    }

    fn of(cell: &Cell) -> Vec<Caution> {
        of_cell(&Run::default(), cell)
    }

    /// A cell whose launches took these seconds, steady from image 1 on; image 0 is slow.
    fn cell(launches: &[[f64; 3]]) -> Cell {
        let launch = |seconds: &[f64; 3]| Launch {
            status: Status::Ok,
            samples: (0..)
                .zip(std::iter::once(&99.0).chain(seconds))
                .map(|(image, &total_s)| Sample { image, total_s, ..Sample::default() })
                .collect(),
            steady: SteadyState { state: Steady::Steady, from: Some(1), said: String::new() },
            foreign: Reading::Ok(load(0.0)),
            ..Launch::default()
        };
        Cell {
            key: CellKey { threads: 2, device: "cpu".into(), ..CellKey::default() },
            status: Status::Ok,
            launches: launches.iter().map(launch).collect(),
            ..Cell::default()
        }
    }

    #[test]
    fn a_good_cell_has_none() {
        assert_eq!(of(&cell(&[[1.0, 1.01, 1.0]; 6])), []);
    }

    #[test]
    fn two_modes_are_seen_and_a_spread_is_not() {
        let modes = cell(&[[1.0; 3], [1.2; 3], [1.01; 3], [1.21; 3], [1.0; 3], [1.2; 3]]);
        assert!(matches!(of(&modes)[..], [Caution::Bimodal { fast_s: 1.0, slow_s: 1.2 }]));
        let spread = cell(&[[1.0; 3], [1.05; 3], [1.1; 3], [1.15; 3], [1.2; 3], [1.25; 3]]);
        assert_eq!(of(&spread), []);
    }

    #[test]
    fn each_trouble_is_named() {
        let mut bad = cell(&[[1.0; 3]; 3]);
        bad.launches[0].calibration.before_s = crate::record::Reading::Ok(1.0);
        bad.launches[0].calibration.after_s = crate::record::Reading::Ok(1.2);
        bad.launches[1].steady.state = Steady::Slowing;
        bad.launches[1].samples[2].removed = Some("interrupted".into());
        bad.launches[2].status = Status::Oom;
        let entry = |device: &str, nodes| PlacementShare { device: device.into(), nodes, time_share: None };
        bad.placement = vec![StagePlacement {
            stage: "decoder".into(),
            asked: "gpu".into(),
            entries: vec![entry("gpu", 3), entry("cpu", 1)],
            source: String::new(),
        }];
        let short: Vec<String> = of(&bad).iter().map(Caution::short).collect();
        assert_eq!(
            short,
            ["failed launches", "held back", "1 of 2 not steady", "2 launches", "1 removed", "falls back"]
        );
        assert_eq!(of(&Cell::failed(CellKey::default(), Status::Error, "x")), []);
    }

    #[test]
    fn a_busy_machine_is_said_and_so_is_one_of_which_nothing_is_known() {
        let mut busy = cell(&[[1.0, 1.01, 1.0]; 6]);
        busy.launches[2].foreign = Reading::Ok(load(0.25));
        busy.launches[3].foreign = Reading::Ok(load(0.5));
        let found = of(&busy);
        assert_eq!(found.iter().map(Caution::short).collect::<Vec<_>>(), ["busy machine in 2 of 6"]);
        assert!(found[0].cannot_wait() && found[0].weight() == Weight::Grave);
        let long = found[0].long();
        assert!(
            long.contains("in the busiest launch other programs took 50 % of the 2 CPUs. Times are too long"),
            "{long}"
        );
        let mut unknown = cell(&[[1.0, 1.01, 1.0]; 6]);
        unknown.launches[0].foreign = Reading::denied("/proc/stat: Permission denied");
        let found = of(&unknown);
        assert!(matches!(&found[..], [Caution::LoadUnknown { why }] if why.contains("Permission")), "{found:?}");
    }

    #[test]
    fn a_sustained_launch_is_judged_by_its_end() {
        let mut slowing = cell(&[[1.0; 3]; 6]);
        for launch in &mut slowing.launches {
            launch.steady.state = Steady::Slowing;
            launch.samples = (0..90)
                .map(|image| Sample { image, total_s: 1.0 + 0.01 * f64::from(image), ..Sample::default() })
                .collect();
        }
        let mut run = Run::default();
        let short = |run: &Run| of_cell(run, &slowing).iter().map(Caution::short).collect::<Vec<_>>();
        assert_eq!(short(&run), ["not steady"]);
        run.run.sustained_s = Some(600.0);
        assert_eq!(short(&run), ["not settled"]);
        let long = of_cell(&run, &slowing)[0].long();
        assert!(long.contains("still became slower") && long.contains("a longer --sustained"), "{long}");
    }

    #[test]
    fn stolen_cpus_are_said() {
        let mut stolen = cell(&[[1.0, 1.01, 1.0]; 6]);
        stolen.launches[0].foreign = Reading::Ok(ForeignLoad { stolen_s: 4.0, ..load(0.0) });
        assert_eq!(of(&stolen).iter().map(Caution::short).collect::<Vec<_>>(), ["CPUs stolen in 1 of 6"]);
    }

    #[test]
    fn more_threads_than_cpus_are_said() {
        let mut many = cell(&[[1.0, 1.01, 1.0]; 6]);
        many.key.threads = 64;
        many.launches.iter_mut().for_each(|launch| {
            launch.cpus = Some(CpusUsed { allowed: Some("0-1".into()), seen: Vec::new() });
        });
        let found = of(&many);
        assert_eq!(found, [Caution::MoreThreads { threads: 64, cpus: 2 }]);
        assert!(found[0].long().starts_with("64 threads on 2 CPUs") && found[0].cannot_wait());
        // A control group that pays for one CPU of them.
        let mut run = Run { machine: Machine { cpu_quota: Reading::Ok(1.0), ..Machine::default() }, ..Run::default() };
        many.key.threads = 2;
        assert_eq!(of_cell(&run, &many), [Caution::MoreThreads { threads: 2, cpus: 1 }]);
        run.machine.cpu_quota = Reading::Ok(1.5);
        assert_eq!(of_cell(&run, &many), []);
    }

    #[test]
    fn a_peak_that_is_none_is_said_where_its_share_would_be() {
        let peak = |threads, value| Peak { kind: "f32".into(), threads, value, ..Peak::default() };
        let machine = Machine {
            physical_cores: Reading::Ok(2),
            peaks: vec![peak(1, 100.0), peak(2, 101.0)],
            ..Machine::default()
        };
        let mut cell = cell(&[[1.0, 1.01, 1.0]; 6]);
        cell.numerics = Reading::Ok("f32".into());
        let found = of_cell(&Run { machine, ..Run::default() }, &cell);
        assert!(matches!(&found[..], [Caution::DoubtfulPeak { .. }]) && found[0].cannot_wait(), "{found:?}");
    }
}
