//! What is of none of these kinds.

use super::{by, not_followed};
use crate::metric::Better::{Higher, Lower};
use crate::metric::Csv::Column;
use crate::metric::Enforce::Strict;
use crate::metric::Scale::{Absolute, Relative};
use crate::metric::{Csv, Definition, Shown, Taken, Unit, take};

pub(super) const OTHERS: &[Definition] = &[
    Definition {
        name: "placement_share",
        title: "on the device asked for",
        heading: "On the device",
        unit: Unit::Share,
        better: Higher,
        scale: Absolute,
        taken: Taken::Cell(take::placement),
        gate: by(Strict, 0.0, 0.0, "no node may leave the device asked for unnoticed"),
        history: not_followed("a fall-back fails the gate at once"),
        shown: Shown::More,
        csv: Column(270),
        glossary: "Share of the nodes of all stages that ran on the device asked for; unknown if it is unknown for one \
                   stage.",
    },
    Definition {
        name: "iteration_s",
        title: "iteration",
        heading: "Iteration",
        unit: Unit::Seconds,
        better: Lower,
        scale: Relative,
        taken: Taken::Benchmark,
        gate: by(
            Strict,
            0.05,
            0.0,
            "criterion's samples share one process: room for what differs from process to process",
        ),
        history: not_followed("criterion keeps a history of its own"),
        shown: Shown::Verdicts,
        csv: Csv::Not,
        glossary: "An iteration of a criterion benchmark.",
    },
];
