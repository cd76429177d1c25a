//! What but the build can have moved times between two records: the machine itself, as its calibration loop and the launches'
//! own order show it, and other programs on it.
//!
//! Contract: a doubt has a size; it takes back only a verdict that it can explain. Paired launches need none of this: what
//! happens to one of a pair happens to its neighbour.

use crate::record::{Cell, ForeignLoad, disturbed};
use crate::stats::{median, shift, trend};
use crate::text;

use super::gate::Gate;
use super::judge::Doubt;
use super::samples::{self, Taken};

/// A slower machine may slow a model by more than it slows the calibration loop, which knows the core's clock and no memory; and
/// other programs may slow it by more than the CPUs that they take, which one thread waits for and the others for it.
const MACHINE: f64 = 2.0;
/// The chance with which launches without any order are taken for a drift.
const BY_CHANCE: f64 = 0.01;

/// The change of the calibration loop between the sides, if it is beyond chance and beyond the gate's `machine_drift`.
pub(super) fn machine(base: &[(usize, &Cell)], head: &[(usize, &Cell)], gate: &Gate) -> Option<Doubt> {
    let (base, head) = (samples::calibrations(base), samples::calibrations(head));
    let found = shift::independent(&shift::logs(&base)?, &shift::logs(&head)?, 0.95)?;
    let slower = shift::ratio(found.estimate);
    let beyond_chance = found.interval.is_some_and(|interval| !interval.holds(0.0));
    (beyond_chance && slower.abs() > gate.machine_drift).then(|| Doubt {
        by: MACHINE * found.estimate,
        says: format!(
            "the machine itself was {:.0} % {} while head was measured, by the calibration loop",
            100.0 * slower.abs(),
            if slower > 0.0 { "slower" } else { "faster" }
        ),
    })
}

/// The share of the CPUs that launches did not have, other programs' and other machines', and how exactly it is known: the
/// medians over launches. `None` where no launch says.
fn taken(cells: &[(usize, &Cell)]) -> Option<(f64, f64)> {
    let launches = cells.iter().flat_map(|(_, cell)| cell.good_launches());
    let loads: Vec<&ForeignLoad> = launches.filter_map(|launch| launch.foreign.value()).collect();
    let of = |number: fn(&ForeignLoad) -> f64| median(&loads.iter().map(|load| number(load)).collect::<Vec<f64>>());
    Some((of(|load| (load.share() + load.stolen()).min(1.0))?, of(ForeignLoad::exact_to)?))
}

/// That of one side only it is known what else took its CPUs.
pub(super) fn unknown(base: &[(usize, &Cell)], head: &[(usize, &Cell)]) -> Option<String> {
    let side = match (taken(base), taken(head)) {
        (None, Some(_)) => "base",
        (Some(_), None) => "head",
        _ => return None,
    };
    Some(format!(
        "it is not known whether other programs ran beside {side}, so a change caused by them would go \
                  unnoticed"
    ))
}

/// Other programs or machines on the CPUs of one side that were not on the other's, if they took enough to be told.
pub(super) fn foreign(base: &[(usize, &Cell)], head: &[(usize, &Cell)]) -> Option<Doubt> {
    let ((base, base_exact), (head, head_exact)) = (taken(base)?, taken(head)?);
    // Work that has a share of the CPUs left takes as many times as long; what waits for its slowest thread takes longer.
    let left = |share: f64| (1.0 - share).max(0.05);
    ((head - base).abs() - (base_exact + head_exact) > disturbed::TAKEN).then(|| Doubt {
        by: MACHINE * (left(base) / left(head)).ln(),
        says: format!(
            "other programs and machines took {:.0} % of the CPUs while head was measured, and {:.0} % while base was",
            100.0 * head,
            100.0 * base
        ),
    })
}

/// A drift from launch to launch within the records, if there is one beyond chance: a side that was measured later would look
/// slower by the drift over as many launches as lie between the middles of both. `head_later` is whether that is head.
pub(super) fn of_launches(base: &[Taken], head: &[Taken], head_later: bool) -> Option<Doubt> {
    let lists: Option<Vec<Vec<f64>>> =
        [base, head].into_iter().flat_map(by_record).map(|list| shift::logs(&list)).collect();
    let found = trend::of(&lists?).filter(|trend| trend.p <= BY_CHANCE)?;
    let between = (base.len() + head.len()) as f64 / 2.0;
    let by = if head_later { found.slope * between } else { -found.slope * between };
    Some(Doubt {
        by,
        says: format!(
            "from launch to launch within the records it took {} % {}: the machine drifted, which explains as much",
            text::significant(100.0 * shift::ratio(found.slope).abs(), 2),
            if found.slope > 0.0 { "longer" } else { "less" }
        ),
    })
}

/// The values of each record, in the order in which they were measured.
fn by_record(taken: &[Taken]) -> Vec<Vec<f64>> {
    let mut taken = taken.to_vec();
    taken.sort_by_key(|one| (one.record, one.order));
    taken.chunk_by(|a, b| a.record == b.record).map(|list| list.iter().map(|one| one.value).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Launch, Reading, Status};

    fn cell(foreign: Option<f64>) -> Cell {
        let load = |share: f64| {
            let waited_s = Reading::absent("");
            ForeignLoad { cpus: 2, wall_s: 10.0, busy_s: 10.0 + 20.0 * share, own_s: 10.0, stolen_s: 0.0, waited_s }
        };
        let foreign = Reading::or_absent(foreign.map(load), "not recorded");
        Cell { launches: vec![Launch { status: Status::Ok, foreign, ..Launch::default() }; 3], ..Cell::default() }
    }

    fn doubt(base: Option<f64>, head: Option<f64>) -> Option<Doubt> {
        foreign(&[(0, &cell(base))], &[(0, &cell(head))])
    }

    #[test]
    fn a_busy_side_is_doubted_by_what_that_explains() {
        let found = doubt(Some(0.0), Some(0.25)).unwrap();
        // Three quarters are left: 1.33 times as long, and its square where threads wait for each other.
        assert!((found.by.exp() - (4.0f64 / 3.0).powi(2)).abs() < 1e-9, "{found:?}");
        assert!(found.says.contains("took 25 % of the CPUs while head was measured, and 0 % while base was"));
        assert!(doubt(Some(0.25), Some(0.0)).unwrap().by < 0.0, "base looks slower than it is, not head");
        assert_eq!(doubt(Some(0.25), Some(0.27)), None, "both were busy");
        assert_eq!(doubt(None, Some(0.5)), None);
        assert!(doubt(Some(0.0), Some(1.0)).unwrap().by.is_finite());
        assert_eq!(unknown(&[(0, &cell(Some(0.1)))], &[(0, &cell(Some(0.1)))]), None);
        assert!(
            unknown(&[(0, &cell(None))], &[(0, &cell(Some(0.1)))])
                .unwrap()
                .contains("not known whether other programs ran beside base")
        );
    }

    #[test]
    fn what_a_short_launch_cannot_tell_raises_no_doubt_and_what_the_hypervisor_took_does() {
        let with = |change: fn(&mut ForeignLoad)| {
            let mut cell = cell(Some(0.0));
            for launch in &mut cell.launches {
                let Reading::Ok(load) = &mut launch.foreign else { panic!() };
                change(load);
            }
            cell
        };
        let doubt = |head: &Cell| foreign(&[(0, &with(|_| ()))], &[(0, head)]);
        // A tick on each of two CPUs is a tenth of a launch of a tenth of a second.
        let short = with(|load| (load.wall_s, load.busy_s, load.own_s) = (0.1, 0.12, 0.1));
        assert_eq!(doubt(&short), None);
        assert!(doubt(&with(|load| load.stolen_s = 5.0)).unwrap().says.contains("took 25 % of the CPUs while head"));
    }
}
