//! Pictures of many prompts that were judged: the record's figures, and its lists summed up.

use serde::Serialize;

use crate::record::{Bounded, Judged, Reading};
use crate::stats::{median, quantile, sorted};

/// A judged cell, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JudgedRow {
    /// Share of names whose own data picture is the nearest.
    pub retrieval_at_1: Bounded,
    /// Share of names whose own data picture is among the five nearest.
    pub retrieval_at_5: Bounded,
    /// Kernel distance to the data pictures of the same names, times 1000.
    pub kernel_distance_x1000: Reading<Bounded>,
    /// Mean PSNR to the data pictures.
    pub psnr_to_data_db: Option<f64>,
    /// Nearness to the reference cell's pictures.
    pub fidelity: Reading<FidelityRow>,
}

/// Nearness to the reference cell's pictures, over all prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FidelityRow {
    /// Prompts.
    pub prompts: usize,
    /// Pictures equal to the reference's in every pixel.
    pub identical: usize,
    /// Median of the PSNR; `None` where the middle picture is identical.
    pub psnr_db: Option<f64>,
    /// A tenth of the pictures are below it; `None` where those are identical.
    pub low_psnr_db: Option<f64>,
    /// Median of the structural similarity.
    pub ssim: Option<f64>,
    /// Median of the last latent's relative L2 distance.
    pub latent_relative_l2: Option<f64>,
}

impl JudgedRow {
    /// Of a record's entry.
    pub fn of(judged: &Judged) -> Self {
        let fidelity = match &judged.fidelity {
            Reading::Ok(fidelity) => {
                let psnr: Vec<f64> = fidelity.psnr_db.iter().map(|db| db.unwrap_or(f64::INFINITY)).collect();
                let psnr = sorted(&psnr);
                // An identical picture has no PSNR, and none stands between it and a number.
                let at = |share: f64| {
                    let place = (share * psnr.len().saturating_sub(1) as f64).floor() as usize;
                    psnr.get(place).copied().filter(|db| db.is_finite())
                };
                Reading::Ok(FidelityRow {
                    prompts: psnr.len(),
                    identical: psnr.iter().filter(|db| db.is_infinite()).count(),
                    psnr_db: at(0.5),
                    low_psnr_db: at(0.1),
                    ssim: median(&fidelity.ssim),
                    latent_relative_l2: quantile(&sorted(&fidelity.latent_relative_l2), 0.5),
                })
            }
            Reading::Denied { why } | Reading::Absent { why } => Reading::absent(why.clone()),
        };
        Self {
            retrieval_at_1: judged.retrieval_at_1,
            retrieval_at_5: judged.retrieval_at_5,
            kernel_distance_x1000: judged.kernel_distance_x1000.clone(),
            psnr_to_data_db: judged.psnr_to_data_db,
            fidelity,
        }
    }
}

impl FidelityRow {
    /// What stands beside the median PSNR: `a tenth below 30.1`, `3 of 30 identical`.
    pub(crate) fn beside(&self) -> String {
        match (self.low_psnr_db, self.identical) {
            (Some(low), 0) => format!("a tenth below {low:.1}"),
            (_, identical) => format!("{identical} of {} identical", self.prompts),
        }
    }
}
