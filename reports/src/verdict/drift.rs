//! What but the build can have moved times between two records: the machine itself, as its calibration loop and the launches'
//! own order show it.
//!
//! Contract: a doubt has a size; it takes back only a verdict that it can explain. Paired launches need none of this: what
//! happens to one of a pair happens to its neighbour.

use crate::record::Cell;
use crate::stats::{shift, trend};
use crate::text;

use super::gate::Gate;
use super::judge::Doubt;
use super::samples::{self, Taken};

/// A slower machine may slow a model by more than it slows the calibration loop, which knows the core's clock and no memory.
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
