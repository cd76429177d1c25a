//! What is of none of these kinds.

use super::{by, not_followed, not_judged};
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
        name: "company_share",
        title: "what the company got done",
        heading: "Company gets",
        unit: Unit::Share,
        better: Higher,
        scale: Absolute,
        taken: Taken::Launch(take::company_share),
        gate: not_judged(
            "it is of what ran beside; image_s of a cell in company is judged against the same in company",
        ),
        history: not_followed("image_s of a cell in company has a series of its own"),
        shown: Shown::Main,
        csv: Csv::WhereKnown(1000),
        glossary: "With `--company`: how much the threads kept busy beside the worker got done, over the whole launch, as a share of what they get done alone.",
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
