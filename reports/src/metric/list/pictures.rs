//! Pictures of many prompts.

use super::{by, not_followed, not_judged};
use crate::metric::Better::{Higher, Lower};
use crate::metric::Csv::{Bounded, Column};
use crate::metric::Enforce::Strict;
use crate::metric::Scale::{Absolute, Relative};
use crate::metric::{Definition, Shown, Taken, Unit, take};

/// Of figures of pictures of many prompts.
const BY_PICTURES: &str = "runs that judge pictures time nothing, and are compared by name";

pub(super) const PICTURES: &[Definition] = &[
    Definition {
        name: "retrieval_at_1",
        title: "retrieval@1",
        heading: "Retrieval@1",
        unit: Unit::Hits,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(|judged| crate::record::Reading::Ok(judged.retrieval_at_1.into())),
        gate: by(Strict, 0.02, 0.0, "of pictures of the same prompts with the same noise: 4 names of 200"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Bounded(280),
        glossary: "Share of names whose own data picture is the nearest of all to the generated picture, by the \
                   judge's features.",
    },
    Definition {
        name: "retrieval_at_5",
        title: "retrieval@5",
        heading: "Retrieval@5",
        unit: Unit::Hits,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(|judged| crate::record::Reading::Ok(judged.retrieval_at_5.into())),
        gate: not_judged("retrieval_at_1 is judged, which falls first"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Bounded(310),
        glossary: "Share of names whose own data picture is among the five nearest.",
    },
    Definition {
        name: "kernel_distance_x1000",
        title: "kernel distance ×1000",
        heading: "Kernel distance ×1000",
        unit: Unit::Thousandths,
        better: Lower,
        scale: Absolute,
        taken: Taken::Pictures(take::kernel_distance),
        gate: not_judged("it moves with the pictures as a set; retrieval_at_1 says which of them became wrong"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Bounded(340),
        glossary: "How different generated and data pictures are as sets, by the judge's features (MMD²); near 0 or \
                   below means alike.",
    },
    Definition {
        name: "psnr_to_data_db",
        title: "PSNR to the data",
        heading: "PSNR to the data",
        unit: Unit::Decibels,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(take::psnr_to_data),
        gate: not_judged("a picture can be right and unlike its data; retrieval_at_1 is judged"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Column(370),
        glossary: "Mean over the names of the PSNR to the data picture.",
    },
    Definition {
        name: "prompts_psnr_db",
        title: "PSNR to the reference, many prompts",
        heading: "PSNR to the reference",
        unit: Unit::Decibels,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(|judged| {
            take::fidelity(judged, |row| (row.prompts > 0).then(|| row.psnr_db.unwrap_or(f64::INFINITY)))
        }),
        gate: not_judged("retrieval_at_1 is judged; in timed runs, psnr_db"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Column(380),
        glossary: "Median over the prompts of the PSNR to the reference cell's picture; identical where the middle picture is.",
    },
    Definition {
        name: "prompts_ssim",
        title: "SSIM to the reference, many prompts",
        heading: "SSIM to the reference",
        unit: Unit::Similarity,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(|judged| take::fidelity(judged, |row| row.ssim)),
        gate: not_judged("retrieval_at_1 is judged; in timed runs, ssim"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Column(390),
        glossary: "Median over the prompts of the structural similarity to the reference cell's picture.",
    },
    Definition {
        name: "prompts_latent_relative_l2",
        title: "latent error, many prompts",
        heading: "Latent errors",
        unit: Unit::Relative,
        better: Lower,
        scale: Relative,
        taken: Taken::Pictures(|judged| take::fidelity(judged, |row| row.latent_relative_l2)),
        gate: not_judged("retrieval_at_1 is judged; in timed runs, latent_relative_l2"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Column(400),
        glossary: "Median over the prompts of the last latent's distance from the reference cell's.",
    },
    Definition {
        name: "prompts_identical",
        title: "pictures identical to the reference's",
        heading: "Identical pictures",
        unit: Unit::Count,
        better: Higher,
        scale: Absolute,
        taken: Taken::Pictures(|judged| {
            take::fidelity(judged, |row| (row.prompts > 0).then_some(row.identical as f64))
        }),
        gate: not_judged("retrieval_at_1 is judged"),
        history: not_followed(BY_PICTURES),
        shown: Shown::Pictures,
        csv: Column(410),
        glossary: "Prompts whose picture has every pixel of the reference cell's.",
    },
];
