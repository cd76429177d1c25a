//! Rates of operations, and energy.

use super::{not_followed, not_judged};
use crate::metric::Better::{Higher, Lower};
use crate::metric::Csv::Column;
use crate::metric::Scale::{Absolute, Relative};
use crate::metric::{Definition, Detail, Followed, Shown, Taken, Unit, energy, take};

pub(super) const RATES: &[Definition] = &[
    Definition {
        name: "gflops",
        title: "rate of operations",
        heading: "Rate of operations",
        unit: Unit::Gigaflops,
        better: Higher,
        scale: Relative,
        taken: Taken::Run(take::gigaflops),
        gate: not_judged("it is image_s, turned over"),
        history: not_followed("it is image_s, turned over"),
        shown: Shown::More,
        csv: Column(180),
        glossary: "Floating-point operations of one image, as counted from the graphs, over its median time.",
    },
    Definition {
        name: "peak_share",
        title: "share of the peak",
        heading: "Of peak",
        unit: Unit::Share,
        better: Higher,
        scale: Absolute,
        taken: Taken::Run(take::peak_share),
        gate: not_judged("it is image_s, turned over, under a peak that is measured anew in each run"),
        history: not_followed("it is image_s, turned over, under a peak that is measured anew in each run"),
        shown: Shown::Main,
        csv: Column(190),
        glossary: "gflops as a share of the roof of the cell's own mix of operations: the rate that loops of ours \
                   reached on this machine with as many threads, with separate peaks for low-bit products and for the \
                   rest.",
    },
    Definition {
        name: "energy_j",
        title: "energy of an image",
        heading: "Energy of an image",
        unit: Unit::Joules,
        better: Lower,
        scale: Relative,
        taken: Taken::Run(energy::of_image),
        gate: not_judged("it is of the whole processor or the whole phone: whatever else runs there is in it"),
        history: Followed::As { id: "energy", since: 5, detail: Detail::Nothing },
        shown: Shown::Main,
        csv: Column(570),
        glossary: "Energy used while a steady image is made: mean power over the timed images (with `--sustained`, the \
                   settled ones), times the seconds of one. That of the processor's packages (RAPL), including idle \
                   cores and other programs; on a phone, that of the battery, including the screen. Absent without a \
                   sensor, with a charger plugged in, and on other devices of a machine that is no phone.",
    },
    Definition {
        name: "energy_samples",
        title: "readings of power",
        heading: "Readings of power",
        unit: Unit::Count,
        better: Higher,
        scale: Absolute,
        taken: Taken::Run(energy::samples),
        gate: not_judged("it says how well energy_j is known"),
        history: not_followed("it says how well energy_j is known"),
        shown: Shown::More,
        csv: Column(730),
        glossary: "How many sensor readings energy_j is based on, over all launches; 0 if it only comes from a \
                   battery's charge before and after a launch.",
    },
    Definition {
        name: "battery_share_per_hour",
        title: "battery in an hour",
        heading: "Battery in an hour",
        unit: Unit::Share,
        better: Lower,
        scale: Relative,
        taken: Taken::Run(energy::battery_share_per_hour),
        gate: not_judged("it is energy_j over image_s, of this battery"),
        history: not_followed("it is energy_j over image_s, of this battery"),
        shown: Shown::More,
        csv: Column(740),
        glossary: "On a phone: the share of its battery that an hour of this takes, at the power of energy_j. The \
                   battery's size follows from its reported charge and percentage.",
    },
];
