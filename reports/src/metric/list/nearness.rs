//! Nearness of one image to the reference's.

use super::{always, by, not_followed, not_judged};
use crate::metric::Better::{Higher, Lower};
use crate::metric::Csv::Column;
use crate::metric::Enforce::{Alarm, Strict};
use crate::metric::Scale::{Absolute, Relative};
use crate::metric::{Definition, Detail, Shown, Taken, Unit, take};

/// Of nearness to the reference, which a build changes only where it changes results.
const BY_LATENT: &str = "latent_relative_l2 is followed: it moves first";

pub(super) const NEARNESS: &[Definition] = &[
    Definition {
        name: "latent_relative_l2",
        title: "latent error",
        heading: "Latent error",
        unit: Unit::Relative,
        better: Lower,
        scale: Relative,
        taken: Taken::Cell(take::latent),
        gate: by(
            Strict,
            0.25,
            0.00001,
            "the order of sums moves it by less; a wrong kernel moves it by more than a quarter. Absolute limits are under [latent]",
        ),
        history: always("latent_relative_l2", Detail::Reference),
        shown: Shown::Main,
        csv: Column(210),
        glossary: "How far the latent after the last step is from the reference cell's, made from the same noise: the \
                   length of the difference over the length of the reference. About 1e-6 is rounding; 4-bit weights \
                   give about 1e-2.",
    },
    Definition {
        name: "image_relative_l2",
        title: "image error",
        heading: "Image L2",
        unit: Unit::Relative,
        better: Lower,
        scale: Relative,
        taken: Taken::Cell(take::image_distance),
        gate: not_judged("psnr_db is judged, which says the same in decibels"),
        history: not_followed(BY_LATENT),
        shown: Shown::More,
        csv: Column(220),
        glossary: "The same of the image's pixels.",
    },
    Definition {
        name: "psnr_db",
        title: "PSNR",
        heading: "PSNR",
        unit: Unit::Decibels,
        better: Higher,
        scale: Absolute,
        taken: Taken::Cell(take::psnr),
        gate: by(Strict, 1.0, 0.0, "1 dB is a quarter more squared error; what is above 60 dB counts as 60"),
        history: not_followed(BY_LATENT),
        shown: Shown::Main,
        csv: Column(230),
        glossary: "Peak signal-to-noise ratio of the image to the reference's; higher is closer. It is infinite for \
                   identical images; the gate counts everything above 60 dB as 60.",
    },
    Definition {
        name: "ssim",
        title: "SSIM",
        heading: "SSIM",
        unit: Unit::Similarity,
        better: Higher,
        scale: Absolute,
        taken: Taken::Cell(take::ssim),
        gate: by(Alarm, 0.01, 0.0, "flaky by itself on models of few steps"),
        history: not_followed(BY_LATENT),
        shown: Shown::More,
        csv: Column(240),
        glossary: "Structural similarity of the image to the reference's: 1 for equal (11×11 Gaussian window on luma).",
    },
    Definition {
        name: "ssimulacra2",
        title: "SSIMULACRA2",
        heading: "SSIMULACRA2",
        unit: Unit::Points,
        better: Higher,
        scale: Absolute,
        taken: Taken::Cell(take::ssimulacra2),
        gate: by(Alarm, 2.0, 0.0, "differences of 2 points are below what people tell apart"),
        history: not_followed(BY_LATENT),
        shown: Shown::Main,
        csv: Column(250),
        glossary: "Similarity of the image to the reference's as eyes see it: 100 for equal, 90 for hard to tell \
                   apart, below 50 for clearly different. It shows what a backend or a precision changes, not how good \
                   an image is.",
    },
];
